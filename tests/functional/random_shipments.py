"""Random changes of one order after it was placed: deliveries, parcels, tracking numbers, states and returns.

The events that its messages must produce are worked out here, without the mappers.
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
"""Identifies an event: its metric, then what it is about."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message, the order at that time, and the events the message must produce."""

    message: Json
    order: Json
    events: frozenset[EventKey]


class RandomShipments:
    """One order; `make_steps` changes it."""

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

    def make_steps(self, count: int) -> None:
        """Change the order until it has `count` steps."""
        kinds: list[Callable[[], None]] = [
            self._deliver, self._add_parcel, self._change_tracking, self._change_tracking, self._change_state,
            self._add_return, self._advance_return, self._set_returns,
        ]  # fmt: skip
        while len(self.steps) < count:
            self.rng.choice(kinds)()

    @property
    def order(self) -> Json:
        """The order after its last step."""
        return self.steps[-1].order

    @property
    def events(self) -> frozenset[EventKey]:
        """The events that all messages together must produce."""
        return frozenset().union(*(step.events for step in self.steps))

    def _add_step(
        self, make: Callable[..., Json], *arguments: Any, events: frozenset[EventKey] = frozenset(), **payload: Any
    ) -> None:
        self._order = {**self._order, "version": self._order["version"] + 1}
        number = next(self._numbers)
        message = make(*deepcopy(arguments), id=f"message-{number}", resourceVersion=self._order["version"], **payload)
        events = frozenset((*key, f"message-{number}") if key[0] == METRICS["Partial"] else key for key in events)
        self.steps.append(Step(message, deepcopy(self._order), events))

    def _deliveries(self) -> list[Json]:
        return [one for info in self._methods for one in info["deliveries"]]

    def _parcels(self) -> list[tuple[Json, Json]]:
        return [(one, added) for one in self._deliveries() for added in one["parcels"]]

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
        self._add_step(parcel_added, to, added, events=_confirmed_events(added))

    def _change_tracking(self) -> None:
        """Set, correct, repeat or remove a parcel's tracking number."""
        if not self._parcels():
            return
        of, tracked = self.rng.choice(self._parcels())
        tracked.pop("trackingData", None)
        tracking = self._tracking() if self.rng.random() < 0.9 else None
        tracked |= {"trackingData": tracking} if tracking else {}
        number = int(tracked["id"].rpartition("-")[2])
        self._add_step(tracking_updated, tracking, number, deliveryId=of["id"], events=_confirmed_events(tracked))

    def _tracking(self) -> Json:
        is_return = self.rng.random() < 0.2
        return {"trackingId": f"T-{self.rng.randint(1, 3)}", "carrier": "DHL", "isReturn": is_return}

    def _change_state(self) -> None:
        old, state = self._order["shipmentState"], self.rng.choice(_STATES)
        if old == state:
            return
        self._order = {**self._order, "shipmentState": state}
        events = frozenset({(METRICS[state],)}) if state in METRICS else frozenset()
        self._add_step(shipment_state, state, oldShipmentState=old, events=events)

    def _add_return(self) -> None:
        info = self._new_return()
        self._order = {**self._order, "returnInfo": [*self._order["returnInfo"], info]}
        self._add_step(return_added, info, events=_return_events(info))

    def _advance_return(self) -> None:
        """Mark a returned item as arrived, or an arrived one as sellable or unusable."""
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
        events = frozenset({_returned_event(info, item)}) if item["shipmentState"] == "Returned" else frozenset()
        self._add_step(return_state, item["shipmentState"], int(item["id"].rpartition("-")[2]), events=events)

    def _set_returns(self) -> None:
        """Replace the list of returns: the same ones with new ids in another order, and perhaps a new one."""
        infos = deepcopy(self._order["returnInfo"])
        self.rng.shuffle(infos)
        for info in infos:
            self.rng.shuffle(info["items"])
            for item in info["items"]:
                back = item["shipmentState"] != "Advised"
                item |= {"id": f"return-item-{next(self._numbers)}", "shipmentState": "Returned" if back else "Advised"}
        infos += [self._new_return()] if self.rng.random() < 0.5 else []
        self._order = {**self._order, "returnInfo": infos}
        self._add_step(returns_set, *infos, events=frozenset().union(*map(_return_events, infos)))

    def _new_return(self) -> Json:
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


def _confirmed_events(added: Json) -> frozenset[EventKey]:
    tracking = added.get("trackingData")
    if not tracking or tracking["isReturn"]:
        return frozenset()
    return frozenset({("Confirmed Shipment", f"{added['id']}:{tracking['trackingId']}")})


def _return_events(info: Json) -> frozenset[EventKey]:
    advised = {
        ("Requested Return", info["returnTrackingId"]) for one in info["items"] if one["shipmentState"] == "Advised"
    }
    back = {_returned_event(info, one) for one in info["items"] if one["shipmentState"] != "Advised"}
    return frozenset(advised | back)


def _returned_event(info: Json, item: Json) -> EventKey:
    """The event of a returned item. If the order lacks its line, the name is empty: at most one item per return."""
    name = {"line-1": "Product 1", "line-2": "Product 2", "custom-1": "Gift wrap"}.get(item["lineItemId"], "")
    return ("Returned Order", info["returnTrackingId"], name, str(item["quantity"]))
