"""Reads of both stand-ins that lag behind writes."""

from typing import Any

import pytest

from sandbox import Control, ControlError, Sandbox
from sandbox.calls import Calls, commercetools
from sandbox.lag import Lag
from tests.fake_clock import FakeClock
from tests.unit.catalog_bodies import at, category, change
from tests.unit.klaviyo_bodies import profile

LONG = 60.0
CATEGORIES = "/api/catalog-categories"


@pytest.fixture
def shop(running: Sandbox) -> Control:
    """A published product with one SKU, in stock, in a category."""
    control = Control(running.commercetools.url)
    control.reset()
    current = {"categories": [{"typeId": "category", "id": "bags"}], "masterVariant": {"id": 1, "sku": "S1"}}
    control.put_all(
        {
            "categories": [{"id": "bags", "name": {"en": "Bags"}, "ancestors": []}],
            "products": [{"id": "p1", "masterData": {"published": True, "current": current}}],
            "inventory": [{"id": "i1", "sku": "S1", "quantityOnStock": 9}],
        }
    )
    return control


class TestCommercetools:
    """Availability and queries."""

    def test_availability_lags(self, shop: Control, sandbox_clock: FakeClock) -> None:
        """A projection first shows the old stock, then the current one; the inventory entry is always current."""
        shop.lag(0.3, of="availability")
        shop.patch("inventory", "i1", {"quantityOnStock": 5})
        with commercetools(shop.url) as calls:
            assert _available(calls) == 9
            assert _results(calls, "inventory", "quantityOnStock") == [5]
            sandbox_clock.sleep(0.35)
            assert _available(calls) == 5

    def test_a_new_entry_is_not_available_yet(self, shop: Control) -> None:
        """A projection ignores a new inventory entry while availability lags."""
        shop.delete("inventory", "i1")
        shop.lag(LONG, of="availability")
        shop.put("inventory", {"id": "i2", "sku": "S1", "quantityOnStock": 1})
        with commercetools(shop.url) as calls:
            assert _available(calls) is None
        shop.reset()

    def test_queries_lag(self, shop: Control) -> None:
        """Queries show changed, new and deleted documents as they were before; reads by id are current."""
        shop.lag(LONG, of="queries")
        shop.patch("inventory", "i1", {"quantityOnStock": 5})
        shop.put("inventory", {"id": "i2", "sku": "S2", "quantityOnStock": 1})
        shop.delete("categories", "bags")
        with commercetools(shop.url) as calls:
            assert _results(calls, "inventory", "quantityOnStock") == [9]
            assert _results(calls, "categories", "id") == ["bags"]
            assert calls("GET", "/shop/inventory/i1").body["quantityOnStock"] == 5
            assert calls("GET", "/shop/inventory/i2").status == 200
            assert calls("GET", "/shop/categories/bags").status == 404

    def test_queries_of_projections_lag(self, shop: Control) -> None:
        """An unpublished product is still found by a query, but not by its id."""
        shop.lag(LONG, of="queries")
        unpublished = {**shop.document("products", "p1")["masterData"], "published": False}
        shop.patch("products", "p1", {"masterData": unpublished})
        with commercetools(shop.url) as calls:
            assert _results(calls, "product-projections", "id") == ["p1"]
            assert calls("GET", "/shop/product-projections/p1", query={"staged": "false"}).status == 404

    def test_a_reset_ends_the_lag(self, shop: Control) -> None:
        """Nothing lags after a reset."""
        shop.lag(LONG, of="queries")
        shop.reset()
        shop.put("categories", {"id": "bags"})
        with commercetools(shop.url) as calls:
            assert _results(calls, "categories", "id") == ["bags"]


class TestKlaviyo:
    """Lists of categories and profiles. Those of items and variants are in the tests of the catalog."""

    def test_the_list_of_categories_lags(self, control: Control, calls: Calls) -> None:
        """The list shows a category's old name, and a deleted category; reads by id are current."""
        for name in ("bags", "women"):
            calls("POST", CATEGORIES, category(name))
        control.lag(LONG)
        renamed = change("catalog-category", "bags", name="Renamed")
        assert calls("PATCH", at("catalog-categories", "bags"), renamed).status == 200
        assert calls("DELETE", at("catalog-categories", "women")).status == 204
        listed = calls("GET", CATEGORIES).body["data"]
        assert [entry["attributes"]["name"] for entry in listed] == ["Bags", "Women"]
        assert calls("GET", at("catalog-categories", "bags")).body["data"]["attributes"]["name"] == "Renamed"
        assert calls("GET", at("catalog-categories", "women")).status == 404

    def test_the_list_of_profiles_lags(self, control: Control, calls: Calls) -> None:
        """The list misses new profiles and shows old and erased ones; reads by id are current."""
        known = calls("POST", "/api/profiles", profile(external_id="c1", email="old@x.io")).body["data"]["id"]
        control.lag(LONG, of="profiles")
        calls("POST", "/api/profiles", profile(external_id="c2", email="new@x.io"))
        calls("PATCH", f"/api/profiles/{known}", profile(known, email="moved@x.io"))
        assert _emails(calls) == ["old@x.io"]
        assert _emails(calls, 'equals(email,"moved@x.io")') == []
        assert calls("GET", f"/api/profiles/{known}").body["data"]["attributes"]["email"] == "moved@x.io"
        erasure = {"profile": {"data": {"type": "profile", "id": known, "attributes": {}}}}
        job = {"data": {"type": "data-privacy-deletion-job", "attributes": erasure}}
        assert calls("POST", "/api/data-privacy-deletion-jobs", job).status == 202
        assert _emails(calls) == ["old@x.io"]
        assert calls("GET", f"/api/profiles/{known}").status == 404


def test_each_read_draws_its_lag() -> None:
    """Each read draws its lag between the bounds; the same seed repeats the draws."""
    lag = Lag()
    lag.set(1, 3)

    def draws() -> list[float]:
        lag.seed(7)
        return [lag.draw() for _ in range(8)]

    first = draws()
    assert draws() == first
    assert len(set(first)) == 8
    assert all(1 <= seconds <= 3 for seconds in first)


@pytest.mark.parametrize(
    "rule",
    [
        {"of": "queries", "seconds": 1},
        {"of": "lists", "seconds": 2, "up_to": 1},
        {"of": "lists", "seconds": -1},
        {"of": "lists"},
    ],
)
def test_an_invalid_lag_is_refused(control: Control, rule: dict[str, Any]) -> None:
    """Reads of the other backend, reversed or negative bounds, and a missing duration are rejected."""
    with pytest.raises(ControlError):
        control.call("POST", "lag", rule)


def _available(calls: Calls) -> Any:
    projection = calls("GET", "/shop/product-projections/p1", query={"staged": "false"}).body
    return projection["masterVariant"].get("availability", {}).get("availableQuantity")


def _results(calls: Calls, collection: str, field: str) -> list[Any]:
    return [found[field] for found in calls("GET", f"/shop/{collection}").body["results"]]


def _emails(calls: Calls, condition: str = "") -> list[str]:
    query = {"filter": condition} if condition else {}
    return [found["attributes"]["email"] for found in calls("GET", "/api/profiles", query=query).body["data"]]
