"""Each requested return and each item that comes back becomes exactly one event, whatever ids the items have."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, money, product, too_large
from tests.functional.failure_cases import FakeTopic
from tests.functional.shipment_documents import (
    events,
    return_added,
    return_info,
    return_item,
    return_state,
    returns_set,
    shipped_order,
)

pytestmark = pytest.mark.usefixtures("buyer")

REQUESTED, RETURNED = "Requested Return", "Returned Order"
_NAMES = ["ReturnInfoAdded", "ReturnInfoSet", "OrderReturnShipmentStateChanged"]


def _put_order(sandbox: Sandbox, *returns: Json, **fields: object) -> None:
    sandbox.commercetools.put("orders", shipped_order(returnInfo=list(returns), **fields))


def test_a_requested_return(sandbox: Sandbox, function: Function) -> None:
    """The event has its advised items, worth their share of their lines, and the return's date.

    An item that has come back already makes an event of its own.
    """
    items = [
        return_item(1, comment="too small"),
        return_item(2, "line-2", 2),
        return_item(3, "line-2", shipmentState="Returned"),
    ]
    info = return_info(*items, date="2026-05-01T22:00:00.000Z")
    _put_order(sandbox, info)
    assert function.deliver(return_added(info)).outcome == "synced"
    (event,) = events(sandbox, REQUESTED).values()
    properties = event["properties"]
    assert (event["value"], event["value_currency"], event["time"][:19]) == (16.67, "EUR", "2026-05-01T22:00:00")
    assert (properties["ReturnTrackingId"], properties["ReturnDate"][:10]) == ("R-1", "2026-05-01")
    product = {"ProductID": "product-1", "SKU": "SKU-1", "ProductName": "Product 1", "Quantity": 1}
    other = {"ProductID": "product-2", "SKU": "SKU-2", "ProductName": "Product 2", "Quantity": 2}
    states = {"ShipmentState": "Advised", "PaymentState": "Initial"}
    assert properties["ReturnItems"] == [{**product, "Comment": "too small", **states}, {**other, **states}]
    (back,) = events(sandbox, RETURNED).values()
    assert (back["value"], back["time"][:19]) == (3.33, "2026-05-02T08:00:00")
    assert {name: back["properties"][name] for name in ("SKU", "Quantity", "ShipmentState", "ReturnTrackingId")} == {
        "SKU": "SKU-2", "Quantity": 1, "ShipmentState": "Returned", "ReturnTrackingId": "R-1",
    }  # fmt: skip


def test_a_list_that_repeats_earlier_returns(sandbox: Sandbox, function: Function) -> None:
    """Only the new return makes an event, even if the others have new ids, another order and another state."""
    first = return_info(return_item(1), return_item(2, "line-2", 2))
    again = return_info(
        return_item(5, "line-2", 2), return_item(4, shipmentState="Returned", createdAt="2026-05-09T08:00:00.000Z")
    )
    new = return_info(return_item(6, "line-2"), tracking="R-2")
    _put_order(sandbox, first)
    function.deliver(return_added(first))
    (first_id,) = events(sandbox, REQUESTED)
    _put_order(sandbox, again, new)
    for delivery in (returns_set(again, new), return_added(first), returns_set(again, new)):
        assert function.deliver(delivery).outcome == "synced"
    found = events(sandbox, REQUESTED)
    assert len(found) == 2
    assert {one["properties"]["ReturnTrackingId"] for own, one in found.items() if own != first_id} == {"R-2"}
    assert len(events(sandbox, RETURNED)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["each in time", "all at the end"])
def test_two_equal_returns(sandbox: Sandbox, function: Function, *, late: bool) -> None:
    """Equal returns without number and date are two. A list that repeats them with new ids adds none."""
    monday, friday = (return_info(return_item(number), tracking=None) for number in (1, 2))
    both = [return_info(return_item(number), tracking=None) for number in (3, 4)]
    for added, listed in ((monday, [monday]), (friday, [monday, friday])):
        _put_order(sandbox, *([monday, friday] if late else listed))
        function.deliver(return_added(added))
    assert len(events(sandbox, REQUESTED)) == 2
    _put_order(sandbox, *both)
    for notification in (returns_set(*both), return_added(monday)):
        function.deliver(notification)
    assert len(events(sandbox, REQUESTED)) == 2


def test_returns_on_two_dates(sandbox: Sandbox, function: Function) -> None:
    """Without a number, the date identifies a return, even if the other one has left the list."""
    monday, friday = (
        return_info(return_item(day), tracking=None, date=f"2026-05-0{day}T10:00:00.000Z") for day in (4, 8)
    )
    for listed in ([monday], [friday], [friday, monday]):
        _put_order(sandbox, *listed)
        function.deliver(returns_set(*listed))
    found = events(sandbox, REQUESTED).values()
    assert sorted(one["properties"]["ReturnDate"][:10] for one in found) == ["2026-05-04", "2026-05-08"]


def test_items_with_keys(sandbox: Sandbox, function: Function) -> None:
    """A key identifies an item, so equal items under one return number are two."""
    one, two = (return_info(return_item(number, key=f"key-{number}")) for number in (1, 2))
    again = return_info(return_item(7, key="key-2", quantity=2))
    _put_order(sandbox, one, again)
    for notification in (return_added(two), returns_set(one, again)):
        function.deliver(notification)
    assert len(events(sandbox, REQUESTED)) == 2


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(3))), ids=str)
def test_an_item_that_comes_back(sandbox: Sandbox, function: Function, arrival: tuple[int, ...]) -> None:
    """It makes one event, whichever message arrives first, and even if it is back in stock by now."""
    info = return_info(return_item(1, shipmentState="BackInStock"), return_item(2, "line-2", shipmentState="Unusable"))
    _put_order(sandbox, info)
    notifications = [return_state("Returned", 1), return_state("Returned", 2), returns_set(info)]
    for number in arrival:
        assert function.deliver(notifications[number]).outcome == "synced"
    found = events(sandbox, RETURNED)
    assert sorted(event["value"] for event in found.values()) == [3.33, 10]
    assert events(sandbox, REQUESTED) == {}


def test_a_state_is_that_of_the_message(sandbox: Sandbox, function: Function) -> None:
    """The event has the message's state, not the item's current one."""
    _put_order(sandbox, return_info(return_item(1, shipmentState="BackInStock")))
    function.deliver(return_state("Returned"))
    (event,) = events(sandbox, RETURNED).values()
    assert event["properties"]["ShipmentState"] == "Returned"


@pytest.mark.parametrize("state", ["Advised", "BackInStock", "Unusable", "Mislaid"])
def test_other_states_of_items_cost_no_call(sandbox: Sandbox, steady: Function, state: str) -> None:
    """Of the messages about an item's state, only that of Returned makes an event."""
    done = measured(sandbox, steady, return_state(state))
    assert (done.outcome, done.calls) == ("ignored return_state", (0, 0))


