"""Klaviyo's bulk import of profiles: a job of thousands of upserts, which Klaviyo does when it gets to it.

It takes what the upsert takes, but `null` clears nothing. Jobs have no order among each other, and one that is not
complete may still overwrite what was written since. Source: the SDK's `bulk_import_profiles`, Klaviyo's guide to it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls
from mappers.mapped import JsonObject

MOST_BYTES = 4_500_000
"""Of a job's rows; Klaviyo takes 5 MB in all."""
_OPEN, _ENDED = ("queued", "processing"), ("complete", "cancelled")
_ROW = re.compile(r"/data/attributes/profiles/data/(\d+)/")


@dataclass(frozen=True, slots=True)
class ImportState:
    """How far a job is. `failed` is how many rows failed so far; None where Klaviyo does not say."""

    status: str
    failed: int | None

    @property
    def is_open(self) -> bool:
        """Whether rows may still be written."""
        return self.status not in _ENDED


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that was not imported: whose it is, or which it is, as far as the error tells."""

    external_id: str
    index: int | None


class ProfileImports:
    """The calls of bulk imports; they need the scopes lists:read and lists:write beside those of profiles."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def begin(self, rows: Sequence[JsonObject]) -> str:
        """Hand rows over, each as `data` of an upsert's body; the id of the job that will import them."""
        attributes = {"profiles": {"data": list(rows)}}
        body = {"data": {"type": "profile-bulk-import-job", "attributes": attributes}}
        return str(self._calls.send("Profiles", "bulk_import_profiles", body)["data"]["id"])

    def state(self, job_id: str) -> ImportState:
        """How far a job is."""
        told = self._calls.send("Profiles", "get_bulk_import_profiles_job", job_id)["data"]["attributes"]
        return ImportState(told["status"], told.get("failed_count"))

    def failed_rows(self, job_id: str) -> Iterator[FailedRow]:
        """The rows that were not imported."""
        for error in self._calls.pages("Profiles", "get_errors_for_bulk_import_profiles_job", job_id):
            told = error["attributes"]
            row = _ROW.match(f"{(told.get('source') or {}).get('pointer')}/")
            yield FailedRow(_external_id(told.get("original_payload")), int(row[1]) if row else None)

    def are_open(self, since: datetime, until: datetime) -> bool:
        """Whether a job that was made in that time may still write rows. The list may lag behind a new one."""
        jobs = self._calls.pages("Profiles", "get_bulk_import_profiles_jobs", filter=f"any(status,{json.dumps(_OPEN)})")
        return any(since <= datetime.fromisoformat(job["attributes"]["created_at"]) <= until for job in jobs)

    def made_before(self, external_ids: Sequence[str], moment: datetime) -> set[str]:
        """Those of the customers whose profile was made before then. At most 100 ids; the list may lag."""
        listed = self._calls.pages(
            "Profiles", "get_profiles", filter=f"any(external_id,{json.dumps(list(external_ids))})",
            fields_profile=["external_id", "created"],
        )  # fmt: skip
        profiles = [profile["attributes"] for profile in listed]
        return {one["external_id"] for one in profiles if datetime.fromisoformat(one["created"]) < moment}


def _external_id(payload: Any) -> str:
    """Whose a row is, by what Klaviyo gives back of it; its shape is not documented."""
    told = payload if isinstance(payload, dict) else {}
    attributes = told.get("attributes")
    found = (attributes if isinstance(attributes, dict) else told).get("external_id")
    return found if isinstance(found, str) else ""
