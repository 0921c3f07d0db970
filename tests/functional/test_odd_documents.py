"""Unusual but valid documents: with unknown fields, with empty ones, or very large."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function
from tests.functional.documents import (
    address,
    category,
    change,
    customer,
    entry,
    line_item,
    message,
    money,
    order,
    payment,
    product,
    reference,
    transaction,
    variant,
)

pytestmark = pytest.mark.usefixtures("buyer")

CREATED = message("CustomerCreated", "customer", "customer-1")
PUBLISHED = message("ProductPublished", "product", "product-1")

FUTURE: dict[str, Any] = {
    "fromTheFuture": {"kind": "Unheard", "list": [{"deep": None}, 1, "two"], "flag": True},
    "custom": {"type": reference("type", "t"), "fields": {"unheard": {"of": [1, None, {"x": "y"}]}}, "more": 1},
}


def _from_the_future(value: Any) -> Any:
    """The document with an unknown field in each of its objects."""
    match value:
        case dict():
            return {name: _from_the_future(child) for name, child in value.items()} | {"fromTheFuture": {"a": [None]}}
        case list():
            return [_from_the_future(child) for child in value]
    return value


def _future_money(cents: int) -> dict[str, Any]:
    return money(cents) | {"type": "quantumPrecision", "entangled": [1, 2]}


def test_a_customer_from_the_future(sandbox: Sandbox, function: Function) -> None:
    """Unknown fields at every level, and unknown enum values, do not affect the known fields."""
    new = customer(authenticationMode="Telepathy", stores=[{"typeId": "galaxy", "key": "m31"}], **FUTURE)
    sandbox.commercetools.put("customers", _from_the_future(new))
    done = measured(sandbox, function, _from_the_future(CREATED))
    assert done.outcome == "synced"
    assert done.profile("customer-1")["location"]["city"] == "Berlin"


def test_an_order_from_the_future(sandbox: Sandbox, function: Function) -> None:
    """All events are sent despite unknown states, origins, and kinds of money, discounts, lines and shipping."""
    discounted = {
        "value": _future_money(1800),
        "includedDiscounts": [
            {"discount": reference("wormhole-discount", "d"), "discountedAmount": _future_money(200)}
        ],
    }
    line = line_item(
        lineItemMode="Teleported",
        totalPrice=_future_money(3600),
        discountedPricePerQuantity=[{"quantity": 2, "discountedPrice": discounted}],
        price={"id": "p", "value": _future_money(2000), "discounted": {"value": _future_money(1900)}},
    )
    new = order(
        lines=[line],
        orderState="Paused",
        shipmentState="Canceled",
        paymentState="Promised",
        origin="RecurringOrder",
        totalPrice=_future_money(3600),
        taxedPrice={"totalTax": _future_money(600), "taxPortions": [{"rate": "dynamic"}]},
        taxMode="Astral",
        shippingMode="Portal",
        shippingInfo={"price": _future_money(490), "shippingMethodState": "Unheard"},
        discountCodes=[{"discountCode": reference("discount-code", "code-1"), "state": "Superposed"}],
        discountOnTotalPrice={"discountedAmount": _future_money(100), "kind": "Unheard"},
        customLineItems=[{"id": "c1", "name": {"en-US": "Gift"}, "quantity": 1, "money": _future_money(0)}],
        **FUTURE,
    )
    done = measured(sandbox, function, _from_the_future(message("OrderCreated", "order", "order-1", order=new)))
    assert done.outcome == "synced"
    placed = done.event("Placed Order", "order-1")
    assert (placed["value"], placed["properties"]["origin"]) == (36, "RecurringOrder")
    assert placed["properties"]["shipmentState"] == "Canceled"
    assert (placed["properties"]["DiscountValue"], placed["properties"]["ShippingCost"]) == (5, 4.9)
    assert done.event("Ordered Product", "line-1")["value"] == 36


def test_a_refund_from_the_future(sandbox: Sandbox, function: Function) -> None:
    """A refund with an unknown kind of money and unknown fields is still a refund."""
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    refund = transaction(amount=_future_money(700), interfaceState="Unheard")
    sandbox.commercetools.put("payments", _from_the_future(payment(transactions=[refund], **FUTURE)))
    notification = message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund)
    done = measured(sandbox, function, _from_the_future(notification))
    assert (done.outcome, done.event("Refunded Order", "payment-1:refund-1")["value"]) == ("synced", 7)


def test_a_catalog_from_the_future(sandbox: Sandbox, function: Function) -> None:
    """Category, product, variants and stock sync despite unknown modes, prices, attributes and fields."""
    price = {"id": "p", "value": _future_money(1500), "tiers": [{"kind": "Unheard"}], "discounted": None}
    odd = variant(
        "SKU-1",
        prices=[price, {"id": "q", "kind": "Unheard"}],
        attributes=[{"name": "brand", "value": {"kind": "Unheard", "x": [1]}}, {"name": "mass", "value": 3.5}],
        isMatchingVariant=None,
    )
    new = product(variants=[odd], categories=["women"], root={"priceMode": "Auction", **FUTURE})
    sandbox.commercetools.put("categories", _from_the_future(category("women", "Women", **FUTURE)))
    sandbox.commercetools.put("products", new)
    sandbox.commercetools.put("inventory", _from_the_future(entry(sku="SKU-1", quantity=4, mode="Unheard", **FUTURE)))
    assert measured(sandbox, function, message("CategoryCreated", "category", "women")).outcome == "synced"
    assert measured(sandbox, function, _from_the_future(PUBLISHED)).outcome == "synced"
    done = measured(sandbox, function, change("ResourceUpdated", "inventory-entry", "entry-1"))
    assert done.outcome == "synced"
    assert done.state["categories"] == {"women": "Women"}
    shown = done.state["variants"]["SKU-1"]
    assert (shown["price"], shown["inventory_quantity"]) == (15, 4)


@pytest.mark.parametrize(
    "missing", [{"customerEmail": None, "customerId": None}, {"customerEmail": " ", "customerId": None}]
)
@pytest.mark.parametrize("name", ["OrderCreated", "OrderStateChanged"])
def test_an_order_without_email_and_customer(sandbox: Sandbox, function: Function, missing: Any, name: str) -> None:
    """There is no profile for its events, so it is ignored."""
    anonymous = order(**missing)
    sandbox.commercetools.put("orders", anonymous)
    done = measured(sandbox, function, message(name, "order", "order-1", order=anonymous, orderState="Complete"))
    assert (done.outcome, done.written) == ("ignored no_profile", ())


def test_an_order_without_line_items(sandbox: Sandbox, function: Function) -> None:
    """Only Placed Order is sent, and no products are read."""
    empty = order(lines=[], totalPrice=money(0))
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=empty))
    assert (done.outcome, done.calls) == ("synced", (2, 1))
    assert (done.event("Placed Order", "order-1")["value"], len(done.state["events"])) == (0, 1)


def test_an_order_of_500_line_items(sandbox: Sandbox, function: Function) -> None:
    """All of its events are sent, and the products' categories are read in chunks of at most 100."""
    lines = [line_item(number, f"product-{number}") for number in range(1, 501)]
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=order(lines=lines)))
    assert (done.outcome, done.calls) == ("synced", (7, 501))
    ordered = {event["unique_id"] for event in done.state["events"] if event["metric"] == "Ordered Product"}
    assert ordered == {f"line-{number}" for number in range(1, 501)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prices": []}, {"price": 0}),
        ({"images": []}, {"image_full_url": None}),
        ({"prices": None, "images": None, "attributes": None}, {"price": 0, "image_full_url": None}),
    ],
    ids=["no prices", "no images", "nothing"],
)
def test_a_bare_variant(sandbox: Sandbox, function: Function, fields: Any, expected: Any) -> None:
    """A variant without prices is created at 0, one without images has none. A second publish writes nothing."""
    sandbox.commercetools.put("products", product(variants=[variant("SKU-1", **fields)]))
    for _ in range(2):
        done = measured(sandbox, function, PUBLISHED)
        assert done.outcome == "synced"
        shown = done.state["variants"]["SKU-1"]
        assert {name: shown.get(name) for name in expected} == expected
    assert done.calls == (2 + 2, 2)