def test_an_item_that_a_new_list_replaced(sandbox: Sandbox, function: Function) -> None:
    """The message names an id that no longer exists. The list's own message sends the item's event."""
    replaced = return_info(return_item(2, shipmentState="Returned"))
    _put_order(sandbox, replaced)
    assert function.deliver(return_state("Returned", 1)).reason == "return_gone"
    assert function.deliver(returns_set(replaced)).outcome == "synced"
    assert len(events(sandbox, RETURNED)) == 1


@pytest.mark.parametrize("name", _NAMES)
def test_a_message_without_its_payload(sandbox: Sandbox, function: Function, name: str) -> None:
    """Everything in the order is sent; repeats add nothing."""
    info = return_info(return_item(1), return_item(2, "line-2", shipmentState="Returned"))
    _put_order(sandbox, info)
    for notification in (too_large(name, "order", "order-1"), return_added(info), too_large(name, "order", "order-1")):
        assert function.deliver(notification).outcome == "synced"
    assert (len(events(sandbox, REQUESTED)), len(events(sandbox, RETURNED))) == (1, 1)
    _put_order(sandbox)
    assert function.deliver(too_large(name, "order", "order-1")).outcome == "ignored"


@pytest.mark.parametrize(
    ("name", "included", "flagged"),
    [
        ("ReturnInfoAdded", True, False),
        ("ReturnInfoSet", True, True),
        ("OrderReturnShipmentStateChanged", True, False),
        *((name, False, True) for name in _NAMES),
    ],
)
def test_when_an_old_return_starts_no_flow(
    sandbox: Sandbox, function: Function, name: str, *, included: bool, flagged: bool
) -> None:
    """An old return starts flows only if the message names it alone. A list or the order may repeat old returns."""
    items = [return_item(1, shipmentState="Returned"), return_item(2, "line-2")]
    info = return_info(*items, date="2025-03-01T10:00:00.000Z")
    _put_order(sandbox, info)
    notification = {"ReturnInfoAdded": return_added(info), "ReturnInfoSet": returns_set(info)}.get(
        name, return_state("Returned")
    )
    notification = notification if included else too_large(name, "order", "order-1")
    assert function.deliver({**notification, "createdAt": datetime.now(UTC).isoformat()}).outcome == "synced"
    found = sandbox.klaviyo.state()["events"]
    metrics = {"Returned Order"} if "State" in name else {"Requested Return", "Returned Order"}
    assert {one["metric"] for one in found} == metrics
    assert {one["backfill"] for one in found} == {flagged}


