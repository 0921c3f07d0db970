"""The commercetools stand-in: reads, queries, projections and expansion."""

from collections.abc import Iterator
from typing import Any

import pytest

import sandbox
from sandbox import Control, ControlError
from sandbox.calls import Calls, Response, commercetools

ROOT = {"id": "root", "key": "women", "name": {"en": "Women"}, "ancestors": [], "orderHint": "0.1"}
BAGS = {
    "id": "bags",
    "name": {"en": "Bags", "de-DE": "Taschen"},
    "parent": {"typeId": "category", "id": "root"},
    "ancestors": [{"typeId": "category", "id": "root"}],
    "orderHint": "0.2",
}
PRODUCT: dict[str, Any] = {
    "id": "p1",
    "version": 7,
    "key": "tote",
    "productType": {"typeId": "product-type", "id": "pt"},
    "priceMode": "Embedded",
    "masterData": {
        "published": True,
        "hasStagedChanges": True,
        "current": {
            "name": {"en": "Tote"},
            "slug": {"en": "tote"},
            "categories": [{"typeId": "category", "id": "bags"}],
            "masterVariant": {"id": 1, "sku": "S1", "prices": []},
            "variants": [{"id": 2, "sku": "S2"}, {"id": 3, "sku": "S3", "availability": {"availableQuantity": 5}}],
        },
        "staged": {"name": {"en": "New tote"}, "masterVariant": {"id": 1, "sku": "S9"}, "variants": []},
    },
}
ORDER = {
    "id": "o1",
    "customerId": "c1",
    "orderState": "Open",
    "totalPrice": {"centAmount": 1999, "currencyCode": "EUR"},
    "paymentInfo": {"payments": [{"typeId": "payment", "id": "pay1"}, {"typeId": "payment", "id": "pay2"}]},
}


@pytest.fixture
def shop(running: sandbox.Sandbox) -> Control:
    """A shop with a few documents."""
    control = Control(running.commercetools.url)
    control.reset()
    control.put_all(
        {
            "categories": [ROOT, BAGS],
            "products": [PRODUCT],
            "orders": [ORDER, {"id": "o2", "orderState": "Complete", "totalPrice": {"centAmount": 5}}],
            "payments": [{"id": "pay1", "transactions": []}],
            "customers": [{"id": f"c{number:03d}", "email": f"{number}@x.io", "isEmailVerified": number % 2 == 0}
                          for number in range(30)],
            "inventory": [
                {"id": "i1", "sku": "S1", "quantityOnStock": 9, "availableQuantity": 4},
                {"id": "i2", "sku": "S1", "quantityOnStock": 2, "supplyChannel": {"typeId": "channel", "id": "ch"}},
                {"id": "i3", "sku": "S2", "quantityOnStock": 0, "supplyChannel": {"typeId": "channel", "id": "ch"}},
            ],
        }
    )  # fmt: skip
    return control


@pytest.fixture
def calls(shop: Control) -> Iterator[Calls]:
    """A client with a token."""
    with commercetools(shop.url) as calls:
        yield calls


def found(answer: Response) -> list[str]:
    """The ids in a query's results."""
    assert answer.status == 200, answer.body
    return [document["id"] for document in answer.body["results"]]


