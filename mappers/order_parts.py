"""Some units of an order's lines: what is in a parcel, or comes back, and what that is worth."""

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
from mappers.order_properties import Known, item_fields
from mappers.properties import present

_BRIEF = ("ProductID", "SKU", "ProductName", "Quantity")


@dataclass(frozen=True, slots=True)
class Part:
    """Some units of a line item or of a custom line item."""

    line: LineItem | CustomLineItem
    quantity: int

    @property
    def money(self) -> Money | None:
        """Their share of the line's `totalPrice`, whatever units were discounted, rounded half up to the minor unit."""
        total, units = self.line.get("totalPrice"), self.line.get("quantity")
        if not total or not units or total.get("centAmount") is None:
            return None
        cents = Decimal(total["centAmount"]) * self.quantity / units
        return _cents(total, int(cents.to_integral_value(ROUND_HALF_UP)))

    def fields(self, known: Known, settings: Settings) -> JsonObject:
        """One of `Items` for so many units; of a custom line item, which is no product, what it has of that."""
        if "productId" in self.line:
            line = cast("LineItem", {**self.line, "quantity": self.quantity, "totalPrice": self.money})
            return item_fields(line, known, settings)
        price, row = optional_amount(cast("CustomLineItem", self.line).get("money")), optional_amount(self.money)
        return present(
            {
                "ProductName": localized(self.line.get("name"), settings.preferred_locale),
                "Quantity": self.quantity,
                "ItemPrice": None if price is None else number(price),
                "RowTotal": None if row is None else number(row),
            }
        )

    def brief(self, known: Known, settings: Settings) -> JsonObject:
        """Which product, and how many."""
        fields = self.fields(known, settings)
        return {name: fields[name] for name in _BRIEF if name in fields}


Lines = dict[str, LineItem | CustomLineItem]
"""Lines of an order by their ids."""


def order_lines(order: Order) -> Lines:
    """An order's line items and custom line items."""
    lines: list[LineItem | CustomLineItem] = [*(order.get("lineItems") or []), *(order.get("customLineItems") or [])]
    return {line["id"]: line for line in lines}


def parts_of(lines: Lines, quantities: Iterable[tuple[str | None, int]]) -> list[Part | None]:
    """The parts by ids of lines and quantities; None for a line that an edit of the order took away."""
    return [Part(lines[line_id], quantity) if line_id in lines else None for line_id, quantity in quantities]


def total(parts: Sequence[Part]) -> Money | None:
    """What parts are worth together; None for none, and where none has a price."""
    priced = [money for part in parts if (money := part.money)]
    return _cents(priced[0], sum(money["centAmount"] for money in priced)) if priced else None


def _cents(like: Money, cents: int) -> Money:
    """So many minor units of a currency; `fractionDigits` of a high-precision amount are not those of its cents."""
    money: Money = {"type": "centPrecision", "currencyCode": like["currencyCode"], "centAmount": cents}
    if like.get("type") != "highPrecision" and (digits := like.get("fractionDigits")) is not None:
        money["fractionDigits"] = digits
    return money
