"""Every key of sync.toml that decides what is synced takes effect."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Configured
from tests.functional.documents import (
    address,
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

PLACED = message("OrderCreated", "order", "order-1", order=order())
PUBLISHED = message("ProductPublished", "product", "product-1")
UNPUBLISHED = message("ProductUnpublished", "product", "product-1")


def test_disabled_messages(sandbox: Sandbox, configured: Configured) -> None:
    """A disabled message is acknowledged without any effect; other messages of the resource still work."""
    function = configured('[messages]\ndisabled = ["order/OrderCreated"]\n')
    done = measured(sandbox, function, PLACED)
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))
    imported = measured(sandbox, function, message("OrderImported", "order", "order-1", order=order()))
    assert imported.outcome == "synced"


@pytest.mark.parametrize(
    ("rules", "delivery"),
    [
        (
            "[payment]\nrefund_states = []",
            message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction()),
        ),
        (
            "[order]\nfulfilled_states = []\ncancelled_states = []",
            message("OrderStateChanged", "order", "order-1", orderState="Complete"),
        ),
    ],
    ids=["refunds", "states"],
)
def test_a_message_whose_setting_is_off(
    sandbox: Sandbox, configured: Configured, rules: str, delivery: dict[str, Any]
) -> None:
    """If a Subscription still delivers the message, it is acknowledged without a call."""
    done = measured(sandbox, configured(rules), delivery)
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


def test_one_of_two_settings_keeps_a_message(sandbox: Sandbox, configured: Configured) -> None:
    """`OrderStateChanged` can send two events, so it is handled while either has states."""
    function = configured("[order]\nfulfilled_states = []\n")
    sandbox.commercetools.put("orders", order(orderState="Cancelled"))
    done = measured(sandbox, function, message("OrderStateChanged", "order", "order-1", orderState="Cancelled"))
    assert [event["metric"] for event in done.state["events"]] == ["Cancelled Order"]


def test_metric_names(sandbox: Sandbox, configured: Configured) -> None:
    """All five events have the configured names."""
    function = configured(
        '[metrics]\nplaced_order = "P"\nordered_product = "O"\nfulfilled_order = "F"\n'
        'cancelled_order = "C"\nrefunded_order = "R"\n'
    )
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    for state in ("Complete", "Cancelled"):
        function.deliver(message("OrderStateChanged", "order", "order-1", orderState=state))
    function.deliver(message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction()))
    done = measured(sandbox, function, PLACED)
    assert sorted(event["metric"] for event in done.state["events"]) == ["C", "F", "O", "P", "R"]


def test_property_rules_of_orders(sandbox: Sandbox, configured: Configured) -> None:
    """`include`, then `exclude`, then `rename` apply to own and custom fields, not to Klaviyo's schema fields."""
    function = configured(
        '[order.properties]\ninclude = ["orderState", "origin", "shipmentState"]\nexclude = ["origin"]\n'
        'rename = { shipmentState = "shipping" }\n'
        '[order.custom_fields]\nexclude = ["secretNote"]\nrename = { gift = "isGift" }\n'
    )
    custom = {"type": reference("type", "t"), "fields": {"secretNote": "x", "gift": False, "zero": 0, "none": None}}
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=order(custom=custom)))
    properties = done.event("Placed Order", "order-1")["properties"]
    own = {name: value for name, value in properties.items() if name[0].islower()}
    assert own == {"orderState": "Open", "shipping": "Pending", "isGift": False, "zero": 0}
    assert {"OrderId", "OrderNumber", "Items", "ItemNames", "Brands", "IsGuest"} <= properties.keys()


def test_property_rules_of_customers(sandbox: Sandbox, configured: Configured) -> None:
    """The same rules apply to custom fields that become properties."""
    function = configured(
        '[customer.custom_fields]\ninclude = ["tier", "points"]\nexclude = ["points"]\nrename = { tier = "level" }\n'
    )
    fields = {"tier": "gold", "points": 3, "other": 1}
    sandbox.commercetools.put("customers", customer(custom={"type": reference("type", "t"), "fields": fields}))
    done = measured(sandbox, function, message("CustomerCreated", "customer", "customer-1"))
    assert done.profile("customer-1")["properties"] == {"level": "gold"}