class TestReads:
    """Documents by id and by query."""

    def test_a_document_is_read_by_id_or_key(self, calls: Calls) -> None:
        """A document is returned unchanged; every answer has a correlation id."""
        answer = calls("GET", "/any-project/categories/bags")
        assert answer.body == {**BAGS, "version": 1}
        assert answer.headers["x-correlation-id"]
        assert calls("GET", "/shop/categories/key=women").body["id"] == "root"

    def test_the_project(self, shop: Control, calls: Calls) -> None:
        """Its key is the one in the path; its settings are those given by `Control.project`."""
        assert calls("GET", "/my-shop").body == {"key": "my-shop", "version": 1}
        shop.project(productCatalogModel="Modular")
        assert calls("GET", "/shop").body["productCatalogModel"] == "Modular"
        assert [entry["operation"] for entry in shop.requests(kind="api")][-1] == "project.get"

    @pytest.mark.parametrize("collection", ["channels", "stores", "customer-groups"])
    def test_resources_by_key(self, shop: Control, calls: Calls, collection: str) -> None:
        """Resources that settings name by key can be read by it; a key may need percent-encoding."""
        shop.put(collection, {"id": "one", "key": "süd/1"})
        assert calls("GET", f"/shop/{collection}/key=s%C3%BCd%2F1").body["id"] == "one"
        assert calls("GET", f"/shop/{collection}/key=nord").status == 404

    @pytest.mark.parametrize("path", ["/shop/orders/none", "/shop/orders/key=none", "/shop/nothing", "/shop/no/none"])
    def test_an_unknown_document_or_path_is_not_found(self, calls: Calls, path: str) -> None:
        """An unknown document or path gives 404 ResourceNotFound."""
        answer = calls("GET", path)
        assert (answer.status, answer.body["errors"][0]["code"]) == (404, "ResourceNotFound")

    def test_the_control_api_changes_documents(self, shop: Control, calls: Calls) -> None:
        """A patch updates version and lastModifiedAt; a deleted document can't be read or deleted again."""
        shop.patch("orders", "o1", {"orderState": "Cancelled"})
        order = calls("GET", "/shop/orders/o1").body
        assert (order["version"], order["orderState"], order["customerId"]) == (2, "Cancelled", "c1")
        assert order["lastModifiedAt"].endswith("Z")
        shop.delete("orders", "o1")
        assert calls("GET", "/shop/orders/o1").status == 404
        with pytest.raises(ControlError):
            shop.delete("orders", "o1")

    def test_queries_are_paged(self, calls: Calls) -> None:
        """The default limit is 20; the total is included unless `withTotal=false`."""
        first = calls("GET", "/shop/customers", query={"sort": "id asc"}).body
        assert (first["limit"], first["offset"], first["count"], first["total"]) == (20, 0, 20, 30)
        query: dict[str, str | int] = {"sort": "id desc", "limit": 7, "offset": 25, "withTotal": "false"}
        last = calls("GET", "/shop/customers", query=query).body
        assert [customer["id"] for customer in last["results"]] == ["c004", "c003", "c002", "c001", "c000"]
        assert "total" not in last

    @pytest.mark.parametrize(
        "query",
        [{"limit": 501}, {"limit": "x"}, {"offset": 10001}, {"offset": -1}, {"withTotal": "no"}, {"sort": "nope asc"}],
    )
    def test_bad_parameters_are_refused(self, calls: Calls, query: dict[str, str | int]) -> None:
        """Out-of-range parameters are rejected, not clamped."""
        answer = calls("GET", "/shop/customers", query=query)
        assert (answer.status, answer.body["errors"][0]["code"]) == (400, "InvalidInput")

    def test_a_long_url_is_refused(self, calls: Calls) -> None:
        """A URL of more than 12,000 characters gets a proxy's 414."""
        answer = calls("GET", "/shop/customers", query={"where": f'id="{"x" * 12_000}"'})
        assert answer.status == 414
        assert answer.body.startswith(b"<html>")
        assert calls("GET", "/shop/customers", query={"where": f'id="{"x" * 11_000}"'}).status == 200


