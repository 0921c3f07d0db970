"""Whatever the order of the messages about shipments and returns: the events are those of the messages, each once."""

import json
import os
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import Json
from tests.functional.random_shipments import METRICS, EventKey, RandomShipments, Step

pytestmark = pytest.mark.usefixtures("buyer")

LIVES = 6
STEPS = 20


@pytest.fixture
def function(serve: Serve) -> Function:
    """A function that takes deliveries without Pub/Sub's envelope."""
    return serve(SKIP_BASE64_ENCODING="1")


@pytest.fixture
def lives() -> list[RandomShipments]:
    """Orders that a lot happened to. SHIPMENTS_SEED repeats one that a failure names."""
    seed = int(os.environ.get("SHIPMENTS_SEED") or random.randrange(2**32))
    made = [RandomShipments(seed + number) for number in range(LIVES)]
    for one in made:
        one.make_steps(STEPS)
    return made


def test_live_each_message_becomes_what_it_tells(
    sandbox: Sandbox, function: Function, lives: list[RandomShipments]
) -> None:
    """One after the other, the order as it is then; the same where every payload is left out."""
    for life in lives:
        for left_out in (False, True):
            _begin(sandbox, life.steps[0].order)
            for step in life.steps:
                sandbox.commercetools.put("orders", step.order)
                _deliver(function, _left_out(step.message) if left_out else step.message)
            assert _events(sandbox) == life.events, life.seed


def test_late_in_any_order_and_doubled_they_become_the_same(
    sandbox: Sandbox, function: Function, lives: list[RandomShipments]
) -> None:
    """The order is what it is at last, and doubles come without their payloads."""
    for life in lives:
        _begin(sandbox, life.order)
        _deliver_all(function, [*_told(life.steps), *_told(life.steps), *map(_left_out, _told(life.steps))], life.rng)
        assert _events(sandbox) == life.events, life.seed


def test_the_order_moves_on_while_they_come(sandbox: Sandbox, function: Function, lives: list[RandomShipments]) -> None:
    """Each message is late by up to five others."""
    for life in lives:
        _begin(sandbox, life.steps[0].order)
        late = sorted((number + life.rng.uniform(0, 5), number) for number in range(len(life.steps)) for _ in range(2))
        for at, number in late:
            sandbox.commercetools.put("orders", life.steps[min(int(at), len(life.steps) - 1)].order)
            _deliver(function, life.steps[number].message)
        assert _events(sandbox) == life.events, life.seed


def test_late_without_payloads_nothing_is_made_up(
    sandbox: Sandbox, function: Function, lives: list[RandomShipments]
) -> None:
    """What the order shows at last is told, under the same ids; what it no longer shows can't be."""
    for life in lives:
        _begin(sandbox, life.order)
        _deliver_all(function, [_left_out(told) for told in _told(life.steps)], life.rng)
        found = _events(sandbox)
        assert found <= life.events, life.seed
        shown: set[EventKey] = {
            ("Confirmed Shipment", f"{parcel['id']}:{parcel['trackingData']['trackingId']}")
            for parcel in _parcels(life.order)
            if not parcel.get("trackingData", {"isReturn": True})["isReturn"]
        }
        state = METRICS.get(life.order["shipmentState"])
        shown |= {(state,)} if state and life.order["shipmentState"] != "Partial" else set()
        back = [
            item for info in life.order["returnInfo"] for item in info["items"] if item["shipmentState"] != "Advised"
        ]
        if any(step.message["type"] == "ParcelAddedToDelivery" for step in life.steps):
            assert shown <= found, life.seed
        if any(step.message["type"].startswith("ReturnInfo") for step in life.steps):
            assert sum(one[0] == "Returned Order" for one in found) == len(back), life.seed


def _begin(sandbox: Sandbox, order: Json) -> None:
    sandbox.klaviyo.reset()
    sandbox.commercetools.put("orders", order)


def _told(steps: Iterable[Step]) -> list[Json]:
    return [step.message for step in steps]


def _left_out(told: Json) -> Json:
    """The same message, when its payload was too large to be included."""
    common = ("notificationType", "projectKey", "id", "version", "sequenceNumber", "resource", "resourceVersion")
    kept = {name: told[name] for name in (*common, "createdAt", "lastModifiedAt")}
    return kept | {"payloadNotIncluded": {"reason": "The payload is too large.", "payloadType": told["type"]}}


def _deliver_all(function: Function, told: list[Json], rng: random.Random) -> None:
    rng.shuffle(told)
    for one in told:
        _deliver(function, one)


def _deliver(function: Function, told: Json) -> None:
    assert function.post(json.dumps(told).encode()).status_code == ACKNOWLEDGED


def _parcels(order: Json) -> list[Json]:
    infos = [order["shippingInfo"]] if order.get("shippingInfo") else [one["shippingInfo"] for one in order["shipping"]]
    return [parcel for info in infos for delivery in info["deliveries"] for parcel in delivery["parcels"]]


def _events(sandbox: Sandbox) -> set[EventKey]:
    """What tells the events apart; none is there twice."""
    found = [_about(event) for event in sandbox.klaviyo.state()["events"]]
    assert len(set(found)) == len(found)
    return set(found)


def _about(event: Mapping[str, Any]) -> EventKey:
    metric, said = event["metric"], event["properties"]
    match metric:
        case "Confirmed Shipment":
            return (metric, event["unique_id"])
        case "Partially Shipped Order":
            return (metric, event["unique_id"].removeprefix("order-1:"))
        case "Requested Return":
            return (metric, said["ReturnTrackingId"])
        case "Returned Order":
            return (metric, said["ReturnTrackingId"], said.get("ProductName", ""), str(said["Quantity"]))
    assert event["unique_id"] == "order-1"
    return (metric,)
