"""Checks of [consent] for `manage.py check`: the custom fields, the groups and the list that it names."""

from collections.abc import Iterator

from clients.commercetools import Commercetools
from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import message_budget
from commands.check_result import Finding
from core.errors import SyncError
from core.rules_consent import CUSTOM
from core.settings import Settings
from mappers.consent_answer import field_of, group_of
from mappers.mapped import JsonObject

_PAGE_SIZE = 500
"""Custom types read: the largest page, and more than any project has."""
_FORBIDDEN, _NOT_FOUND = 403, 404
_ANSWER_TYPES = frozenset({"Boolean", "Enum", "LocalizedEnum", "String", "Number"})
"""Field types that can hold a yes or a no."""
_TIME_TYPES = frozenset({"DateTime", "Date", "String"})
"""Field types that can hold the time of a yes."""


def findings(settings: Settings) -> Iterator[Finding]:
    """Findings on what [consent] names; none while it is off."""
    rules = settings.sync.consent
    if not rules.is_on:
        return
    client = Commercetools(settings)
    try:
        fields = {
            f"[consent] {name}": ("customer", place)
            for name, place in (*rules.places.items(), ("consented_at", rules.consented_at))
            if place.startswith(CUSTOM)
        }
        if rules.orders:
            fields["[consent] orders"] = ("order", rules.orders)
        yield from _field_findings(client, settings, fields)
        for place in rules.places.values():
            if group := group_of(place):
                yield _group_finding(client, settings, group)
    finally:
        client.close()
    if rules.list:
        yield _list_finding(settings)


def _field_findings(client: Commercetools, settings: Settings, places: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    """Check that each field is defined on a type of customers or orders, with a field type that the sync can read."""
    if not places:
        return
    try:
        with message_budget(settings.sync.limits):
            types: list[JsonObject] = client.page("types", [("limit", str(_PAGE_SIZE))])["results"]
    except SyncError as error:
        why = "the API client lacks view_types" if error.status == _FORBIDDEN else str(error)
        yield Finding(
            "unknown", f"commercetools: the fields of {', '.join(places)}", f"They can't be looked up: {why}."
        )
        return
    for setting, (resource, place) in places.items():
        yield _field_finding(types, setting, resource, field_of(place))


def _field_finding(types: list[JsonObject], setting: str, resource: str, name: str) -> Finding:
    what = f"commercetools: the {resource}'s custom field {name} of {setting}"
    kinds = [
        str((definition.get("type") or {}).get("name"))
        for one in types
        if resource in (one.get("resourceTypeIds") or ())
        for definition in one.get("fieldDefinitions") or ()
        if definition.get("name") == name
    ]
    if not kinds:
        return Finding(
            "failed",
            f"{what} does not exist",
            f"No custom type of {resource}s has this field, so it is never read. Correct the name.",
        )
    readable = _TIME_TYPES if setting.endswith("consented_at") else _ANSWER_TYPES
    odd = [kind for kind in kinds if kind not in readable]
    if odd:
        return Finding("warning", f"{what} has type {odd[0]}", "The sync can't read it, so it counts as no answer.")
    return Finding("ok", f"{what} exists ({kinds[0]})")


def _group_finding(client: Commercetools, settings: Settings, key: str) -> Finding:
    what = f"commercetools: the customer group {key} of [consent]"
    try:
        with message_budget(settings.sync.limits):
            found = client.customer_group_id(key)
    except SyncError as error:
        if error.status == _FORBIDDEN:
            return Finding("failed", what, "The API client lacks view_customer_groups, so nobody is subscribed.")
        return Finding("unknown", what, f"It can't be looked up ({error}).")
    if found:
        return Finding("ok", f"{what} exists")
    return Finding("failed", f"{what} does not exist", "Correct the key, or create the group.")


def _list_finding(settings: Settings) -> Finding:
    """Check that Klaviyo has the list. Reading it takes lists:read, a scope that the function does not need."""
    what = f"Klaviyo: the list {settings.sync.consent.list} of [consent]"
    calls = KlaviyoCalls(settings)
    try:
        with message_budget(settings.sync.limits):
            found = calls.send("Lists", "get_list", settings.sync.consent.list)["data"]["attributes"]
    except SyncError as error:
        if error.status == _NOT_FOUND:
            return Finding(
                "failed",
                f"{what} does not exist",
                "Nobody is subscribed until it does. Copy the list's id from its URL in Klaviyo.",
            )
        why = "the key lacks lists:read" if error.status == _FORBIDDEN else str(error)
        return Finding("unknown", what, f"It can't be looked up: {why}.")
    finally:
        calls.close()
    opt_in = str(found.get("opt_in_process") or "").replace("_", " ")
    return Finding("ok", f"{what} exists ({opt_in or found.get('name')})")
