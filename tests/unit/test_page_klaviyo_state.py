"""Klaviyo's data as the page shows it."""

from typing import Any

import pytest

from commands.page.klaviyo_state import klaviyo_state, klaviyo_state_after, touched_by

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


def test_a_profile_has_facts_and_a_timeline_latest_first() -> None:
    """Values have their currency, and events say what was ordered. Empty fields are left out."""
    state = klaviyo_state(STATE, frozenset())
    other, ada = state.profiles
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
    assert state.erased == 1


def test_an_item_has_price_stock_categories_and_variants() -> None:
    """Stock is the sum of the tracked variants. A deleted category appears by its id."""
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
def test_resources_a_message_is_about_come_first(
    request_: dict[str, Any], profiles: list[str], items: list[str], categories: list[str]
) -> None:
    """They are found by identifiers in its writes, not by its reads or by an event's properties."""
    state = klaviyo_state(STATE, touched_by([request_]))
    assert [one.id for one in state.profiles if one.is_touched] == profiles
    assert [one.id for one in state.items if one.is_touched] == items
    assert [one.id for one in state.categories if one.is_touched] == categories
    assert state.profiles[0].is_touched or not profiles
    assert state.items[0].is_touched or not items


def test_new_events_of_a_message_are_marked() -> None:
    """They are found by the unique ids that the message sent."""
    touched = touched_by([_request("POST", "/api/events", {"data": {"attributes": {"unique_id": "l1"}}})])
    events = next(profile for profile in klaviyo_state(STATE, touched).profiles if profile.id == "P1").events
    assert [event.unique_id for event in events if event.is_new] == ["l1"]


def test_changed_fields_show_their_previous_value() -> None:
    """A part of an address counts as the address. A profile is found by its id, or else is the first one shown."""
    changes = {
        ("profile", "P2", "zip"): "1",
        ("profile", "P2", "phone_number"): "+4931",
        ("profile", "P1", ""): "",
        ("item", "p1", "price"): "70",
        ("variant", "A", "price"): "70",
        ("event", "Placed Order o1", ""): "",
    }
    state = klaviyo_state_after(STATE, (), changes, "product/p1")
    profiles = {profile.id: profile for profile in state.profiles}
    assert profiles["P2"].was == {"address": "1", "phone": "+4931"}
    assert (profiles["P1"].is_new, profiles["P2"].is_new) == (True, False)
    assert [event.unique_id for event in profiles["P1"].events if event.is_new] == ["o1"]
    assert state.items[0].was == {"price": "70"}
    assert [one.sku for one in state.items[0].variants if one.is_changed] == ["A"]
    assert state.profile("P2") == profiles["P2"]
    assert state.profile("other") == state.profiles[0]


def test_an_item_shows_its_full_price_and_if_it_is_sold_out() -> None:
    """The full price is that before the discount. An item is sold out if all variants are tracked and out of stock."""
    items = {"p1": STATE["items"]["p1"] | {"custom_metadata": {"compare_at_price": 70.0}}}
    variants = {"A": STATE["variants"]["A"]}
    (item,) = klaviyo_state({**STATE, "items": items, "variants": variants}, frozenset()).items
    assert (item.full_price, item.is_sold_out) == ("70.00", True)
    assert not klaviyo_state(STATE, frozenset()).items[1].is_sold_out
    (item,) = klaviyo_state(
        {**STATE, "items": items, "variants": variants | {"C": STATE["variants"]["C"]}}, frozenset()
    ).items
    assert not item.is_sold_out