class TestPredicates:
    """The `where` parameter of a query."""

    @pytest.mark.parametrize(
        ("collection", "predicate", "expected"),
        [
            ("orders", 'id = "o1"', ["o1"]),
            ("orders", 'id in ("o1", "o2", "o3")', ["o1", "o2"]),
            ("orders", 'id not in ("o1")', ["o2"]),
            ("orders", 'paymentInfo(payments(id="pay2"))', ["o1"]),
            ("orders", 'paymentInfo(payments(typeId="payment" and id="pay9"))', []),
            ("orders", "paymentInfo is defined", ["o1"]),
            ("orders", "paymentInfo is not defined", ["o2"]),
            ("orders", "totalPrice(centAmount > 5)", ["o1"]),
            ("orders", "totalPrice(centAmount >= 5 and centAmount < 1999.5)", ["o1", "o2"]),
            ("orders", 'orderState <> "Open"', ["o2"]),
            ("orders", 'not(orderState = "Open" or orderState = "Confirmed")', ["o2"]),
            ("orders", 'customerId="c1" and (orderState="Open" or orderState="Complete")', ["o1"]),
            ("orders", 'orderState="Complete" or orderState="Open" and customerId="other"', ["o2"]),
            ("categories", 'ancestors(id="root")', ["bags"]),
            ("categories", "ancestors is empty", ["root"]),
            ("categories", 'name(`de-DE`="Taschen")', ["bags"]),
            ("categories", 'id > "bags"', ["root"]),
            ("customers", 'isEmailVerified = true and id <= "c002"', ["c000", "c002"]),
            ("inventory", 'sku="S1" and supplyChannel(id="ch")', ["i2"]),
            ("inventory", 'sku="S1" and supplyChannel is not defined', ["i1"]),
            ("product-projections", 'masterVariant(sku="S9") or variants(sku="S9")', ["p1"]),
            ("products", 'masterData(current(masterVariant(sku="S1") or variants(sku="S1")))', ["p1"]),
            ("inventory", 'sku = "a\\"b\\\\c\\u00fc"', []),
        ],
    )
    def test_a_predicate_selects_documents(
        self, calls: Calls, collection: str, predicate: str, expected: list[str]
    ) -> None:
        """Each kind of condition matches the right documents."""
        assert found(calls("GET", f"/shop/{collection}", query={"where": predicate, "sort": "id asc"})) == expected

    def test_quotes_and_backslashes_are_escaped(self, shop: Control, calls: Calls) -> None:
        """Quotes and backslashes in a text literal are escaped by a backslash."""
        shop.put("inventory", {"id": "odd", "sku": 'a"b\\c ü'})
        assert found(calls("GET", "/shop/inventory", query={"where": 'sku="a\\"b\\\\c ü"'})) == ["odd"]

    def test_all_predicates_must_match(self, calls: Calls) -> None:
        """A document is found only if it matches each `where` parameter."""
        assert found(calls("GET", "/shop/inventory", query={"where": ['sku="S1"', 'id="i2"']})) == ["i2"]
        assert found(calls("GET", "/shop/inventory", query={"where": ['sku="S2"', 'id="i2"']})) == []

    def test_a_predicate_may_have_input_variables(self, calls: Calls) -> None:
        """A variable has one value, or several for `in`; the field may be a number."""
        one = {"where": "sku = :sku and quantityOnStock = :stock", "var.sku": "S1", "var.stock": "9"}
        assert found(calls("GET", "/shop/inventory", query=one)) == ["i1"]
        many = {"where": "id in :ids", "var.ids": ["i1", "i3", "none"]}
        assert found(calls("GET", "/shop/inventory", query=many)) == ["i1", "i3"]

    @pytest.mark.parametrize(
        "predicate",
        ["", "id", "id =", 'id = "x', "id = x", 'id in "x"', 'id in ("x"', '(id="x"', 'id="x" and', 'id="x" id="y"',
         'nope = "x"', "id = :missing", 'id is "x"', 'id ~ "x"', 'id = "\\x"'],
    )  # fmt: skip
    def test_a_malformed_predicate_is_refused(self, calls: Calls, predicate: str) -> None:
        """Syntax errors and unknown fields give 400."""
        answer = calls("GET", "/shop/orders", query={"where": predicate})
        assert (answer.status, answer.body["errors"][0]["code"]) == (400, "InvalidInput")
        assert answer.body["message"].startswith("Malformed parameter: where: ")