@pytest.mark.parametrize(
    ("states", "state", "outcome"),
    [
        ("[]", "Open", "synced"),
        ("[]", "Cancelled", "ignored order_state"),
        ('["Confirmed"]', "Open", "ignored order_state"),
        ('["Confirmed"]', "Confirmed", "synced"),
    ],
)
def test_placed_states(sandbox: Sandbox, configured: Configured, states: str, state: str, outcome: str) -> None:
    """Only orders in these states are placed. If no states are listed, all but cancelled orders are."""
    function = configured(f"[order]\nplaced_states = {states}\n")
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=order(orderState=state)))
    assert (done.outcome, len(done.state["events"])) == (outcome, 2 if outcome == "synced" else 0)


@pytest.mark.parametrize(
    ("state", "metric"),
    [("Shipped", "Fulfilled Order"), ("Voided", "Cancelled Order"), ("Complete", None), ("Cancelled", None)],
)
def test_fulfilled_and_cancelled_states(sandbox: Sandbox, configured: Configured, state: str, metric: Any) -> None:
    """The configured states send the events; the default states no longer do."""
    function = configured('[order]\nfulfilled_states = ["Shipped"]\ncancelled_states = ["Voided"]\n')
    sandbox.commercetools.put("orders", order(orderState=state))
    done = measured(sandbox, function, message("OrderStateChanged", "order", "order-1", orderState=state))
    assert [event["metric"] for event in done.state["events"]] == ([metric] if metric else [])


def test_refund_states(sandbox: Sandbox, configured: Configured) -> None:
    """A refund is sent in the configured states only."""
    function = configured('[payment]\nrefund_states = ["Pending"]\n')
    sandbox.commercetools.put("orders", order(paymentInfo={"payments": [reference("payment", "payment-1")]}))
    sandbox.commercetools.put("payments", payment(transactions=[transaction(state="Pending")]))
    succeeded = message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction())
    assert measured(sandbox, function, succeeded).outcome == "ignored no_refund"
    pending = message(
        "PaymentTransactionStateChanged", "payment", "payment-1", transactionId="refund-1", state="Pending"
    )
    done = measured(sandbox, function, pending)
    assert done.event("Refunded Order", "payment-1:refund-1")["value"] == 5


@pytest.mark.parametrize(
    ("wait", "age", "outcome"),
    [(120, 60, "retried no_order_yet"), (120, 180, "ignored no_order"), (0, 0, "ignored no_order")],
)
def test_how_long_a_refund_waits(sandbox: Sandbox, configured: Configured, wait: int, age: int, outcome: str) -> None:
    """A refund without an order is retried while its message is younger than `order_wait` seconds, then ignored."""
    function = configured(f"[payment]\norder_wait = {wait}\n")
    created_at = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    refund = message("PaymentTransactionAdded", "payment", "payment-1", transaction=transaction(), createdAt=created_at)
    done = measured(sandbox, function, refund)
    assert (done.outcome, done.written) == (outcome, ())


def test_erasure_can_be_switched_off(sandbox: Sandbox, configured: Configured) -> None:
    """With `erase = false` the profile stays, and neither backend is called."""
    function = configured("[customer]\nerase = false\n")
    sandbox.commercetools.put("customers", customer())
    function.deliver(message("CustomerCreated", "customer", "customer-1"))
    done = measured(sandbox, function, change("ResourceDeleted", "customer", "customer-1", dataErasure=True))
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))
    assert len(done.state["profiles"]) == 1


@pytest.mark.parametrize("clear", [(), ("first_name", "phone_number", "location", "title")], ids=["none", "some"])
def test_attributes_can_be_cleared(sandbox: Sandbox, configured: Configured, clear: tuple[str, ...]) -> None:
    """Attributes that the customer no longer has stay in Klaviyo, unless they are listed."""
    function = configured(f"[customer]\nclear = {list(clear)}\n")
    full = customer(title="Dr.", companyName="Falkner GmbH")
    sandbox.commercetools.put("customers", full)
    before = measured(sandbox, function, message("CustomerCreated", "customer", "customer-1")).profile("customer-1")
    bare = customer(version=2, firstName=None, companyName=None, addresses=[address(mobile=None, city=None)])
    sandbox.commercetools.put("customers", bare)
    notification = change("ResourceUpdated", "customer", "customer-1", version=2)
    after = measured(sandbox, function, notification).profile("customer-1")
    assert after["organization"] == "Falkner GmbH"
    for name in ("first_name", "phone_number", "title"):
        assert after.get(name) == (None if name in clear else before[name])
    assert after["location"].get("city") == (None if clear else "Berlin")


