"""Details of events and profiles: discount codes, images, order values, old orders, customer properties."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import Measured, measured
from tests.functional.conftest import Configured, Function
from tests.functional.documents import (
    category,
    change,
    customer,
    line_item,
    message,
    money,
    order,
    payment,
    product,
    reference,
    too_large,
    transaction,
    variant,
)

pytestmark = pytest.mark.usefixtures("buyer")

CODES = [{"discountCode": reference("discount-code", "code-1"), "state": "MatchesCart"}]


@pytest.fixture
def code(sandbox: Sandbox) -> None:
    """A discount code in commercetools."""
    sandbox.commercetools.put("discount-codes", {"id": "code-1", "code": "SUMMER25", "isActive": True})


def _placed(number: int = 1, **fields: Any) -> Any:
    order_id = f"order-{number}"
    lines = [line_item(number, f"product-{number}")]
    return message("OrderCreated", "order", order_id, order=order(order_id, lines=lines) | fields)


def _properties(done: Measured, number: int = 1) -> Any:
    return done.event("Placed Order", f"order-{number}")["properties"]


@pytest.mark.usefixtures("code")
def test_a_code_is_what_the_shopper_typed(sandbox: Sandbox, steady: Function) -> None:
    """The message has only the code's id. The code never changes, so it is read once and remembered."""
    first = measured(sandbox, steady, _placed(discountCodes=CODES))
    assert (_properties(first)["DiscountCode"], "discount-codes.query" in first.read) == ("SUMMER25", True)
    second = measured(sandbox, steady, _placed(2, discountCodes=CODES))
    assert (_properties(second, 2)["DiscountCode"], "discount-codes.query" in second.read) == ("SUMMER25", False)


@pytest.mark.usefixtures("code")
def test_a_code_that_can_not_be_read_is_left_out(sandbox: Sandbox, steady: Function) -> None:
    """Without the scope view_discount_codes no code is sent, rather than its id; this is logged once."""
    sandbox.commercetools.tokens(deny_scopes=["view_discount_codes"])
    for number in (1, 2):
        done = measured(sandbox, steady, _placed(number, discountCodes=CODES))
        assert (done.outcome, "DiscountCode" in _properties(done, number)) == ("synced", False)
    warnings = [line for line in steady.lines() if line.get("reason") == "no view_discount_codes scope"]
    assert len(warnings) == 1


def test_a_deleted_code_is_left_out(sandbox: Sandbox, steady: Function) -> None:
    """Nobody can look up its text any more."""
    done = measured(sandbox, steady, _placed(discountCodes=CODES))
    assert (done.outcome, "DiscountCode" in _properties(done)) == ("synced", False)


def test_a_line_item_without_image_shows_its_product(sandbox: Sandbox, steady: Function) -> None:
    """The product's first image is used, with an encoded URL. The read of the categories returns it anyway."""
    pictures = [{"url": "https://cdn.example.com/Summer Bag, front ü.jpg", "dimensions": {"w": 1, "h": 1}}]
    sold = product("product-1", [variant("A", images=[]), variant("B", 2, images=pictures)])
    sandbox.commercetools.put("products", sold)
    done = measured(sandbox, steady, _placed(lineItems=[line_item(variant=variant(images=[]))]))
    assert done.calls == (3, 2)
    url = "https://cdn.example.com/Summer%20Bag,%20front%20%C3%BC.jpg"
    assert _properties(done)["Items"][0]["ImageURL"] == url
    assert done.event("Ordered Product", "line-1")["properties"]["ImageURL"] == url


def test_images_of_the_catalog_are_urls(sandbox: Sandbox, function: Function) -> None:
    """Characters that a URL can't hold are percent-encoded; what is encoded already stays as it is."""
    pictures = ["https://cdn.example.com/Front ü.jpg", "https://cdn.example.com/fine%20.jpg?w=2&h=3#x"]
    variants = [
        variant(f"V{number}", number, images=[{"url": url, "dimensions": {"w": 1, "h": 1}}])
        for number, url in enumerate(pictures, 1)
    ]
    sandbox.commercetools.put("products", product("product-1", variants))
    function.deliver(message("ProductPublished", "product", "product-1"))
    state = sandbox.klaviyo.state()
    encoded = ["https://cdn.example.com/Front%20%C3%BC.jpg", pictures[1]]
    assert state["items"]["product-1"]["images"] == encoded
    assert [state["variants"][sku]["image_full_url"] for sku in ("V1", "V2")] == encoded


NET: Any = {"totalPrice": money(2000), "taxedPrice": {"totalNet": money(2000), "totalGross": money(2165)}}


