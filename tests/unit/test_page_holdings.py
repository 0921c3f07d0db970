"""What Klaviyo holds, as the page shows it; and the page's colours."""

import re
from typing import Any

import pytest

from commands.page.klaviyo_state import klaviyo_state, klaviyo_state_after, touched_by
from commands.processes import ROOT

PREFIX = "$custom:::$default:::"
STATE: dict[str, Any] = {
    "profiles": [
        {"id": "P1", "external_id": "c1", "email": "a@example.com", "first_name": "Ada", "updated": "2026-01-01"},
        {
            "id": "P2", "external_id": "c2", "email": "b@example.com", "updated": "2026-02-01",
            "phone_number": "+4930", "location": {"address1": "Weg 1", "city": "Ulm", "zip": None},
            "properties": {"tier": "gold", "colours": ["red", "blue"], "newsletter": False, "none": None},
        },
    ],
    "events": [
        {"metric": "Placed Order", "profile_id": "P1", "unique_id": "o1", "time": "2026-01-01T10:00:00+00:00",
         "value": 1234.5, "value_currency": "EUR", "properties": {"OrderNumber": "S-1", "ItemNames": ["Vase", "Tote"]}},
        {"metric": "Ordered Product", "profile_id": "P1", "unique_id": "l1", "time": "2026-01-01T11:00:00+01:00",
         "value": None, "value_currency": None, "properties": {"ProductName": "Vase"}},
        {"metric": "Refunded Order", "profile_id": "P1", "unique_id": "r1", "time": "2026-01-02T10:00:00+00:00",
         "value": 5, "value_currency": "EUR", "properties": {}},
        {"metric": "Confirmed Shipment", "profile_id": "P2", "unique_id": "c1:T-1", "time": "2026-01-02T10:00:00+00:00",
         "value": 64, "value_currency": "EUR", "properties": {
             "OrderNumber": "S-1", "ItemNames": ["Vase", "Tote"], "Carrier": "DHL", "TrackingNumber": "T-1",
             "ShippedItems": [{"ProductName": "Vase", "Quantity": 2}]}},
        {"metric": "Requested Return", "profile_id": "P2", "unique_id": "r:1", "time": "2026-01-03T10:00:00+00:00",
         "value": None, "value_currency": None, "properties": {
             "OrderNumber": "S-1", "ItemNames": ["Vase", "Tote"], "ReturnItems": [{"Quantity": 1}]}},
        {"metric": "Returned Order", "profile_id": "P2", "unique_id": "r:2", "time": "2026-01-04T10:00:00+00:00",
         "value": None, "value_currency": None, "properties": {"ItemNames": ["Vase"], "ProductName": "Tote"}},
    ],
    "items": {
        "p1": {"title": "Osaka Stoneware Vase", "price": 64, "url": "https://x/p", "image_full_url": None,
               "published": True, "categories": ["k1", "gone"], "updated": "2026-01-01"},
        "p2": {"title": "", "published": False, "categories": [], "updated": "2026-01-02"},
    },
    "variants": {
        "B": {"item": "p1", "price": 64, "inventory_policy": 1, "inventory_quantity": 3},
        "A": {"item": "p1", "price": 60.5, "inventory_policy": 1, "inventory_quantity": 0},
        "C": {"item": "p1", "inventory_policy": 2, "inventory_quantity": 0},
    },
    "categories": {"k1": "Home"},
    "erased": [{}],
}  # fmt: skip


def _request(method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"method": method, "path": path, "body": body}


def test_a_profile_has_its_facts_and_its_timeline_the_latest_first() -> None:
    """Names, values with their currency, what was ordered; empty fields are left out."""
    held = klaviyo_state(STATE, frozenset())
    other, ada = held.profiles
    assert (ada.name, ada.email) == ("Ada", "a@example.com")
    assert [event.metric for event in ada.events] == ["Refunded Order", "Placed Order", "Ordered Product"]
    assert [event.value for event in ada.events] == ["5.00 EUR", "1,234.50 EUR", ""]
    assert [event.about for event in ada.events] == ["", "S-1 · Vase, Tote", "Vase"]
    assert [event.about for event in other.events] == ["Tote", "S-1 · 1 x", "S-1 · 2 x Vase · DHL T-1"]
    assert other.name == "no name"
    assert other.facts == {
        "phone": "+4930", "address": "Weg 1, Ulm", "external id": "c2", "tier": "gold", "colours": "red, blue",
        "newsletter": "no",
    }  # fmt: skip
    assert held.erased == 1