def test_a_product_without_description_and_slug_of_the_locale(sandbox: Sandbox, function: Function) -> None:
    """A missing description is sent as an empty one; a slug in another locale is better than none."""
    sandbox.commercetools.put("products", product(description=None, slug={"fr-FR": "sac"}, name={"fr-FR": "Sac"}))
    done = measured(sandbox, function, PUBLISHED)
    item = done.state["items"]["product-1"]
    assert (item["title"], item["description"], item["url"]) == ("Sac", "", "https://shop.example/p/sac")


def test_150_variants(sandbox: Sandbox, function: Function) -> None:
    """All are created. Later both pages of variants are read, and only the changed variant is written."""
    many = [variant(f"SKU-{number}", number) for number in range(1, 151)]
    sandbox.commercetools.put("products", product(variants=many))
    assert len(measured(sandbox, function, PUBLISHED).state["variants"]) == 150
    many[149] = variant("SKU-150", 150, prices=[{"id": "p", "value": money(9900)}])
    sandbox.commercetools.put("products", product(variants=many, root={"version": 2}))
    done = measured(sandbox, function, PUBLISHED)
    pages = ["get_variants_for_catalog_item"] * 2
    assert sorted(done.written) == ["get_catalog_item", *pages, "update_catalog_variant"]
    assert done.state["variants"]["SKU-150"]["price"] == 99


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"addresses": []}, None),
        ({"addresses": None}, None),
        (
            {"addresses": [address(city="Potsdam")], "defaultBillingAddressId": "gone", "billingAddressIds": []},
            "Potsdam",
        ),
    ],
    ids=["empty list", "null", "missing default address"],
)
def test_a_customer_with_odd_addresses(sandbox: Sandbox, function: Function, fields: Any, location: Any) -> None:
    """Without an address there is no location. If the default address is missing, the first one is used."""
    sandbox.commercetools.put("customers", customer(**fields))
    done = measured(sandbox, function, CREATED)
    assert done.outcome == "synced"
    assert done.profile("customer-1").get("location", {}).get("city") == location


@pytest.mark.parametrize("email", [None, "", "  "])
def test_a_customer_without_email(sandbox: Sandbox, function: Function, email: Any) -> None:
    """The customer is ignored, and Klaviyo is not called."""
    sandbox.commercetools.put("customers", customer(email=email))
    done = measured(sandbox, function, CREATED)
    assert (done.outcome, done.written) == ("ignored no_email", ())
