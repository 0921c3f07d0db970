"""Klaviyo's data as the page shows it: profiles with timelines, catalog items with variants, and categories."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from commands.outcome_words import event_summary, money
from commands.page.state_diff import NO_CHANGES, Changes
from sandbox.catalog import external_id

Touched = frozenset[tuple[str, str]]
"""The identifiers of the resources that a message is about: name and value."""

_IDENTIFIERS = ("external_id", "email", "phone_number", "unique_id", "id")
_TRACKED = 1
"""The `inventory_policy` of a variant whose stock is tracked."""
_UNTITLED = "no name"
_FACT_OF_FIELD = {
    "phone_number": "phone",
    "first_name": "name",
    "last_name": "name",
    **dict.fromkeys(("address1", "address2", "zip", "city", "region", "country"), "address"),
}
"""The fact on the page that shows a profile field, where their names differ."""


@dataclass(frozen=True, slots=True)
class Event:
    """An entry in a profile's timeline."""

    metric: str
    at: datetime
    value: str
    about: str
    unique_id: str
    is_new: bool

    @property
    def kind(self) -> str:
        """The metric as a CSS class."""
        return self.metric.lower().replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile. `facts` are its other fields, `events` its timeline with the latest first.

    `was` maps each field that the selected message changed to its previous value. `is_touched` here and below: the
    selected message is about it.
    """

    id: str
    name: str
    email: str
    facts: Mapping[str, str]
    events: Sequence[Event]
    is_touched: bool
    updated: str
    was: Mapping[str, str]
    is_new: bool

    @property
    def initials(self) -> str:
        """The initials of the name."""
        return _initials(self.name)


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of a catalog item."""

    sku: str
    price: str
    stock: str
    is_touched: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A catalog item. `tone` is the number of its placeholder picture's colour, `full_price` its undiscounted price."""

    id: str
    title: str
    price: str
    url: str
    initials: str
    tone: int
    is_published: bool
    stock: str
    categories: Sequence[str]
    variants: Sequence[Variant]
    is_touched: bool
    updated: str
    full_price: str
    is_sold_out: bool
    was: Mapping[str, str]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Category:
    """A catalog category."""

    id: str
    name: str
    is_touched: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class KlaviyoState:
    """Everything in Klaviyo: first what the selected message is about, then the most recently updated."""

    profiles: Sequence[Profile]
    items: Sequence[Item]
    categories: Sequence[Category]
    erased: int

    def profile(self, own_id: str) -> Profile | None:
        """The profile with this id, or else the first one."""
        named = (profile for profile in self.profiles if profile.id == own_id)
        return next(named, self.profiles[0] if self.profiles else None)


def klaviyo_state_after(
    state: Mapping[str, Any], requests: Iterable[Mapping[str, Any]], changes: Changes, resource: str = ""
) -> KlaviyoState:
    """Klaviyo's state, marked with what a message changed and was about (by its requests, changes and resource)."""
    of_resource = ("external_id", resource.rpartition("/")[-1])
    changed = {(name, own_id) for _, own_id, _ in changes for name in ("id", "external_id")}
    return klaviyo_state(state, touched_by(requests) | changed | {of_resource}, changes)


def klaviyo_state(state: Mapping[str, Any], touched: Touched, changes: Changes = NO_CHANGES) -> KlaviyoState:
    """Klaviyo's state from the sandbox's JSON."""
    return KlaviyoState(
        _touched_first(_profile(profile, state["events"], touched, changes) for profile in state["profiles"]),
        _touched_first(_item(own_id, state, touched, changes) for own_id in state["items"]),
        sorted(
            (
                Category(own_id, name, _is_touched(touched, own_id), bool(_was(changes, "category", own_id)))
                for own_id, name in state["categories"].items()
            ),
            key=lambda category: category.name,
        ),
        len(state["erased"]),
    )


def touched_by(requests: Iterable[Mapping[str, Any]]) -> Touched:
    """The identifiers in the bodies and paths of the requests that write to Klaviyo."""
    found: set[tuple[str, str]] = set()
    for request in requests:
        if request["method"] != "GET":
            found |= set(_identifiers(request["body"]))
            found |= {("id", segment) for segment in unquote(request["path"]).split("/")}
    own = {("external_id", own_id) for name, value in found if name == "id" and (own_id := external_id(value))}
    return frozenset(found | own)


