"""Amounts of money: calculated as Decimal in major units, then converted to a JSON number."""

from decimal import Decimal

from mappers.documents import Money

_USUAL_FRACTION_DIGITS = 2


def amount(money: Money) -> Decimal:
    """Major units of a commercetools amount: 19.99 for 1999 cents, also for high-precision money.

    An unknown type counts as cent precision. `fractionDigits` of a high-precision amount apply to `preciseAmount` only:
    without `preciseAmount`, or without `fractionDigits`, `centAmount` is read with two digits.
    Source: commercetools API, types CentPrecisionMoney and HighPrecisionMoney.
    """
    precise, digits = money.get("preciseAmount"), money.get("fractionDigits")
    if money.get("type") == "highPrecision":
        if precise is not None and digits is not None:
            return Decimal(precise).scaleb(-digits)
        digits = None
    return Decimal(money["centAmount"]).scaleb(-(_USUAL_FRACTION_DIGITS if digits is None else digits))


def optional_amount(money: Money | None) -> Decimal | None:
    """Major units of an amount; None if the money is missing or has no amount."""
    if not money or (money.get("centAmount") is None and money.get("preciseAmount") is None):
        return None
    return amount(money)


def number(value: Decimal) -> float | int:
    """JSON number of an amount: an int if it is whole, else the nearest float."""
    return int(value) if value == value.to_integral_value() else float(value)
