"""A commercetools project with random changes. Each is applied to the sandbox and returns its notifications."""

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json, money, reference
from tests.functional.random_prices import RandomPrices

EventKey = tuple[str, str]
"""Metric and unique id."""

KINDS = {
    "edit_customer": 14, "add_customer": 3, "erase_customer": 3,
    "edit_product": 24, "change_variants": 10, "move_sku": 12, "unpublish_product": 5, "publish_product": 5,
    "add_product": 3, "delete_product": 3,
    "set_stock": 18, "move_stock": 6, "delete_stock": 5, "add_stock": 8,
    "edit_price_live": 12, "stage_price": 2, "move_product_live": 6, "switch_price_mode": 3,
    "add_standalone_price": 6, "edit_standalone_price": 14, "stage_standalone_price": 4, "delete_standalone_price": 3,
    "rename_category": 6, "move_category": 6, "add_category": 3, "delete_category": 3,
    "place_order": 12, "move_order": 7, "refund": 7,
}  # fmt: skip
"""The kinds of changes, with their relative frequency."""

_TRIES = 1000
"""Attempts to find a change that is possible."""
_REPLAYED = 0.1
"""Probability that a notification is followed by its resource's creation notification, which is ten minutes old."""


class RandomShop(RandomPrices):
    """The whole project, and the events its orders must produce."""

    def __init__(self, rng: random.Random, commercetools: Control, kinds: Collection[str] = ()) -> None:
        """`kinds` selects from KINDS; empty means all."""
        super().__init__(rng, commercetools)
        self.events: dict[EventKey, tuple[float, str]] = {}
        """Value and owner of each event. The owner is a customer's id or a guest's e-mail."""
        self.erased: set[str] = set()
        self._kinds = {kind: KINDS[kind] for kind in kinds or KINDS}
        self._creations: dict[str, Json] = {}
        """The creation notifications of the resources that the shop opened with, by resource."""

    def open(self, size: int) -> list[Json]:
        """Create the first customers, categories, products and inventory entries; return their notifications.

        All of it is dated ten minutes ago.
        """
        deliveries = [
            delivery
            for add in (self.add_category, self.add_customer, self.add_product)
            for _ in range(size)
            for delivery in add()
        ]
        skus = [
            product["masterData"]["current"]["masterVariant"]["sku"] for product in self._documents["products"].values()
        ]
        deliveries += [delivery for sku in skus for delivery in self._new_stock(sku)]
        self._creations = {str(delivery["resource"]): delivery for delivery in deliveries}
        self._is_opening = False
        return deliveries

    def change(self) -> list[Json]:
        """Make one random change; return its notifications, and sometimes old ones of the same resources."""
        for _ in range(_TRIES):
            kind = self._rng.choices(list(self._kinds), list(self._kinds.values()))[0]
            make_change: Callable[[], list[Json]] = getattr(self, kind)
            if deliveries := make_change():
                creations = [self._creations.get(str(delivery["resource"])) for delivery in deliveries]
                return deliveries + [old for old in creations if old and self._rng.random() < _REPLAYED]
        raise AssertionError(f"none of {', '.join(self._kinds)} is possible")

    # customers

    def add_customer(self) -> list[Json]:
        """Add a customer. Those with even numbers order; the others may change their e-mail or be erased."""
        number = next(self._numbers)
        customer_id = f"customer-{number}"
        customer = self._store("customers", make.customer(customer_id, addresses=[_address(number)]))
        return [self._message("CustomerCreated", "customer", customer)]

    def edit_customer(self) -> list[Json]:
        """Change a customer's name, company or city; or the e-mail, if the customer never orders."""
        customer = self._pick("customers")
        number = self._rng.randrange(3)
        fields: Json = self._rng.choice(
            [
                {"firstName": f"First {number}"},
                {"companyName": f"Company {number}"},
                {"addresses": [_address(next(self._numbers))]},
            ]
        )
        if not _places_orders(customer["id"]) and self._rng.random() < 0.3:
            fields = {"email": f"{customer['id']}-{number}@example.com"}
        return [self._change("ResourceUpdated", "customer", self._edit("customers", customer, **fields))]

    def erase_customer(self) -> list[Json]:
        """Delete a customer who never orders, with data erasure.

        Only customers from the opening: the erasure of one created under a minute ago may be dead-lettered as
        `young_customer` (docs/failures.md), as a lagging read can't be ruled out.
        """
        customer = self._pick_spare("customers")
        if (
            not customer
            or _places_orders(customer["id"])
            or str(reference("customer", customer["id"])) not in self._creations
        ):
            return []
        self._delete("customers", customer)
        self.erased.add(customer["id"])
        return [self._change("ResourceDeleted", "customer", customer, dataErasure=True)]

    # orders

    def place_order(self) -> list[Json]:
        """Place an order with one to three line items and a payment, for a customer or a guest."""
        number = next(self._numbers)
        customer = self._pick("customers")
        guest = not _places_orders(customer["id"])
        order_id, email = f"order-{number}", f"guest-{number}@example.com" if guest else customer["email"]
        lines = [
            make.line_item(
                line, self._pick("products")["id"], id=f"{order_id}-line-{line}", totalPrice=money(100 * line)
            )
            for line in range(1, self._rng.randint(1, 3) + 1)
        ]
        payments = {"payments": [reference("payment", f"payment-{number}")]}
        order = make.order(
            order_id,
            lines=lines,
            customerId=None if guest else customer["id"],
            customerEmail=email,
            paymentInfo=payments,
        )
        self._store("payments", make.payment(f"payment-{number}", []))
        order = self._store("orders", order)
        self._expect("Placed Order", order_id, order["totalPrice"], order)
        for line in lines:
            self._expect("Ordered Product", line["id"], line["totalPrice"], order)
        return [self._message("OrderCreated", "order", order, order=order)]

    def move_order(self) -> list[Json]:
        """Complete or cancel an order."""
        if not self._documents["orders"]:
            return []
        order = self._pick("orders")
        if order["orderState"] != "Open":
            return []
        state, metric = self._rng.choice([("Complete", "Fulfilled Order"), ("Cancelled", "Cancelled Order")])
        order = self._edit("orders", order, orderState=state)
        self._expect(metric, order["id"], order["totalPrice"], order)
        return [self._message("OrderStateChanged", "order", order, orderState=state, oldOrderState="Open")]

    def refund(self) -> list[Json]:
        """Refund a part of an order, at once or pending first."""
        if not self._documents["orders"]:
            return []
        order = self._pick("orders")
        payment_id = order["paymentInfo"]["payments"][0]["id"]
        payment = self._documents["payments"][payment_id]
        refund = make.transaction(f"refund-{next(self._numbers)}", self._rng.randint(1, 99))
        payment = self._edit("payments", payment, transactions=[*payment["transactions"], refund])
        self._expect("Refunded Order", f"{payment_id}:{refund['id']}", refund["amount"], order)
        if self._rng.random() < 0.5:
            return [self._message("PaymentTransactionAdded", "payment", payment, transaction=refund)]
        settled = {"transactionId": refund["id"], "state": "Success"}
        return [
            self._message("PaymentTransactionAdded", "payment", payment, transaction={**refund, "state": "Pending"}),
            self._message("PaymentTransactionStateChanged", "payment", payment, **settled),
        ]

    def _expect(self, metric: str, unique_id: str, amount: Mapping[str, Any], order: Json) -> None:
        owner = order.get("customerId") or order["customerEmail"]
        self.events[metric, unique_id] = (amount["centAmount"] / 100, owner)


def _places_orders(customer_id: str) -> bool:
    """True if a customer is one of those who order."""
    return int(customer_id.rpartition("-")[2]) % 2 == 0


def _address(number: int) -> Json:
    """An address with a unique mobile number: to Klaviyo, the same number means the same person."""
    return make.address(city=f"City {number}", mobile=f"0171 {3_000_000 + number}")
