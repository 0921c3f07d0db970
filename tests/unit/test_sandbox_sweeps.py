"""The commercetools stand-in: the Messages API, reading whole collections, and queries by time."""

from typing import Any

import pytest

from sandbox import Control
from sandbox.calls import Calls, request_token

PAGE = 500
A, B = "2026-05-01T00:00:00Z", "2026-05-01T00:15:00.000Z"
DUE = f'(validFrom > "{A}" and validFrom <= "{B}") or (validUntil > "{A}" and validUntil <= "{B}")'
DELIVERED = {
    "notificationType": "Message",
    "projectKey": "shop",
    "id": "m1",
    "version": 1,
    "sequenceNumber": 4,
    "resource": {"typeId": "product", "id": "p1"},
    "resourceVersion": 6,
    "type": "ProductUnpublished",
    "createdAt": "2026-05-01T00:00:01.000Z",
    "lastModifiedAt": "2026-05-01T00:00:01.000Z",
}


def found(shop_calls: Calls, collection: str, where: str, **query: Any) -> list[str]:
    """The ids in a query's results, sorted by id unless `sort` is given."""
    answer = shop_calls("GET", f"/shop/{collection}", query={"where": where, "sort": "id asc", **query})
    assert answer.status == 200, answer.body
    return [document["id"] for document in answer.body["results"]]


def product(name: str, master: dict[str, Any], *others: dict[str, Any], published: bool = True) -> dict[str, Any]:
    """A product whose variants each have one embedded price."""
    variants = [{"id": 1 + index, "prices": [price]} for index, price in enumerate((master, *others))]
    current = {"masterVariant": variants[0], "variants": variants[1:]}
    return {"id": name, "masterData": {"published": published, "current": current}}


class TestMessages:
    """GET /messages."""

    def test_messages_are_paged_by_time_and_id(self, shop: Control, shop_calls: Calls) -> None:
        """Messages can be paged by time, and by id within the same time."""
        for number, time in ((3, "00:00:02.000Z"), (1, "00:00:01.000Z"), (2, "00:00:01.000Z"), (0, "00:00:00.000Z")):
            shop.put("messages", {"id": f"m{number}", "type": "ProductPublished", "createdAt": f"2026-05-01T{time}"})
        order = {"sort": ["createdAt asc", "id asc"], "withTotal": "false"}
        since = 'createdAt > "2026-05-01T00:00:00Z"'
        assert found(shop_calls, "messages", since, limit=2, **order) == ["m1", "m2"]
        rest = 'createdAt > "2026-05-01T00:00:01.000Z" or (createdAt = "2026-05-01T00:00:01Z" and id > "m2")'
        assert found(shop_calls, "messages", rest, limit=2, **order) == ["m3"]

    def test_a_delivered_message_is_listed(self, shop: Control, shop_calls: Calls) -> None:
        """A delivered message appears in the API without the two fields that only deliveries have."""
        shop.put_delivered_message(DELIVERED)
        expected = {name: value for name, value in DELIVERED.items() if name not in ("notificationType", "projectKey")}
        assert shop_calls("GET", "/shop/messages/m1").body == expected
        assert found(shop_calls, "messages", 'type="ProductUnpublished" and resource(typeId="product")') == ["m1"]

    def test_the_messages_api_can_be_disabled(self, shop: Control, shop_calls: Calls) -> None:
        """A project with the Messages API disabled lists none, and its settings say so."""
        shop.put_delivered_message(DELIVERED)
        shop.project(messages={"enabled": False})
        assert found(shop_calls, "messages", 'id > ""') == []
        assert shop_calls("GET", "/shop").body["messages"] == {"enabled": False}
        shop.project(messages={"enabled": True, "deleteDaysAfterCreation": 15})
        assert found(shop_calls, "messages", 'id > ""') == ["m1"]

    def test_messages_need_a_scope_of_their_own(self, shop: Control, shop_calls: Calls) -> None:
        """Reading messages needs `view_messages`."""
        shop.tokens(enforce_scopes=True)
        for scope, status in (("view_orders:shop view_products:shop", 403), ("view_messages:shop", 200)):
            token = request_token(shop_calls, scope=scope).body["access_token"]
            assert shop_calls("GET", "/shop/messages", headers={"Authorization": f"Bearer {token}"}).status == status


@pytest.mark.parametrize(
    "collection", ["inventory", "product-projections", "customers", "orders", "categories", "standalone-prices"]
)
def test_a_collection_is_paged_by_id(shop: Control, shop_calls: Calls, collection: str) -> None:
    """A collection can be read 500 at a time, each page after the last id of the one before."""
    names = [f"d{number:04d}" for number in range(2 * PAGE + 1)]
    stored, document = (
        ("products", {"masterData": {"published": True}}) if collection == "product-projections" else (collection, {})
    )
    shop.put_all({stored: [{**document, "id": name} for name in reversed(names)]})
    seen: list[str] = []
    while page := found(
        shop_calls, collection, f'id > "{seen[-1] if seen else ""}"', limit=PAGE, withTotal="false", staged="false"
    ):
        assert len(page) <= PAGE
        seen += page
    assert seen == names