def test_unpublished_items_can_be_hidden(sandbox: Sandbox, configured: Configured) -> None:
    """An item is hidden when unpublished, shown when published again, and deleted when deleted.

    Hiding an item that does not exist succeeds.
    """
    function = configured('[product]\nunpublished = "hide"\n[limits]\nstale_after = 30\n')
    assert measured(sandbox, function, UNPUBLISHED).outcome == "synced"
    sandbox.commercetools.put("products", product())
    function.deliver(PUBLISHED)
    sandbox.commercetools.put("products", product(published=False))
    done = measured(sandbox, function, UNPUBLISHED)
    assert (done.calls, done.state["items"]["product-1"]["published"]) == ((1, 1), False)
    assert done.state["items"]["product-1"]["title"] == "Name of product-1"
    assert set(done.state["variants"]) == {"product-1-sku"}
    sandbox.commercetools.put("products", product(root={"version": 3}))
    assert measured(sandbox, function, PUBLISHED).state["items"]["product-1"]["published"] is True
    sandbox.commercetools.delete("products", "product-1")
    done = measured(sandbox, function, message("ProductDeleted", "product", "product-1"))
    assert (done.state["items"], done.state["variants"]) == ({}, {})


def test_the_channel_whose_stock_counts(sandbox: Sandbox, configured: Configured) -> None:
    """Only this channel's stock counts, whichever entry a message names, and when publishing too."""
    function = configured('[inventory]\nchannel = "berlin"\n')
    berlin = entry("entry-1", quantity=4, supplyChannel=reference("channel", "berlin"))
    sandbox.commercetools.put("inventory", berlin)
    sandbox.commercetools.put("inventory", entry("entry-2", quantity=50))
    sandbox.commercetools.put("inventory", entry("entry-3", quantity=60, supplyChannel=reference("channel", "paris")))
    sandbox.commercetools.put("products", product())
    done = measured(sandbox, function, PUBLISHED)
    assert done.state["variants"]["product-1-sku"]["inventory_quantity"] == 4
    sandbox.commercetools.patch("inventory", "entry-1", {"availableQuantity": 3})
    for named in ("entry-1", "entry-2", "entry-3"):
        done = measured(sandbox, function, change("ResourceUpdated", "inventory-entry", named))
        assert (done.outcome, done.state["variants"]["product-1-sku"]["inventory_quantity"]) == ("synced", 3)


def test_several_channels_whose_stock_counts(sandbox: Sandbox, configured: Configured) -> None:
    """The stock of the listed channels is summed, when publishing and for inventory messages."""
    function = configured('[inventory]\nchannel = ["berlin", "paris"]\n')
    for number, channel in enumerate(("berlin", "paris", "rome"), 1):
        stocked = entry(f"entry-{number}", quantity=10 * number, supplyChannel=reference("channel", channel))
        sandbox.commercetools.put("inventory", stocked)
    sandbox.commercetools.put("products", product())
    done = measured(sandbox, function, PUBLISHED)
    assert done.state["variants"]["product-1-sku"]["inventory_quantity"] == 30
    sandbox.commercetools.patch("inventory", "entry-2", {"availableQuantity": 5})
    done = measured(sandbox, function, change("ResourceUpdated", "inventory-entry", "entry-2", version=2))
    assert done.state["variants"]["product-1-sku"]["inventory_quantity"] == 15


@pytest.mark.parametrize(
    ("name", "brands"), [("brand", ["Linden & Loom"]), ("maker", ["Osaka"]), ("", None), ("none", None)]
)
def test_the_brand_attribute(sandbox: Sandbox, configured: Configured, name: str, brands: Any) -> None:
    """The brand is the value of the configured attribute. If none is configured, there is no brand."""
    function = configured(f'[product]\nbrand_attribute = "{name}"\n')
    attributes = [{"name": "brand", "value": "Linden & Loom"}, {"name": "maker", "value": {"en-US": "Osaka"}}]
    sold = order(lines=[line_item(variant=variant(attributes=attributes))])
    done = measured(sandbox, function, message("OrderCreated", "order", "order-1", order=sold))
    assert done.event("Placed Order", "order-1")["properties"].get("Brands") == brands
    product_brand = done.event("Ordered Product", "line-1")["properties"].get("ProductBrand")
    assert product_brand == (brands[0] if brands else None)