def test_an_item_has_price_stock_categories_and_variants() -> None:
    """Stock is the sum of what is tracked; a category that is gone goes by its id."""
    hidden, vase = klaviyo_state(STATE, frozenset()).items
    assert (vase.price, vase.stock, vase.initials) == ("64.00", "3 in stock", "OS")
    assert list(vase.categories) == ["Home", "gone"]
    assert [(one.sku, one.price, one.stock) for one in vase.variants] == [
        ("A", "60.50", "0"), ("B", "64.00", "3"), ("C", "no price", "not tracked"),
    ]  # fmt: skip
    assert (hidden.title, hidden.price, hidden.stock, hidden.is_published) == (
        "no name", "no price", "stock not tracked", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "profiles", "items", "categories"),
    [
        (_request("PATCH", f"/api/catalog-variants/{PREFIX}A", {"data": {"id": f"{PREFIX}A"}}), [], ["p1"], []),
        (_request("DELETE", "/api/catalog-items/%24custom%3A%3A%3A%24default%3A%3A%3Ap2"), [], ["p2"], []),
        (_request("POST", "/api/catalog-categories", {"data": {"attributes": {"external_id": "k1"}}}), [], [], ["k1"]),
        (_request("POST", "/api/profile-import", {"data": {"attributes": {"email": "a@example.com"}}}), ["P1"], [], []),
        (_request("POST", "/api/events", {"data": {"attributes": {"properties": {"id": "c1"}}}}), [], [], []),
        (_request("GET", f"/api/catalog-items/{PREFIX}p1"), [], [], []),
    ],
)
def test_what_a_delivery_was_about_comes_first(
    request_: dict[str, Any], profiles: list[str], items: list[str], categories: list[str]
) -> None:
    """By the identifiers in what it wrote, not by what it read or by an event's properties."""
    held = klaviyo_state(STATE, touched_by([request_]))
    assert [one.id for one in held.profiles if one.is_touched] == profiles
    assert [one.id for one in held.items if one.is_touched] == items
    assert [one.id for one in held.categories if one.is_touched] == categories
    assert held.profiles[0].is_touched or not profiles
    assert held.items[0].is_touched or not items


def test_new_events_of_a_delivery_are_told_from_older_ones() -> None:
    """By the unique id that was sent."""
    touched = touched_by([_request("POST", "/api/events", {"data": {"attributes": {"unique_id": "l1"}}})])
    events = next(profile for profile in klaviyo_state(STATE, touched).profiles if profile.id == "P1").events
    assert [event.unique_id for event in events if event.is_new] == ["l1"]


def test_what_a_message_changed_is_told_with_what_it_was() -> None:
    """By field; the parts of an address are the address, and a new resource has no other changes."""
    changes = {
        ("profile", "P2", "zip"): "1",
        ("profile", "P2", "phone_number"): "+4931",
        ("profile", "P1", ""): "",
        ("item", "p1", "price"): "70",
        ("variant", "A", "price"): "70",
        ("event", "Placed Order o1", ""): "",
    }
    held = klaviyo_state_after(STATE, (), changes, "product/p1")
    profiles = {profile.id: profile for profile in held.profiles}
    assert profiles["P2"].was == {"address": "1", "phone": "+4931"}
    assert (profiles["P1"].is_new, profiles["P2"].is_new) == (True, False)
    assert [event.unique_id for event in profiles["P1"].events if event.is_new] == ["o1"]
    assert held.items[0].was == {"price": "70"}
    assert [one.sku for one in held.items[0].variants if one.is_changed] == ["A"]
    assert held.profile("P2") == profiles["P2"]
    assert held.profile("other") == held.profiles[0]


def test_a_shopper_sees_what_is_on_sale_and_what_is_sold_out() -> None:
    """The price before a discount; no variant that is tracked has stock, and all are tracked."""
    items = {"p1": STATE["items"]["p1"] | {"custom_metadata": {"compare_at_price": 70.0}}}
    variants = {"A": STATE["variants"]["A"]}
    (item,) = klaviyo_state({**STATE, "items": items, "variants": variants}, frozenset()).items
    assert (item.full_price, item.is_sold_out) == ("70.00", True)
    assert not klaviyo_state(STATE, frozenset()).items[1].is_sold_out
    (item,) = klaviyo_state(
        {**STATE, "items": items, "variants": variants | {"C": STATE["variants"]["C"]}}, frozenset()
    ).items
    assert not item.is_sold_out


PAIRS = [
    *(("ink", ground) for ground in ("ground", "panel", "sunk", "accent-ground", "line")),
    *(("quiet", ground) for ground in ("ground", "panel", "sunk")),
    *((colour, "sunk") for colour in ("text", "number")),
    *((name, f"{name}-ground") for name in ("good", "wait", "bad", "accent")),
    *((name, "panel") for name in ("good", "wait", "bad", "accent")),
    ("accent-ink", "accent"),
    ("lit-ink", "lit"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("colour", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(scheme: str, colour: str, ground: str) -> None:
    """At least 4.5 to 1 (WCAG AA), in both themes."""
    css = (ROOT / "commands/page/static/css/base.css").read_text(encoding="utf-8")
    block = css.split(":root {")[1 if scheme == "light" else 2].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block))
    lighter, darker = sorted((_luminance(colours[colour]), _luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
