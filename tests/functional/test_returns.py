"""Returns become events once, whatever ids their items have, and each item that comes back one more."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, money, product, too_large
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


def _holds(sandbox: Sandbox, *returns: Json, **fields: object) -> None:
    sandbox.commercetools.put("orders", shipped_order(returnInfo=list(returns), **fields))


def test_a_return_that_is_announced(sandbox: Sandbox, function: Function) -> None:
    """Its advised items with their comments, worth their share of their lines, at the return's date."""
    items = [
        return_item(1, comment="too small"),
        return_item(2, "line-2", 2),
        return_item(3, "line-2", shipmentState="Returned"),
    ]
    info = return_info(*items, date="2026-05-01T22:00:00.000Z")
    _holds(sandbox, info)
    assert function.deliver(return_added(info)).outcome == "synced"
    (event,) = events(sandbox, REQUESTED).values()
    said = event["properties"]
    assert (event["value"], event["value_currency"], event["time"][:19]) == (16.67, "EUR", "2026-05-01T22:00:00")
    assert (said["ReturnTrackingId"], said["ReturnDate"][:10]) == ("R-1", "2026-05-01")
    product = {"ProductID": "product-1", "SKU": "SKU-1", "ProductName": "Product 1", "Quantity": 1}
    other = {"ProductID": "product-2", "SKU": "SKU-2", "ProductName": "Product 2", "Quantity": 2}
    states = {"ShipmentState": "Advised", "PaymentState": "Initial"}
    assert said["ReturnItems"] == [{**product, "Comment": "too small", **states}, {**other, **states}]
    (back,) = events(sandbox, RETURNED).values()
    assert (back["value"], back["time"][:19]) == (3.33, "2026-05-02T08:00:00")
    assert {name: back["properties"][name] for name in ("SKU", "Quantity", "ShipmentState", "ReturnTrackingId")} == {
        "SKU": "SKU-2", "Quantity": 1, "ShipmentState": "Returned", "ReturnTrackingId": "R-1",
    }  # fmt: skip


def test_a_list_that_repeats_earlier_returns(sandbox: Sandbox, function: Function) -> None:
    """With new ids, in another order, and one of them on its way back: only the new return is told."""
    first = return_info(return_item(1), return_item(2, "line-2", 2))
    again = return_info(
        return_item(5, "line-2", 2), return_item(4, shipmentState="Returned", createdAt="2026-05-09T08:00:00.000Z")
    )
    new = return_info(return_item(6, "line-2"), tracking="R-2")
    _holds(sandbox, first)
    function.deliver(return_added(first))
    (told,) = events(sandbox, REQUESTED)
    _holds(sandbox, again, new)
    for delivery in (returns_set(again, new), return_added(first), returns_set(again, new)):
        assert function.deliver(delivery).outcome == "synced"
    found = events(sandbox, REQUESTED)
    assert len(found) == 2
    assert {one["properties"]["ReturnTrackingId"] for own, one in found.items() if own != told} == {"R-2"}
    assert len(events(sandbox, RETURNED)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["each in time", "all at the end"])
def test_two_returns_that_are_alike(sandbox: Sandbox, function: Function, *, late: bool) -> None:
    """One unit on Monday and another on Friday, without number or date: two returns; set anew they are the same two."""
    monday, friday = (return_info(return_item(number), tracking=None) for number in (1, 2))
    both = [return_info(return_item(number), tracking=None) for number in (3, 4)]
    for told, held in ((monday, [monday]), (friday, [monday, friday])):
        _holds(sandbox, *([monday, friday] if late else held))
        function.deliver(return_added(told))
    assert len(events(sandbox, REQUESTED)) == 2
    _holds(sandbox, *both)
    for told in (returns_set(*both), return_added(monday)):
        function.deliver(told)
    assert len(events(sandbox, REQUESTED)) == 2


def test_returns_on_two_dates(sandbox: Sandbox, function: Function) -> None:
    """Without number the date says which return it is, also where the other has left the list."""
    monday, friday = (
        return_info(return_item(day), tracking=None, date=f"2026-05-0{day}T10:00:00.000Z") for day in (4, 8)
    )
    for held in ([monday], [friday], [friday, monday]):
        _holds(sandbox, *held)
        function.deliver(returns_set(*held))
    found = events(sandbox, REQUESTED).values()
    assert sorted(one["properties"]["ReturnDate"][:10] for one in found) == ["2026-05-04", "2026-05-08"]