@pytest.mark.parametrize(("age", "flagged"), [(timedelta(), False), (timedelta(days=5), True)], ids=["now", "old"])
@pytest.mark.parametrize("date", [None, "now"])
def test_the_age_of_a_message(
    sandbox: Sandbox, function: Function, age: timedelta, date: str | None, *, flagged: bool
) -> None:
    """A return without a date, or with the message's, is as old as the message, also in a list."""
    then = (datetime.now(UTC) - age).isoformat()
    info = return_info(return_item(1), return_item(2, "line-2", shipmentState="Returned"), date=date and then)
    _put_order(sandbox, info)
    for notification in (returns_set(info), return_added(info), return_state("Returned", 2)):
        function.deliver({**notification, "createdAt": then})
        assert {one["backfill"] for one in sandbox.klaviyo.state()["events"]} == {flagged}


def test_empty_returns(sandbox: Sandbox, steady: Function) -> None:
    """Messages with an empty list, no list or a return without items are ignored without a call."""
    for notification in (
        returns_set(),
        {**returns_set(), "returnInfo": None},
        return_added({"returnTrackingId": "R-1"}),
    ):
        done = measured(sandbox, steady, notification)
        assert (done.outcome, done.calls) == ("ignored no_return", (0, 0))


def test_removed_lines_and_custom_line_items(sandbox: Sandbox, function: Function) -> None:
    """A line that an edit removed is left out, and the log says so. A custom line item has no product."""
    custom = {"id": "custom-1", "name": {"en-US": "Engraving"}, "quantity": 1, "money": money(900)}
    items = [
        return_item(1, "gone"),
        return_item(2, lineItemId=None, customLineItemId="custom-1", type="CustomLineItemReturnItem"),
    ]
    info = return_info(*items)
    _put_order(sandbox, info, customLineItems=[{**custom, "totalPrice": money(900)}])
    answer = function.deliver(return_added(info))
    assert answer.line["cuts"] == ["ReturnItems[]: the order no longer has its line"]
    (event,) = events(sandbox, REQUESTED).values()
    assert event["value"] == 9
    (item,) = event["properties"]["ReturnItems"]
    assert (item["ProductName"], item["Quantity"], "ProductID" in item) == ("Engraving", 1, False)
    _put_order(sandbox, return_info(return_item(1, "gone", shipmentState="Returned")))
    answer = function.deliver(return_state("Returned"))
    assert answer.line["cuts"] == ["the item that came back: the order no longer has its line"]
    (event,) = events(sandbox, RETURNED).values()
    assert (event["value"], event["properties"]["Quantity"]) == (None, 1)


@pytest.mark.parametrize(
    ("off", "notification", "outcome"),
    [
        (("requested_return",), return_added(return_info()), "ignored no_return"),
        (("returned_order",), return_added(return_info(return_item(shipmentState="Returned"))), "ignored no_return"),
        (("returned_order",), return_state("Returned"), "ignored disabled"),
        (("requested_return", "returned_order"), return_added(return_info()), "ignored disabled"),
        (("requested_return", "returned_order"), returns_set(return_info()), "ignored disabled"),
    ],
)
def test_a_disabled_message_costs_no_call(
    sandbox: Sandbox,
    serve: Serve,
    settings_file: Callable[[str], str],
    off: tuple[str, ...],
    notification: Json,
    outcome: str,
) -> None:
    """If every event that the message could send is switched off, it is ignored without a call."""
    function = serve(SYNC_CONFIG=settings_file("[metrics]\n" + "".join(f'{name} = ""\n' for name in off)))
    _put_order(sandbox, return_info())
    done = measured(sandbox, function, notification)
    assert (done.outcome, done.calls) == (outcome, (0, 0))


@pytest.mark.parametrize(
    "notification", [return_added(return_info()), return_state("Returned")], ids=["added", "state"]
)
def test_the_budget(sandbox: Sandbox, steady: Function, notification: Json) -> None:
    """Order and customer are read, then checked; categories are read until they are remembered; one write."""
    sandbox.commercetools.put_all({"products": [product("product-1"), product("product-2")]})
    _put_order(sandbox, return_info())
    first, again = measured(sandbox, steady, notification), measured(sandbox, steady, notification)
    assert (first.outcome, first.calls) == ("synced", (4, 1))
    assert (again.outcome, again.calls) == ("synced", (3, 1))


@pytest.mark.parametrize(
    "notification",
    [
        return_added(return_info({**return_item(), "quantity": "two"})),
        return_added({"items": 5}),
        returns_set(return_info(), {"items": [{"shipmentState": "Advised"}]}),
    ],
    ids=["quantity", "items", "item"],
)
def test_malformed_returns_are_dead_lettered(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function, notification: Json
) -> None:
    """A return whose items can't be read is unmappable."""
    _put_order(sandbox)
    assert function.deliver(notification).reason == "unmappable"
    assert len(dead_letters.published) == 1
