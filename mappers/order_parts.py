"""Parts of an order's lines: the units in a parcel or a return, and what they are worth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import cast

from core.settings import Settings
from mappers.documents import Money
from mappers.localized import localized
from mappers.mapped import JsonObject
from mappers.money import number, optional_amount
from mappers.order_documents import CustomLineItem, LineItem, Order
from mappers.order_properties import OrderDetails, item_fields
from mappers.properties import present

_BRIEF = ("ProductID", "SKU", "ProductName", "Quantity")


@dataclass(frozen=True, slots=True)
class Part:
    """Some units of a line item or custom line item."""

    line: LineItem | CustomLineItem
    quantity: int

    @property
    def money(self) -> Money | None:
        """The units' share of the line's `totalPrice`, rounded half up to the minor unit.

        All units of a line get the same share, even if only some were discounted.
        """
        total, units = self.line.get("totalPrice"), self.line.get("quantity")
        if not total or not units or total.get("centAmount") is None:
            return None
        cents = Decimal(total["centAmount"]) * self.quantity / units
        return _cents(total, int(cents.to_integral_value(ROUND_HALF_UP)))

    def fields(self, details: OrderDetails, settings: Settings) -> JsonObject:
        """The part as an entry of `Items`. A custom line item is not a product, so it has only some of the fields."""
        if "productId" in self.line:
            line = cast("LineItem", {**self.line, "quantity": self.quantity, "totalPrice": self.money})
            return item_fields(line, details, settings)
        price, row = optional_amount(cast("CustomLineItem", self.line).get("money")), optional_amount(self.money)
        return present(
            {
                "ProductName": localized(self.line.get("name"), settings.preferred_locale),
                "Quantity": self.quantity,
                "ItemPrice": None if price is None else number(price),
                "RowTotal": None if row is None else number(row),
            }
        )

    def brief(self, details: OrderDetails, settings: Settings) -> JsonObject:
        """Which product it is, and how many units."""
        fields = self.fields(details, settings)
        return {name: fields[name] for name in _BRIEF if name in fields}


Lines = dict[str, LineItem | CustomLineItem]
"""Lines of an order by id."""


def order_lines(order: Order) -> Lines:
    """An order's line items and custom line items, by id."""
    lines: list[LineItem | CustomLineItem] = [*(order.get("lineItems") or []), *(order.get("customLineItems") or [])]
    return {line["id"]: line for line in lines}


def parts_of(lines: Lines, quantities: Iterable[tuple[str | None, int]]) -> list[Part | None]:
    """Parts for pairs of line id and quantity; None for a line that an edit removed from the order."""
    return [Part(lines[line_id], quantity) if line_id in lines else None for line_id, quantity in quantities]


def total(parts: Sequence[Part]) -> Money | None:
    """Total value of the parts; None if there are none or none has a price."""
    priced = [money for part in parts if (money := part.money)]
    return _cents(priced[0], sum(money["centAmount"] for money in priced)) if priced else None


def _cents(like: Money, cents: int) -> Money:
    """An amount of minor units, in the currency of `like`.

    `fractionDigits` of a high-precision amount are not copied, because they don't apply to its `centAmount`.
    """
    money: Money = {"type": "centPrecision", "currencyCode": like["currencyCode"], "centAmount": cents}
    if like.get("type") != "highPrecision" and (digits := like.get("fractionDigits")) is not None:
        money["fractionDigits"] = digits
    return money
