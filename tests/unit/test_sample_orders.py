"""The amounts in the samples' orders and payments add up."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.unit.sample_files import SAMPLES, Json, manifest, notification_of, read_json


def _orders() -> dict[str, Json]:
    """Every order in the samples, by file: documents, changes and messages that include their order."""
    files = sorted([*SAMPLES.glob("documents/orders/*.json"), *SAMPLES.glob("changes/order-*.json")])
    orders = {path.relative_to(SAMPLES).as_posix(): read_json(path) for path in files}
    notifications = {sample["file"]: notification_of(sample["file"]) for sample in manifest()}
    return orders | {file: one["order"] for file, one in notifications.items() if "order" in one}


def _cents(money: Json) -> int:
    return int(money["centAmount"])


def _taxed(order: Json) -> Iterator[tuple[Json, Json, bool]]:
    """The order, its lines and its shipping: price, tax, and True if the price includes the tax."""
    included = order["lineItems"][0]["taxRate"]["includedInPrice"]
    yield order["totalPrice"], order["taxedPrice"], included
    for line in [*order["lineItems"], *order["customLineItems"]]:
        yield line["totalPrice"], line["taxedPrice"], line["taxRate"]["includedInPrice"]
    if "shippingInfo" in order:
        yield order["shippingInfo"]["price"], order["taxedShippingPrice"], included


EACH_ORDER = pytest.mark.parametrize(("file", "order"), _orders().items(), ids=list(_orders()))


@EACH_ORDER
def test_total_is_the_sum_of_its_parts(file: str, order: Json) -> None:
    """The total is that of line items, custom line items and shipping, minus a discount on the total."""
    lines = [*order["lineItems"], *order["customLineItems"]]
    methods = [order["shippingInfo"]] if "shippingInfo" in order else [one["shippingInfo"] for one in order["shipping"]]
    shipping = sum(_cents(method["price"]) for method in methods)
    discount = _cents(order["discountOnTotalPrice"]["discountedAmount"]) if "discountOnTotalPrice" in order else 0
    total = sum(_cents(line["totalPrice"]) for line in lines) + shipping - discount
    assert total == _cents(order["totalPrice"]), file


@EACH_ORDER
def test_line_total_is_price_times_quantity(file: str, order: Json) -> None:
    """The price may be discounted. High precision is rounded only at the end."""
    for line in order["lineItems"]:
        price = line.get("discountedPrice", line["price"])["value"]
        assert _cents(price) * line["quantity"] == _cents(line["totalPrice"]), file
    for line in order["customLineItems"]:
        money = line["money"]
        units = money["preciseAmount"] if money["type"] == "highPrecision" else money["centAmount"]
        exact = Decimal(units).scaleb(line["totalPrice"]["fractionDigits"] - money["fractionDigits"]) * line["quantity"]
        assert round(exact) == _cents(line["totalPrice"]), file


@EACH_ORDER
def test_taxes_add_up(file: str, order: Json) -> None:
    """Net plus tax is gross. The tax is the net times the rate, within 2 cents. The price is net or gross."""
    for price, tax, included in _taxed(order):
        net, gross, total_tax = (_cents(tax[name]) for name in ("totalNet", "totalGross", "totalTax"))
        assert net + total_tax == gross, file
        assert _cents(price) == (gross if included else net), file
        assert sum(_cents(portion["amount"]) for portion in tax["taxPortions"]) == total_tax, file
        assert abs(net * tax["taxPortions"][0]["rate"] - total_tax) <= 2, file


def test_refunds_are_partial() -> None:
    """All refunds of a payment together are less than the charge. One payment has two refunds."""
    payments = [read_json(path) for path in SAMPLES.glob("**/payment*/*.json")]
    payments += [read_json(path) for path in SAMPLES.glob("changes/payment-*.json")]
    refunds = []
    for payment in payments:
        amounts = [(transaction["type"], _cents(transaction["amount"])) for transaction in payment["transactions"]]
        refunds.append([amount for kind, amount in amounts if kind == "Refund"])
        assert sum(refunds[-1]) < sum(amount for kind, amount in amounts if kind == "Charge")
    assert max(len(amounts) for amounts in refunds) == 2
