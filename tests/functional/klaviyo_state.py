"""Klaviyo's state in forms that two states can be compared in."""

import json
from collections.abc import Mapping
from typing import Any

from commands.processes import Sandbox
from tests.functional.documents import Json

_ASSIGNED = {"id", "created", "updated", "profile_id"}
"""Fields that Klaviyo assigns itself."""


def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without the ids and times Klaviyo assigns, without the order of its records, and without null metadata.

    The function removes a metadata key by sending null, so null means absent.
    """
    return {
        name: sorted(json.dumps(_without_assigned(record), sort_keys=True) for record in records)
        if isinstance(records, list)
        else {key: _without_assigned(record) for key, record in records.items()}
        for name, records in state.items()
    }


def klaviyo_records(sandbox: Sandbox) -> dict[str, Any]:
    """Klaviyo's records, without the ids and times it assigns.

    Events are keyed by metric, unique id and profile; `count` also counts duplicates.
    """
    state = sandbox.klaviyo.state()
    owners = {one["id"]: one.get("external_id") or one.get("email") for one in state["profiles"]}
    return {
        "categories": state["categories"],
        "variants": _without_times(state["variants"]),
        "items": {key: _sorted(item) for key, item in _without_times(state["items"]).items()},
        "profiles": {owners[one["id"]]: _own_fields(one) for one in state["profiles"]},
        "events": {
            (one["metric"], one["unique_id"], owners[one["profile_id"]]): _own_fields(one) for one in state["events"]
        },
        "count": len(state["events"]),
    }


def without_nulls(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The `custom_metadata` that is set: null means absent."""
    return {name: value for name, value in metadata.items() if value is not None}


def _without_assigned(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    kept = {name: value for name, value in record.items() if name not in _ASSIGNED}
    return kept | {"custom_metadata": without_nulls(kept["custom_metadata"])} if kept.get("custom_metadata") else kept


def _own_fields(record: Mapping[str, Any]) -> Json:
    """The record without what Klaviyo assigns, or derives from events (`last_event_date`)."""
    return {name: value for name, value in record.items() if name not in _ASSIGNED | {"last_event_date"}}


def _sorted(item: Mapping[str, Any]) -> Json:
    return {**item, "categories": sorted(item["categories"])}


def _without_times(records: Mapping[str, Any]) -> Json:
    """Records without `created` and `updated`, and without null metadata."""
    return {
        key: {
            **{name: value for name, value in record.items() if name not in ("created", "updated")},
            "custom_metadata": without_nulls(record.get("custom_metadata") or {}),
        }
        for key, record in records.items()
    }