def _identifiers(value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, below in value.items():
                if name in _IDENTIFIERS and isinstance(below, str):
                    yield name, below
                elif name not in ("properties", "custom_metadata", "categories"):
                    yield from _identifiers(below)
        case list():
            for below in value:
                yield from _identifiers(below)


def _touched_first(resources: Iterable[Any]) -> list[Any]:
    latest_first = sorted(resources, key=lambda resource: resource.updated, reverse=True)
    return sorted(latest_first, key=lambda resource: not resource.is_touched)


def _is_touched(touched: Touched, own_id: str) -> bool:
    return ("external_id", own_id) in touched


def _was(changes: Changes, kind: str, own_id: str) -> dict[str, str]:
    """The previous values of a resource's changed fields. A new resource has one entry, with an empty name."""
    return {name: old for (kind_, id_, name), old in changes.items() if (kind_, id_) == (kind, own_id)}


def _profile(
    profile: Mapping[str, Any], events: Iterable[Mapping[str, Any]], touched: Touched, changes: Changes
) -> Profile:
    location = profile.get("location", {})
    place = (location.get(name) for name in ("address1", "address2", "zip", "city", "region", "country"))
    facts = {
        "phone": profile.get("phone_number"),
        "address": ", ".join(str(part) for part in place if part),
        "locale": profile.get("locale"),
        "organization": profile.get("organization"),
        "title": profile.get("title"),
        "external id": profile.get("external_id"),
        **profile.get("properties", {}),
    }
    identifiers = ("external_id", "email", "phone_number", "id")
    was = _was(changes, "profile", profile["id"])
    return Profile(
        profile["id"],
        " ".join(filter(None, (profile.get("first_name"), profile.get("last_name")))) or _UNTITLED,
        profile.get("email", ""),
        {name: _shown(value) for name, value in facts.items() if value not in (None, "", [], {})},
        sorted(
            (_event(event, touched, changes) for event in events if event["profile_id"] == profile["id"]),
            key=lambda event: event.at,
            reverse=True,
        ),
        any((name, profile.get(name)) in touched for name in identifiers),
        profile["updated"],
        {_FACT_OF_FIELD.get(name, name): old for name, old in was.items()},
        "" in was,
    )


def _event(event: Mapping[str, Any], touched: Touched, changes: Changes) -> Event:
    value = event["value"]
    return Event(
        event["metric"],
        datetime.fromisoformat(event["time"]),
        "" if value is None else money(value, event["value_currency"]),
        event_summary(event["properties"]),
        event["unique_id"],
        ("event", f"{event['metric']} {event['unique_id']}", "") in changes
        if changes
        else ("unique_id", event["unique_id"]) in touched,
    )


def _item(own_id: str, state: Mapping[str, Any], touched: Touched, changes: Changes) -> Item:
    item = state["items"][own_id]
    variants = [
        (sku, variant, _stock(variant)) for sku, variant in state["variants"].items() if variant["item"] == own_id
    ]
    tracked = [variant["inventory_quantity"] for _, variant, _ in variants if variant["inventory_policy"] == _TRACKED]
    title = item.get("title") or _UNTITLED
    full_price = (item.get("custom_metadata") or {}).get("compare_at_price")
    was = _was(changes, "item", own_id)
    return Item(
        own_id,
        title,
        _price(item.get("price")),
        item.get("url") or "",
        _initials(title),
        sum(title.encode()) % 6,
        item["published"],
        f"{sum(tracked)} in stock" if tracked else "stock not tracked",
        [state["categories"].get(category, category) for category in item["categories"]],
        [
            Variant(
                sku,
                _price(variant.get("price")),
                stock,
                _is_touched(touched, sku),
                bool(_was(changes, "variant", sku)),
            )
            for sku, variant, stock in sorted(variants, key=lambda entry: entry[0])
        ],
        _is_touched(touched, own_id) or any(_is_touched(touched, sku) for sku, _, _ in variants),
        item["updated"],
        _price(full_price) if isinstance(full_price, int | float) else "",
        bool(tracked) and sum(tracked) <= 0 and len(tracked) == len(variants),
        was,
        "" in was,
    )


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split()[:2]).upper()


def _price(price: float | None) -> str:
    return "no price" if price is None else f"{price:,.2f}"


def _stock(variant: Mapping[str, Any]) -> str:
    return str(variant["inventory_quantity"]) if variant["inventory_policy"] == _TRACKED else "not tracked"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(element) for element in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
