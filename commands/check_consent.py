"""What `manage.py check` says of [consent]: whether the fields, the group and the list that it names are there."""

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

_TYPES = 500
"""Of a project's custom types: the largest page, and more than any shop has."""
_FORBIDDEN, _NOT_FOUND = 403, 404
_READABLE = frozenset({"Boolean", "Enum", "LocalizedEnum", "String", "Number"})
"""Types of fields that can hold a yes or a no."""
_TIMES = frozenset({"DateTime", "Date", "String"})


def findings(settings: Settings) -> Iterator[Finding]:
    """Findings about what [consent] names; none while it is off."""
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
        yield from _fields(client, settings, fields)
        for place in rules.places.values():
            if group := group_of(place):
                yield _group(client, settings, group)
    finally:
        client.close()
    if rules.list:
        yield _list(settings)


def _fields(client: Commercetools, settings: Settings, wanted: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    """Whether each field is defined on a type of customers, or of orders, and can hold what is read there."""
    if not wanted:
        return
    try:
        with message_budget(settings.sync.limits):
            types: list[JsonObject] = client.listed("types", [("limit", str(_TYPES))])["results"]
    except SyncError as error:
        why = "the API client lacks view_types" if error.status == _FORBIDDEN else str(error)
        yield Finding(
            "unknown", f"commercetools: the fields of {', '.join(wanted)}", f"They can't be looked for: {why}."
        )
        return
    for setting, (resource, place) in wanted.items():
        yield _field(types, setting, resource, field_of(place))


def _field(types: list[JsonObject], setting: str, resource: str, name: str) -> Finding:
    what = f"commercetools: the {resource}'s custom field {name} of {setting}"
    kinds = [
        str((definition.get("type") or {}).get("name"))
        for one in types
        if resource in (one.get("resourceTypeIds") or ())
        for definition in one.get("fieldDefinitions") or ()
        if definition.get("name") == name
    ]
    if not kinds:
        return Finding("failed", f"{what} is not there", f"No type of a {resource} has it: nothing would be done.")
    readable = _TIMES if setting.endswith("consented_at") else _READABLE
    odd = [kind for kind in kinds if kind not in readable]
    if odd:
        return Finding("warning", f"{what} is of the type {odd[0]}", "It is read as no answer, and nothing is done.")
    return Finding("ok", f"{what} is there ({kinds[0]})")


def _group(client: Commercetools, settings: Settings, key: str) -> Finding:
    what = f"commercetools: the customer group {key} of [consent]"
    try:
        with message_budget(settings.sync.limits):
            found = client.customer_group_id(key)
    except SyncError as error:
        if error.status == _FORBIDDEN:
            return Finding("failed", what, "The API client lacks view_customer_groups: nobody would be subscribed.")
        return Finding("unknown", what, f"It can't be looked for ({error}).")
    if found:
        return Finding("ok", f"{what} is there")
    return Finding("failed", f"{what} is not there", "Correct the key, or make the group.")


def _list(settings: Settings) -> Finding:
    """Whether Klaviyo has the list. Reading it needs a scope that the function does without."""
    what = f"Klaviyo: the list {settings.sync.consent.list} of [consent]"
    calls = KlaviyoCalls(settings)
    try:
        with message_budget(settings.sync.limits):
            found = calls.send("Lists", "get_list", settings.sync.consent.list)["data"]["attributes"]
    except SyncError as error:
        if error.status == _NOT_FOUND:
            return Finding("failed", f"{what} is not there", "Nobody would be subscribed: take the id from its URL.")
        why = "the key lacks lists:read" if error.status == _FORBIDDEN else str(error)
        return Finding("unknown", what, f"It can't be looked for: {why}.")
    finally:
        calls.close()
    opt_in = str(found.get("opt_in_process") or "").replace("_", " ")
    return Finding("ok", f"{what} is there ({opt_in or found.get('name')})")