def test_orders_of_a_day(shop: Control, shop_calls: Calls) -> None:
    """An order's time is `completedAt` if it was imported, else `createdAt`."""
    shop.put_all(
        {
            "orders": [
                {"id": "late", "createdAt": "2026-05-02T00:00:00.000Z"},
                {"id": "imported", "createdAt": "2026-06-01T00:00:00.000Z", "completedAt": "2026-05-01T10:00:00.000Z"},
                {"id": "placed", "createdAt": "2026-05-01T23:59:59.999Z"},
                {"id": "before", "createdAt": "2026-05-01T10:00:00.000Z", "completedAt": "2026-04-30T23:59:59.999Z"},
            ]
        }
    )
    day = '"2026-05-01T00:00:00Z"', '"2026-05-02T00:00:00Z"'
    where = " or ".join(
        (
            f"(completedAt >= {day[0]} and completedAt < {day[1]})",
            f"(completedAt is not defined and createdAt >= {day[0]} and createdAt < {day[1]})",
        )
    )
    assert found(shop_calls, "orders", where) == ["imported", "placed"]


class TestDuePrices:
    """Prices whose validity starts or ends within a quarter of an hour."""

    PRICES: tuple[tuple[str, dict[str, str]], ...] = (
        ("at-the-start", {"validFrom": A}),
        ("begins", {"validFrom": "2026-05-01T00:00:00.001Z"}),
        ("begins-last", {"validFrom": "2026-05-01T00:15:00Z"}),
        ("ends", {"validFrom": "2020-01-01T00:00:00Z", "validUntil": "2026-05-01T00:10:00.000Z"}),
        ("no-times", {}),
        ("over", {"validFrom": "2020-01-01T00:00:00Z", "validUntil": "2026-05-01T00:15:00.001Z"}),
    )
    EXPECTED = ("begins", "begins-last", "ends")

    def test_due_standalone_prices_are_found(self, shop: Control, shop_calls: Calls) -> None:
        """Finds active prices; a document without `active` is active."""
        shop.put_all({"standalone-prices": [{"id": name, "sku": name, **times} for name, times in self.PRICES]})
        shop.put("standalone-prices", {"id": "off", "sku": "off", "active": False, "validFrom": B})
        assert found(shop_calls, "standalone-prices", f"active=true and ({DUE})") == [*self.EXPECTED]
        assert found(shop_calls, "standalone-prices", DUE) == [*self.EXPECTED, "off"]
        assert shop_calls("GET", "/shop/standalone-prices/ends").body["active"] is True

    @pytest.mark.parametrize("is_master", [True, False])
    def test_due_embedded_prices_are_found(self, shop: Control, shop_calls: Calls, *, is_master: bool) -> None:
        """Finds prices of the master variant and of other variants, in current projections."""
        documents = [product(name, times) if is_master else product(name, {}, {}, times) for name, times in self.PRICES]
        hidden = product("hidden", {"validFrom": B}, published=False)
        shop.put_all({"products": [*documents, hidden]})
        where = f"masterVariant(prices({DUE})) or variants(prices({DUE}))"
        assert found(shop_calls, "product-projections", where, staged="false") == [*self.EXPECTED]

    def test_both_bounds_apply_to_one_price(self, shop: Control, shop_calls: Calls) -> None:
        """One price before the range and one after it don't match together."""
        outside = product("p1", {"validFrom": "2020-01-01T00:00:00Z"})
        outside["masterData"]["current"]["masterVariant"]["prices"].append({"validFrom": "2030-01-01T00:00:00Z"})
        shop.put("products", outside)
        where = f'masterVariant(prices(validFrom > "{A}" and validFrom <= "{B}"))'
        assert found(shop_calls, "product-projections", where, staged="false") == []

    def test_a_query_can_time_out(self, shop: Control, shop_calls: Calls) -> None:
        """Queries of one collection can fail with QueryTimedOut (400) or 504 while reads by id succeed."""
        timed_out = {"statusCode": 400, "message": "", "errors": [{"code": "QueryTimedOut", "message": ""}]}
        shop.put("products", product("p1", {}))
        shop.fail("/product-projections$", status=400, body=timed_out, count=1)
        shop.fail("/product-projections$", status=504, count=1)
        answers = [shop_calls("GET", "/shop/product-projections") for _ in range(3)]
        assert [answer.status for answer in answers] == [400, 504, 200]
        assert answers[0].body["errors"][0]["code"] == "QueryTimedOut"
        assert shop_calls("GET", "/shop/product-projections/p1").status == 200