@pytest.mark.parametrize(("rules", "value"), [("", 21.65), ('[order]\nvalue = "total"\n', 20)])
def test_the_value_of_an_order_with_net_prices(
    sandbox: Sandbox, configured: Configured, rules: str, value: float
) -> None:
    """The value includes the tax, as a full refund does, unless `[order] value = "total"`."""
    function = configured(rules)
    paid: Any = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
    sandbox.commercetools.put("orders", order() | NET | paid)
    refund = transaction(cents=2165)
    sandbox.commercetools.put("payments", payment(transactions=[refund]))
    function.deliver(_placed(**NET, **paid))
    done = measured(sandbox, function, message("PaymentTransactionAdded", "payment", "payment-1", transaction=refund))
    assert done.event("Placed Order", "order-1")["value"] == value
    assert done.event("Ordered Product", "line-1")["value"] == 20
    assert done.event("Refunded Order", "payment-1:refund-1")["value"] == 21.65


@pytest.mark.parametrize(
    ("rules", "flagged"),
    [
        ("", [False, True]),
        ("[events]\nflow_max_age = 3600\n", [True, True]),
        ("[events]\nflow_max_age = 0\n", [False] * 2),
    ],
    ids=["three days", "an hour", "never"],
)
def test_an_old_order_starts_no_flow(sandbox: Sandbox, configured: Configured, rules: str, flagged: list[bool]) -> None:
    """Yesterday's order starts flows. A two-year-old one is recorded with `backfill`, so nobody is mailed."""
    function = configured(rules)
    now = datetime.now(UTC)
    for number, age in enumerate((timedelta(days=1), timedelta(days=730)), 1):
        notification = _placed(number, completedAt=(now - age).isoformat())
        assert function.deliver({**notification, "type": "OrderImported"}).outcome == "synced"
    events = sandbox.klaviyo.state()["events"]
    assert {(event["unique_id"][-1], event["backfill"]) for event in events} == {("1", flagged[0]), ("2", flagged[1])}


def _detailed_customer() -> Any:
    """A customer with a number, date of birth, group and store."""
    return customer(
        customerNumber="K-1",
        dateOfBirth="1985-04-03",
        customerGroup=reference("customer-group", "group-1"),
        stores=[{"typeId": "store", "key": "berlin"}],
    )


def test_a_customer_group_is_sent_as_its_key(sandbox: Sandbox, function: Function) -> None:
    """The key comes with the customer: two reads and a write, as without a group."""
    sandbox.commercetools.put("customer-groups", {"id": "group-1", "key": "vip", "name": "Very important"})
    sandbox.commercetools.put("customers", _detailed_customer())
    done = measured(sandbox, function, change("ResourceUpdated", "customer", "customer-1"))
    assert (done.read, done.written) == (("customers.get", "customers.get"), ("create_or_update_profile",))
    own = {"customerNumber": "K-1", "customerGroup": "vip", "stores": ["berlin"]}
    assert done.profile("customer-1")["properties"] == own


def test_a_group_that_can_not_be_read_is_left_out(sandbox: Sandbox, function: Function) -> None:
    """Without the scope view_customer_groups the key is missing, and the id would say nothing."""
    sandbox.commercetools.put("customer-groups", {"id": "group-1", "key": "vip", "name": "Very important"})
    sandbox.commercetools.tokens(deny_scopes=["view_customer_groups"])
    sandbox.commercetools.put("customers", _detailed_customer())
    done = measured(sandbox, function, change("ResourceUpdated", "customer", "customer-1"))
    assert done.profile("customer-1")["properties"] == {"customerNumber": "K-1", "stores": ["berlin"]}


def test_the_fields_of_a_customer_are_configurable(sandbox: Sandbox, configured: Configured) -> None:
    """`[customer.properties] include` replaces the default fields."""
    function = configured('[customer.properties]\ninclude = ["dateOfBirth"]\n')
    sandbox.commercetools.put("customers", _detailed_customer())
    done = measured(sandbox, function, change("ResourceUpdated", "customer", "customer-1"))
    assert done.profile("customer-1")["properties"] == {"dateOfBirth": "1985-04-03"}


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("delivery", "budget"),
    [
        (_placed(discountCodes=CODES), (4, 2)),
        (too_large("OrderCreated", "order", "order-1"), (5, 2)),
        (message("OrderCustomerSet", "order", "order-1", customer=reference("customer", "customer-1")), (5, 2)),
        (message("OrderStateChanged", "order", "order-1", orderState="Complete"), (5, 1)),
        (message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction()), (5, 1)),
        (
            message(
                "PaymentTransactionStateChanged", "payment", "payment-1", transactionId="refund-1", state="Success"
            ),
            (6, 1),
        ),
    ],
    ids=["placed", "too large", "customer set", "state", "refund", "refund settled"],
)
def test_an_order_with_everything_keeps_its_budget(
    sandbox: Sandbox, steady: Function, delivery: Any, budget: tuple[int, int]
) -> None:
    """Customer, products and codes are read once each, and the customer again after sending."""
    paid = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}, "discountCodes": CODES}
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("products", product("product-1", categories=["women"]))
    sandbox.commercetools.put("orders", order() | paid)
    sandbox.commercetools.put("payments", payment())
    done = measured(sandbox, steady, delivery)
    assert (done.outcome, done.calls) == ("synced", budget)