class TestProjections:
    """Product projections."""

    def test_staged_false_returns_the_current_data(self, calls: Calls) -> None:
        """`staged=false` returns the current data, flattened, with the product's own fields."""
        projection = calls("GET", "/shop/product-projections/p1", query={"staged": "false"}).body
        assert projection["name"] == {"en": "Tote"}
        assert (projection["version"], projection["key"], projection["priceMode"]) == (7, "tote", "Embedded")
        assert (projection["published"], projection["hasStagedChanges"]) == (True, True)
        assert "masterData" not in projection

    def test_staged_is_the_default(self, calls: Calls) -> None:
        """Without `staged=false` the staged data is returned."""
        assert calls("GET", "/shop/product-projections/p1").body["name"] == {"en": "New tote"}

    def test_unpublished_products_have_no_current_projection(self, shop: Control, calls: Calls) -> None:
        """With `staged=false` an unpublished product gives 404 by id and is not in queries."""
        shop.patch("products", "p1", {"masterData": {**PRODUCT["masterData"], "published": False}})
        assert calls("GET", "/shop/product-projections/p1", query={"staged": "false"}).status == 404
        assert found(calls("GET", "/shop/product-projections", query={"staged": "false"})) == []
        assert calls("GET", "/shop/product-projections/p1").status == 200
        assert found(calls("GET", "/shop/product-projections")) == ["p1"]

    def test_availability_comes_from_inventory(self, shop: Control, calls: Calls) -> None:
        """Stock without a channel is at the top level, other stock under its channel; own availability stays."""
        variants = self._availability(calls)
        assert variants["S1"]["availableQuantity"] == 4
        assert variants["S1"]["channels"]["ch"]["availableQuantity"] == 2
        assert (variants["S2"]["channels"]["ch"]["isOnStock"], "isOnStock" in variants["S2"]) == (False, False)
        assert variants["S3"] == {"availableQuantity": 5}
        shop.delete("inventory", "i3")
        shop.patch("inventory", "i1", {"availableQuantity": 0})
        variants = self._availability(calls)
        assert variants["S2"] is None
        assert (variants["S1"]["isOnStock"], variants["S1"]["availableQuantity"]) == (False, 0)

    @staticmethod
    def _availability(calls: Calls) -> dict[str, Any]:
        projection = calls("GET", "/shop/product-projections/p1", query={"staged": "false"}).body
        variants = [projection["masterVariant"], *projection["variants"]]
        return {variant["sku"]: variant.get("availability") for variant in variants}


class TestExpansion:
    """The `expand` parameter."""

    def test_every_reference_on_a_path_is_expanded(self, calls: Calls) -> None:
        """A path that passes through a reference expands that reference too."""
        query = {"staged": "false", "expand": "categories[*].ancestors[*]"}
        (category,) = calls("GET", "/shop/product-projections/p1", query=query).body["categories"]
        assert category["obj"]["name"]["en"] == "Bags"
        assert category["obj"]["ancestors"][0]["obj"]["name"]["en"] == "Women"

    def test_several_paths_and_missing_documents(self, calls: Calls) -> None:
        """Every path is expanded; a reference to a missing document stays unexpanded."""
        category = calls("GET", "/shop/categories/bags", query={"expand": ["parent", "ancestors[*]"]}).body
        assert category["parent"]["obj"]["id"] == category["ancestors"][0]["obj"]["id"] == "root"
        (order,) = calls("GET", "/shop/orders", query={"where": 'id="o1"', "expand": "paymentInfo.payments[*]"}).body[
            "results"
        ]
        assert [payment.get("obj", {}).get("id") for payment in order["paymentInfo"]["payments"]] == ["pay1", None]

    def test_expansion_does_not_modify_documents(self, calls: Calls) -> None:
        """Expansion does not modify the stored document: the next read without `expand` has no `obj`."""
        calls("GET", "/shop/categories/bags", query={"expand": "ancestors[*]"})
        assert calls("GET", "/shop/categories/bags").body["ancestors"] == BAGS["ancestors"]


class TestCustomers:
    """The customer reads behind order events."""

    def test_finds_a_customer_by_e_mail_in_any_case(self, shop: Control, calls: Calls) -> None:
        """Predicates accept `lowercaseEmail`; answers don't contain it."""
        shop.put("customers", {"id": "jane", "email": "Jane@X.io"})
        answer = calls("GET", "/shop/customers?where=lowercaseEmail%3D%22jane%40x.io%22")
        assert found(answer) == ["jane"]
        assert "lowercaseEmail" not in answer.body["results"][0]

    def test_expansion_respects_scopes(self, shop: Control, calls: Calls) -> None:
        """A customer group whose scope is missing stays unexpanded."""
        shop.put("customer-groups", {"id": "vip", "key": "vip"})
        shop.put("customers", {"id": "jane", "customerGroup": {"typeId": "customer-group", "id": "vip"}})
        path = "/shop/customers/jane?expand=customerGroup"
        assert calls("GET", path).body["customerGroup"]["obj"]["key"] == "vip"
        shop.tokens(deny_scopes=["view_customer_groups"])
        assert "obj" not in calls("GET", path).body["customerGroup"]
