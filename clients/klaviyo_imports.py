"""Klaviyo's bulk import of profiles: a job of thousands of upserts, which Klaviyo processes later.

Rows have the format of the upsert, but `null` clears nothing. Jobs run in any order, and an open job may still
overwrite newer writes. Source: the SDK's `bulk_import_profiles`, and Klaviyo's guide to it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls
from core.times import parsed_time
from mappers.mapped import JsonObject

MAX_BYTES = 4_500_000
"""Maximum size of a job's rows. Klaviyo accepts 5 MB for the whole request."""
_OPEN, _ENDED = ("queued", "processing"), ("complete", "cancelled")
_ROW = re.compile(r"/data/attributes/profiles/data/(\d+)/")


@dataclass(frozen=True, slots=True)
class ImportState:
    """The state of a job. `failed` is the number of failed rows so far, None if Klaviyo does not say."""

    status: str
    failed: int | None

    @property
    def is_open(self) -> bool:
        """True if rows may still be written."""
        return self.status not in _ENDED


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that was not imported: the customer's id, empty if unknown, and the row's index, None if unknown."""

    external_id: str
    index: int | None


class ProfileImports:
    """Bulk imports. They need the scopes lists:read and lists:write in addition to those for profiles."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def begin(self, rows: Sequence[JsonObject]) -> str:
        """Begin a job and return its id. Each row is the `data` of an upsert's body."""
        attributes = {"profiles": {"data": list(rows)}}
        body = {"data": {"type": "profile-bulk-import-job", "attributes": attributes}}
        return str(self._calls.send("Profiles", "bulk_import_profiles", body)["data"]["id"])

    def state(self, job_id: str) -> ImportState | None:
        """The current state of a job; None if Klaviyo does not know it, or not yet."""
        answer = self._calls.find("Profiles", "get_bulk_import_profiles_job", job_id)
        if answer is None:
            return None
        attributes = answer["data"]["attributes"]
        return ImportState(attributes["status"], attributes.get("failed_count"))

    def failed_rows(self, job_id: str) -> Iterator[FailedRow]:
        """The rows that were not imported."""
        for error in self._calls.pages("Profiles", "get_errors_for_bulk_import_profiles_job", job_id):
            attributes = error["attributes"]
            row = _ROW.match(f"{(attributes.get('source') or {}).get('pointer')}/")
            yield FailedRow(_external_id(attributes.get("original_payload")), int(row[1]) if row else None)

    def has_open_jobs(self, since: datetime, until: datetime) -> bool:
        """True if a job created in this period, or of unknown age, may still write rows. Lists may lack a new job."""
        jobs = self._calls.pages("Profiles", "get_bulk_import_profiles_jobs", filter=f"any(status,{json.dumps(_OPEN)})")
        created = [parsed_time(job["attributes"].get("created_at")) for job in jobs]
        return any(one is None or since <= one <= until for one in created)

    def created_before(self, external_ids: Sequence[str], moment: datetime) -> set[str]:
        """The customers whose profile was created before this moment, or at an unknown time.

        At most 100 ids; the list may lag.
        """
        listed = self._calls.pages(
            "Profiles", "get_profiles", filter=f"any(external_id,{json.dumps(list(external_ids))})",
            fields_profile=["external_id", "created"],
        )  # fmt: skip
        profiles = [profile["attributes"] for profile in listed]
        return {
            profile["external_id"]
            for profile in profiles
            if (created := parsed_time(profile.get("created"))) is None or created < moment
        }


def _external_id(payload: Any) -> str:
    """The customer's id in the row that Klaviyo returns with an error. Its format is not documented."""
    row = payload if isinstance(payload, dict) else {}
    attributes = row.get("attributes")
    found = (attributes if isinstance(attributes, dict) else row).get("external_id")
    return found if isinstance(found, str) else ""