def test_items_with_keys_of_their_own(sandbox: Sandbox, function: Function) -> None:
    """The key says which item it is, so two of the same line and quantity are two even within one number."""
    one, two = (return_info(return_item(number, key=f"key-{number}")) for number in (1, 2))
    again = return_info(return_item(7, key="key-2", quantity=2))
    _holds(sandbox, one, again)
    for told in (return_added(two), returns_set(one, again)):
        function.deliver(told)
    assert len(events(sandbox, REQUESTED)) == 2


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(3))), ids=str)
def test_an_item_that_comes_back(sandbox: Sandbox, function: Function, arrival: tuple[int, ...]) -> None:
    """One event an item, whichever message tells of it first, also when it is back in stock by now."""
    info = return_info(return_item(1, shipmentState="BackInStock"), return_item(2, "line-2", shipmentState="Unusable"))
    _holds(sandbox, info)
    told = [return_state("Returned", 1), return_state("Returned", 2), returns_set(info)]
    for number in arrival:
        assert function.deliver(told[number]).outcome == "synced"
    found = events(sandbox, RETURNED)
    assert sorted(event["value"] for event in found.values()) == [3.33, 10]
    assert events(sandbox, REQUESTED) == {}


def test_a_state_is_that_of_the_message(sandbox: Sandbox, function: Function) -> None:
    """Not that of the item by now."""
    _holds(sandbox, return_info(return_item(1, shipmentState="BackInStock")))
    function.deliver(return_state("Returned"))
    (event,) = events(sandbox, RETURNED).values()
    assert event["properties"]["ShipmentState"] == "Returned"


@pytest.mark.parametrize("state", ["Advised", "BackInStock", "Unusable", "Mislaid"])
def test_other_states_of_items_cost_no_call(sandbox: Sandbox, steady: Function, state: str) -> None:
    """They were returned before, which had a message of its own."""
    done = measured(sandbox, steady, return_state(state))
    assert (done.outcome, done.calls) == ("ignored return_state", (0, 0))


def test_an_item_that_a_new_list_replaced(sandbox: Sandbox, function: Function) -> None:
    """The message names an id that is gone: the list's own message tells of the item."""
    replaced = return_info(return_item(2, shipmentState="Returned"))
    _holds(sandbox, replaced)
    assert function.deliver(return_state("Returned", 1)).reason == "return_gone"
    assert function.deliver(returns_set(replaced)).outcome == "synced"
    assert len(events(sandbox, RETURNED)) == 1


@pytest.mark.parametrize("name", _NAMES)
def test_a_message_whose_payload_is_left_out(sandbox: Sandbox, function: Function, name: str) -> None:
    """All that the order shows is sent; repeats are harmless."""
    info = return_info(return_item(1), return_item(2, "line-2", shipmentState="Returned"))
    _holds(sandbox, info)
    for told in (too_large(name, "order", "order-1"), return_added(info), too_large(name, "order", "order-1")):
        assert function.deliver(told).outcome == "synced"
    assert (len(events(sandbox, REQUESTED)), len(events(sandbox, RETURNED))) == (1, 1)
    _holds(sandbox)
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
def test_the_age_of_an_old_return(
    sandbox: Sandbox, function: Function, name: str, *, included: bool, flagged: bool
) -> None:
    """One of 2025 starts flows only where the message is about that one: a list of all returns has old ones too."""
    items = [return_item(1, shipmentState="Returned"), return_item(2, "line-2")]
    info = return_info(*items, date="2025-03-01T10:00:00.000Z")
    _holds(sandbox, info)
    told = {"ReturnInfoAdded": return_added(info), "ReturnInfoSet": returns_set(info)}.get(
        name, return_state("Returned")
    )
    told = told if included else too_large(name, "order", "order-1")
    assert function.deliver({**told, "createdAt": datetime.now(UTC).isoformat()}).outcome == "synced"
    found = sandbox.klaviyo.state()["events"]
    of_items = {"Returned Order"} if "State" in name else {"Requested Return", "Returned Order"}
    assert {one["metric"] for one in found} == of_items
    assert {one["backfill"] for one in found} == {flagged}