def _put_priced_product(sandbox: Sandbox) -> None:
    """Store a product with a general price, which is discounted, and one price for each dimension."""
    discounted = {"discounted": {"value": money(800), "discount": reference("product-discount", "sale")}}
    prices = [
        {"id": "general", "value": money(1000), **discounted},
        {"id": "country", "value": money(1100), "country": "DE"},
        {"id": "channel", "value": money(1200), "channel": reference("channel", "channel-1")},
        {"id": "group", "value": money(1300), "customerGroup": reference("customer-group", "group-1")},
    ]
    sandbox.commercetools.put("products", product(variants=[variant("A", prices=prices)]))


@pytest.mark.parametrize(
    ("rules", "price", "previous_price"),
    [
        ("", 8, 10),
        ('country = "de"', 11, None),
        ('country = "FR"', 8, 10),
        ('channel = "channel-1"', 12, None),
        ('customer_group = "group-1"\nchannel = "channel-1"\ncountry = "DE"', 13, None),
        ("discounted = false", 10, None),
    ],
)
def test_whose_price_is_shown(
    sandbox: Sandbox, configured: Configured, rules: str, price: float, previous_price: float | None
) -> None:
    """Item and variant show the most specific price for country, channel and group, discounted or not."""
    _put_priced_product(sandbox)
    done = measured(sandbox, configured(f"[price]\n{rules}\n"), PUBLISHED)
    for shown in (done.state["items"]["product-1"], done.state["variants"]["A"]):
        assert (shown["price"], shown["custom_metadata"].get("compare_at_price")) == (price, previous_price)


@pytest.mark.parametrize(("key", "keys"), [("was_price", {"was_price"}), ("", set())])
def test_where_the_price_before_the_discount_goes(
    sandbox: Sandbox, configured: Configured, key: str, keys: set[str]
) -> None:
    """The metadata has it under the configured key, or not at all."""
    _put_priced_product(sandbox)
    done = measured(sandbox, configured(f'[price]\ncompare_at = "{key}"\n'), PUBLISHED)
    tables = {"title_json", "slug_json", "price_json", "currency_json"}
    assert set(done.state["items"]["product-1"]["custom_metadata"]) == tables | keys


@pytest.mark.parametrize("tiers", [True, False])
def test_tiers_can_be_sent(sandbox: Sandbox, configured: Configured, tiers: bool) -> None:  # noqa: FBT001 - a setting
    """Only the variant's metadata has the tiers."""
    price = {"id": "p", "value": money(1000), "tiers": [{"minimumQuantity": 10, "value": money(850)}]}
    sandbox.commercetools.put("products", product(variants=[variant("A", prices=[price])]))
    done = measured(sandbox, configured(f"[price]\ntiers = {str(tiers).lower()}\n"), PUBLISHED)
    expected_tiers = '{"EUR":[{"from":10,"price":8.5}]}' if tiers else None
    assert done.state["variants"]["A"]["custom_metadata"].get("tiers_json") == expected_tiers
    assert "tiers_json" not in done.state["items"]["product-1"]["custom_metadata"]


@pytest.mark.parametrize("on", [True, False])
def test_standalone_prices_can_be_switched_off(
    sandbox: Sandbox,
    configured: Configured,
    on: bool,  # noqa: FBT001 - a setting
) -> None:
    """If they are off, they are not read, and a product that has only standalone prices gets no price."""
    price = {"id": "p", "version": 1, "sku": "A", "value": money(1000), "active": True}
    sandbox.commercetools.put("standalone-prices", price)
    sandbox.commercetools.put("products", product(variants=[variant("A")], root={"priceMode": "Standalone"}))
    done = measured(sandbox, configured(f"[price]\nstandalone = {str(on).lower()}\n"), PUBLISHED)
    assert ("standalone-prices.query" in done.read) is on
    assert done.state["items"]["product-1"].get("price") == (10 if on else None)
