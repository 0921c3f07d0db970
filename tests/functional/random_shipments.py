"""The life of one order after it was placed, by chance: deliveries, parcels, numbers, states and returns.

What its messages must become is worked out here, from the rules and without the mappers.
"""

import itertools
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.functional.documents import Json, money
from tests.functional.shipment_documents import (
    delivery,
    method,
    parcel,
    parcel_added,
    return_added,
    return_info,
    return_item,
    return_state,
    returns_set,
    shipment_state,
    shipped_order,
    tracking_updated,
)

METRICS = {"Shipped": "Shipped Order", "Partial": "Partially Shipped Order", "Delivered": "Delivered Order"}
_STATES = (*METRICS, "Ready", "Pending", "Delayed", "Backorder", "Canceled")
_LINES = ("line-1", "line-2", "custom-1", "gone")

EventKey = tuple[str, ...]
"""What tells an event from the others: the metric, then what it is about."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message, the order when it was made, and the events that it must become."""

    told: Json
    order: Json
    events: frozenset[EventKey]


class RandomShipments:
    """One order; `live` makes its steps."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.steps: list[Step] = []
        self._numbers = itertools.count(1)
        custom = {"id": "custom-1", "name": {"en-US": "Gift wrap"}, "quantity": 2, "money": money(100)}
        self._order = shipped_order(customLineItems=[{**custom, "totalPrice": money(200)}], returnInfo=[])
        self._methods = [self._order["shippingInfo"]]
        if self.rng.random() < 0.5:
            self._methods = [method(), method(name="Parcel shop")]
            shipping = [{"shippingKey": f"key-{n}", "shippingInfo": one} for n, one in enumerate(self._methods)]
            self._order |= {"shippingInfo": None, "shippingMode": "Multiple", "shipping": shipping}

    def live(self, count: int) -> None:
        """Make so many changes."""
        kinds: list[Callable[[], None]] = [
            self._deliver, self._add_parcel, self._track, self._track, self._move, self._announce, self._take_back,
            self._set_returns,
        ]  # fmt: skip
        while len(self.steps) < count:
            self.rng.choice(kinds)()

    @property
    def order(self) -> Json:
        """The order as it is at last."""
        return self.steps[-1].order

    @property
    def events(self) -> frozenset[EventKey]:
        """What all of its messages must become."""
        return frozenset().union(*(step.events for step in self.steps))

    def _happened(
        self, make: Callable[..., Json], *about: Any, events: frozenset[EventKey] = frozenset(), **told: Any
    ) -> None:
        self._order = {**self._order, "version": self._order["version"] + 1}
        number = next(self._numbers)
        message = make(*deepcopy(about), id=f"message-{number}", resourceVersion=self._order["version"], **told)
        events = frozenset((*one, f"message-{number}") if one[0] == METRICS["Partial"] else one for one in events)
        self.steps.append(Step(message, deepcopy(self._order), events))

    def _deliveries(self) -> list[Json]:
        return [one for info in self._methods for one in info["deliveries"]]

    def _parcels(self) -> list[tuple[Json, Json]]:
        return [(one, its) for one in self._deliveries() for its in one["parcels"]]

    def _deliver(self) -> None:
        quantities = {line: self.rng.randint(1, 2) for line in self.rng.sample(_LINES, self.rng.randint(1, 3))}
        added = delivery(next(self._numbers), quantities)
        self.rng.choice(self._methods)["deliveries"].append(added)
        for _ in range(self.rng.randint(0, 2)):
            self._add_parcel(added)

    def _add_parcel(self, to: Json | None = None) -> None:
        if not self._deliveries():
            return
        to = to or self.rng.choice(self._deliveries())
        number = next(self._numbers)
        inside = {one["id"]: 1 for one in to["items"]} if self.rng.random() < 0.5 else {}
        added = parcel(number, self._tracking() if self.rng.random() < 0.6 else None, inside)
        to["parcels"].append(added)
        self._happened(parcel_added, to, added, events=_confirmed(added))

    def _track(self) -> None:
        """A number comes, is corrected, is told again or is taken away."""
        if not self._parcels():
            return
        of, its = self.rng.choice(self._parcels())
        its.pop("trackingData", None)
        tracking = self._tracking() if self.rng.random() < 0.9 else None
        its |= {"trackingData": tracking} if tracking else {}
        number = int(its["id"].rpartition("-")[2])
        self._happened(tracking_updated, tracking, number, deliveryId=of["id"], events=_confirmed(its))

    def _tracking(self) -> Json:
        is_return = self.rng.random() < 0.2
        return {"trackingId": f"T-{self.rng.randint(1, 3)}", "carrier": "DHL", "isReturn": is_return}

    def _move(self) -> None:
        old, state = self._order["shipmentState"], self.rng.choice(_STATES)
        if old == state:
            return
        self._order = {**self._order, "shipmentState": state}
        told = frozenset({(METRICS[state],)}) if state in METRICS else frozenset()
        self._happened(shipment_state, state, oldShipmentState=old, events=told)

    def _announce(self) -> None:
        info = self._a_return()
        self._order = {**self._order, "returnInfo": [*self._order["returnInfo"], info]}
        self._happened(return_added, info, events=_returns(info))

    def _take_back(self) -> None:
        """An item comes back, or is found to be good or broken."""
        after = {"Advised": ["Returned"], "Returned": ["BackInStock", "Unusable"]}
        open_items = [
            (info, item)
            for info in self._order["returnInfo"]
            for item in info["items"]
            if item["shipmentState"] in after
        ]
        if not open_items:
            return
        info, item = self.rng.choice(open_items)
        item["shipmentState"] = self.rng.choice(after[item["shipmentState"]])
        told = frozenset({_returned(info, item)}) if item["shipmentState"] == "Returned" else frozenset()
        self._happened(return_state, item["shipmentState"], int(item["id"].rpartition("-")[2]), events=told)

    def _set_returns(self) -> None:
        """The list is set anew: the same returns with new ids, in another order, and perhaps one more."""
        every = deepcopy(self._order["returnInfo"])
        self.rng.shuffle(every)
        for info in every:
            self.rng.shuffle(info["items"])
            for item in info["items"]:
                back = item["shipmentState"] != "Advised"
                item |= {"id": f"return-item-{next(self._numbers)}", "shipmentState": "Returned" if back else "Advised"}
        every += [self._a_return()] if self.rng.random() < 0.5 else []
        self._order = {**self._order, "returnInfo": every}
        self._happened(returns_set, *every, events=frozenset().union(*map(_returns, every)))

    def _a_return(self) -> Json:
        lines = self.rng.sample(_LINES, self.rng.randint(1, 2))
        items = [
            return_item(
                next(self._numbers),
                line,
                self.rng.randint(1, 2),
                shipmentState=self.rng.choice(["Advised", "Returned"]),
            )
            for line in lines
        ]
        return return_info(*items, tracking=f"R-{next(self._numbers)}")


def _confirmed(its: Json) -> frozenset[EventKey]:
    tracking = its.get("trackingData")
    if not tracking or tracking["isReturn"]:
        return frozenset()
    return frozenset({("Confirmed Shipment", f"{its['id']}:{tracking['trackingId']}")})


def _returns(info: Json) -> frozenset[EventKey]:
    advised = {
        ("Requested Return", info["returnTrackingId"]) for one in info["items"] if one["shipmentState"] == "Advised"
    }
    back = {_returned(info, one) for one in info["items"] if one["shipmentState"] != "Advised"}
    return frozenset(advised | back)


def _returned(info: Json, item: Json) -> EventKey:
    """The line is not told of one that is gone: there is one of those in a return at most."""
    name = {"line-1": "Product 1", "line-2": "Product 2", "custom-1": "Gift wrap"}.get(item["lineItemId"], "")
    return ("Returned Order", info["returnTrackingId"], name, str(item["quantity"]))
