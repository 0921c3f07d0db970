"""A shop with random changes of people: they register, change their e-mail, order, and are deleted or erased."""

import random
from collections.abc import Callable
from typing import Any

from sandbox.control import Control
from sandbox.documents import now
from tests.functional import documents as make
from tests.functional.documents import Json, change, message, recent, reference

EventKey = tuple[str, str]
"""Metric and unique id."""


class RandomPeople:
    """The shop, and what Klaviyo must hold of its people and orders.

    Each change is applied to the sandbox and returns its notifications. Their versions are correct. Their times are
    correct for orders and refunds; those about customers have a constant old time.
    """

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        self._rng = rng
        self._commercetools = commercetools
        self._count = 0
        self.customers: dict[str, Json] = {}
        self.orders: dict[str, Json] = {}
        self.owners: dict[EventKey, str] = {}
        """The owner of each event: a customer's id, or the e-mail that a guest ordered with."""
        self.deleted: set[str] = set()
        self.erased: set[str] = set()
        self.emails: dict[str, set[str]] = {}
        """All e-mails a customer ever had, by customer id."""
        self._kinds: dict[Callable[[], list[Json]], int] = {
            self.register: 6, self.register_guest: 3, self.change_email: 8, self.rename: 4, self.order: 10,
            self.order_as_guest: 6, self.move_order: 8, self.refund: 6, self.delete: 6,
        }  # fmt: skip

    def open(self, size: int) -> list[Json]:
        """Register the first customers."""
        return [delivery for _ in range(size) for delivery in self.register()]

    def change(self) -> list[Json]:
        """Make one random change; return its notifications."""
        while True:
            (kind,) = self._rng.choices(list(self._kinds), list(self._kinds.values()))
            if deliveries := kind():
                return deliveries

    def register(self, email: str = "") -> list[Json]:
        """Register a customer."""
        number = self._next()
        customer_id = f"customer-{number}"
        email = email or f"person-{number}@example.com"
        self._store_customer(make.customer(customer_id, email=email, firstName=f"Name {number}", addresses=[]))
        return [message("CustomerCreated", "customer", customer_id)]

    def register_guest(self) -> list[Json]:
        """Register a guest under the e-mail of their order."""
        taken = {email for emails in self.emails.values() for email in emails}
        guests = {order["customerEmail"].lower() for order in self.orders.values() if "customerId" not in order}
        new = sorted(guests - taken)
        return self.register(self._rng.choice(new)) if new else []

    def change_email(self) -> list[Json]:
        """Change a customer's e-mail."""
        return self._edit_customer(email=f"moved-{self._next()}@example.com")

    def rename(self) -> list[Json]:
        """Change a customer's first name."""
        return self._edit_customer(firstName=f"Name {self._next()}")

    def order(self) -> list[Json]:
        """Place a customer's order, sometimes with another e-mail at the checkout."""
        customer = self._any_customer()
        if not customer:
            return []
        other = self._rng.random() < 0.3
        email = f"checkout-{self._next()}@example.com" if other else customer["email"]
        return self._place_order(customer["id"], {"customerId": customer["id"], "customerEmail": email})

    def order_as_guest(self) -> list[Json]:
        """Place a guest order, sometimes with a customer's e-mail."""
        customer = self._any_customer()
        if customer and self._rng.random() < 0.4:
            # Only customers who keep account and e-mail: otherwise the event's owner would depend on timing.
            constant = [one for one in self.customers.values() if _keeps_account(one)]
            email = self._rng.choice(constant)["email"].upper() if constant else f"guest-{self._next()}@example.com"
        else:
            email = f"guest-{self._next()}@example.com"
        return self._place_order(email.lower(), {"customerId": None, "customerEmail": email})

    def move_order(self) -> list[Json]:
        """Complete or cancel an order."""
        order = self._any_order()
        if not order or order["orderState"] != "Open":
            return []
        state, metric = self._rng.choice([("Complete", "Fulfilled Order"), ("Cancelled", "Cancelled Order")])
        self._store_order({**order, "version": order["version"] + 1, "orderState": state})
        self.owners[metric, order["id"]] = self.owners["Placed Order", order["id"]]
        payload = {"orderState": state, "resourceVersion": order["version"] + 1}
        return [recent(message("OrderStateChanged", "order", order["id"], **payload))]

    def refund(self) -> list[Json]:
        """Refund a part of an order."""
        order = self._any_order()
        if not order:
            return []
        payment_id = order["paymentInfo"]["payments"][0]["id"]
        refund = make.transaction(f"refund-{self._next()}")
        self.owners["Refunded Order", f"{payment_id}:{refund['id']}"] = self.owners["Placed Order", order["id"]]
        return [recent(message("PaymentTransactionAdded", "payment", payment_id, transaction=refund))]

    def delete(self) -> list[Json]:
        """Delete a customer, usually with data erasure."""
        customer = self._any_customer()
        if not customer or _keeps_account(customer):
            return []
        customer_id = customer["id"]
        del self.customers[customer_id]
        self._commercetools.delete("customers", customer_id)
        erase = self._rng.random() < 0.7
        self.deleted.add(customer_id)
        self.erased |= {customer_id} if erase else set()
        fields = {"version": customer["version"], **({"dataErasure": True} if erase else {})}
        return [change("ResourceDeleted", "customer", customer_id, **fields)]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _any_customer(self) -> Json | None:
        return self._rng.choice(list(self.customers.values())) if self.customers else None

    def _any_order(self) -> Json | None:
        return self._rng.choice(list(self.orders.values())) if self.orders else None

    def _edit_customer(self, **fields: Any) -> list[Json]:
        customer = self._any_customer()
        if not customer or ("email" in fields and self._must_keep_email(customer)):
            return []
        edited = {**customer, "version": customer["version"] + 1, **fields}
        self._store_customer(edited)
        return [change("ResourceUpdated", "customer", customer["id"], version=edited["version"])]

    def _must_keep_email(self, customer: Json) -> bool:
        """True if guests have ordered or may order with this e-mail.

        If it changed, a late duplicate of a guest's order would no longer find its owner.
        """
        ordered = {order["customerEmail"].lower() for order in self.orders.values() if "customerId" not in order}
        return _keeps_account(customer) or customer["email"] in ordered

    def _store_customer(self, customer: Json) -> None:
        customer = {**customer, "lastModifiedAt": now()}
        self._commercetools.put("customers", customer)
        self.customers[customer["id"]] = customer
        self.emails.setdefault(customer["id"], set()).add(customer["email"])

    def _store_order(self, order: Json) -> None:
        self._commercetools.put("orders", order)
        self.orders[order["id"]] = order

    def _place_order(self, owner: str, identity: Json) -> list[Json]:
        number = self._next()
        order_id = f"order-{number}"
        lines = [make.line_item(line, id=f"{order_id}-{line}") for line in range(1, self._rng.randint(1, 3) + 1)]
        payments = {"payments": [reference("payment", f"payment-{number}")]}
        order = make.order(order_id, lines=lines, paymentInfo=payments, **identity)
        self._store_order(order)
        self.owners["Placed Order", order_id] = owner
        self.owners |= {("Ordered Product", line["id"]): owner for line in lines}
        return [recent(message("OrderCreated", "order", order_id, order=order))]


def _keeps_account(customer: Json) -> bool:
    """True for every third customer: they are never deleted and keep their e-mail."""
    return int(customer["id"].rpartition("-")[2]) % 3 == 0