@pytest.mark.parametrize(("age", "flagged"), [(timedelta(), False), (timedelta(days=5), True)], ids=["now", "old"])
@pytest.mark.parametrize("date", [None, "now"])
def test_the_age_of_what_a_message_tells(
    sandbox: Sandbox, function: Function, age: timedelta, date: str | None, *, flagged: bool
) -> None:
    """A return without date, or of the message's day, is as old as its message, in a list too."""
    then = (datetime.now(UTC) - age).isoformat()
    info = return_info(return_item(1), return_item(2, "line-2", shipmentState="Returned"), date=date and then)
    _holds(sandbox, info)
    for told in (returns_set(info), return_added(info), return_state("Returned", 2)):
        function.deliver({**told, "createdAt": then})
        assert {one["backfill"] for one in sandbox.klaviyo.state()["events"]} == {flagged}


def test_returns_without_anything_to_tell(sandbox: Sandbox, steady: Function) -> None:
    """An empty list, no list and a return without items: no call."""
    for told in (returns_set(), {**returns_set(), "returnInfo": None}, return_added({"returnTrackingId": "R-1"})):
        done = measured(sandbox, steady, told)
        assert (done.outcome, done.calls) == ("ignored no_return", (0, 0))


def test_lines_that_are_gone_and_custom_line_items(sandbox: Sandbox, function: Function) -> None:
    """A line that an edit took away is left out, which the log says; a custom line item has no product."""
    custom = {"id": "custom-1", "name": {"en-US": "Engraving"}, "quantity": 1, "money": money(900)}
    items = [
        return_item(1, "gone"),
        return_item(2, lineItemId=None, customLineItemId="custom-1", type="CustomLineItemReturnItem"),
    ]
    info = return_info(*items)
    _holds(sandbox, info, customLineItems=[{**custom, "totalPrice": money(900)}])
    answer = function.deliver(return_added(info))
    assert answer.line["cuts"] == ["ReturnItems[]: the order no longer has its line"]
    (event,) = events(sandbox, REQUESTED).values()
    assert event["value"] == 9
    (item,) = event["properties"]["ReturnItems"]
    assert (item["ProductName"], item["Quantity"], "ProductID" in item) == ("Engraving", 1, False)
    _holds(sandbox, return_info(return_item(1, "gone", shipmentState="Returned")))
    answer = function.deliver(return_state("Returned"))
    assert answer.line["cuts"] == ["the item that came back: the order no longer has its line"]
    (event,) = events(sandbox, RETURNED).values()
    assert (event["value"], event["properties"]["Quantity"]) == (None, 1)


@pytest.mark.parametrize(
    ("off", "told", "outcome"),
    [
        (("requested_return",), return_added(return_info()), "ignored no_return"),
        (("returned_order",), return_added(return_info(return_item(shipmentState="Returned"))), "ignored no_return"),
        (("returned_order",), return_state("Returned"), "ignored disabled"),
        (("requested_return", "returned_order"), return_added(return_info()), "ignored disabled"),
        (("requested_return", "returned_order"), returns_set(return_info()), "ignored disabled"),
    ],
)
def test_a_message_that_is_off_costs_no_call(
    sandbox: Sandbox,
    serve: Serve,
    settings_file: Callable[[str], str],
    off: tuple[str, ...],
    told: Json,
    outcome: str,
) -> None:
    """Also where only one of a message's two metrics is off, and it tells of nothing else."""
    function = serve(SYNC_CONFIG=settings_file("[metrics]\n" + "".join(f'{name} = ""\n' for name in off)))
    _holds(sandbox, return_info())
    done = measured(sandbox, function, told)
    assert (done.outcome, done.calls) == (outcome, (0, 0))


@pytest.mark.parametrize("told", [return_added(return_info()), return_state("Returned")], ids=["added", "state"])
def test_the_budget(sandbox: Sandbox, steady: Function, told: Json) -> None:
    """Order, customer, look, and the categories until they are remembered; one write."""
    sandbox.commercetools.put_all({"products": [product("product-1"), product("product-2")]})
    _holds(sandbox, return_info())
    first, again = measured(sandbox, steady, told), measured(sandbox, steady, told)
    assert (first.outcome, first.calls) == ("synced", (4, 1))
    assert (again.outcome, again.calls) == ("synced", (3, 1))


@pytest.mark.parametrize(
    "told",
    [
        return_added(return_info({**return_item(), "quantity": "two"})),
        return_added({"items": 5}),
        returns_set(return_info(), {"items": [{"shipmentState": "Advised"}]}),
    ],
    ids=["quantity", "items", "item"],
)
def test_what_can_not_be_read(sandbox: Sandbox, function: Function, told: Json) -> None:
    """It is unmappable, which goes to the dead letters."""
    _holds(sandbox)
    assert function.deliver(told).reason == "unmappable"
