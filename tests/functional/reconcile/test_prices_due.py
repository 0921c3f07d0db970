"""A price whose time comes, or is over, is shown at the next run: commercetools sends no message about it."""

import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from jobs.outcome import INTERRUPTED
from tests.functional.conftest import Serve
from tests.functional.documents import Json, money, product, variant
from tests.functional.job_runs import Job, result_of, wait_until
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.synced_shop import sync_all, writes


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in(seconds: float) -> str:
    return _written(datetime.now(UTC) + timedelta(seconds=seconds))


def _price(number: int, cents: int, **times: str) -> Json:
    return {"id": f"price-{number}", "value": money(cents), **times}


def _offer(sandbox: Sandbox, mode: str, **times: str) -> None:
    """A product at 10, and for a time at 7."""
    prices = [_price(1, 1000), _price(2, 700, **times)]
    embedded = prices if mode == "Embedded" else []
    one = product("product-1", [variant("sku-1", prices=embedded), variant("sku-2", 2)], priceMode=mode)
    sandbox.commercetools.put("products", one)
    if mode == "Standalone":
        for price in prices:
            sandbox.commercetools.put("standalone-prices", {**price, "sku": "sku-1", "active": True, "version": 1})


@pytest.fixture
def due(job: Job) -> Job:
    """Runs of `prices due`."""
    return replace(job, name="prices-due")


@pytest.mark.parametrize("mode", ["Embedded", "Standalone"])
def test_a_price_is_shown_at_the_run_after_its_beginning(sandbox: Sandbox, due: Job, serve: Serve, mode: str) -> None:
    """And the one before comes back when it is over; a run before has nothing to do."""
    tomorrow, later = _in(86_400), _in(2 * 86_400)
    _offer(sandbox, mode, validFrom=tomorrow, validUntil=later)
    sandbox.commercetools.put("products", product("product-2", [variant("sku-3")]))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    assert _shown(sandbox) == 10.0

    sandbox.klaviyo.forget_requests()
    early = due.run("--since", "15m")
    assert (early.report["products"], writes(sandbox)) == (0, [])
    for times, shown in (((-60, 86_400), 7.0), ((-86_400, -60), 10.0)):
        _offer(sandbox, mode, validFrom=_in(times[0]), validUntil=_in(times[1]))
        done = due.run("--since", "15m")
        assert (done.code, done.report["products"], done.report["failed"]) == (0, 1, 0)
        assert done.report[mode.lower()] == 1
        assert _shown(sandbox) == shown
    sandbox.klaviyo.forget_requests()
    assert due.run("--since", "15m").report["products"] == 1
    assert writes(sandbox) == []


def test_a_price_begins_while_nothing_happens(sandbox: Sandbox, due: Job, serve: Serve) -> None:
    """The same by the clock: the first run after the beginning shows it."""
    begins = datetime.now(UTC) + timedelta(seconds=4)
    _offer(sandbox, "Embedded", validFrom=_written(begins))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    before = _shown(sandbox)
    assert before == 10.0 or datetime.now(UTC) > begins
    while datetime.now(UTC) <= begins:
        time.sleep(0.05)
    due.run("--since", "15m")
    assert _shown(sandbox) == 7.0


def test_a_query_that_takes_too_long_is_said_and_keeps_nothing_else_from_being_done(
    sandbox: Sandbox, due: Job, serve: Serve
) -> None:
    """Predicates on embedded prices may be refused: standalone prices are copied all the same."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")], priceMode="Standalone"))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    begun = {**_price(1, 900, validFrom=_in(-1)), "sku": "sku-1", "active": True, "version": 1}
    sandbox.commercetools.put("standalone-prices", begun)
    refused = {"statusCode": 400, "message": "no", "errors": [{"code": "InvalidInput", "message": "no"}]}
    sandbox.commercetools.fail("/product-projections$", skip=1, count=1, status=400, body=refused)
    done = due.run("--since", "1m")
    assert _shown(sandbox) == 9.0
    assert "Embedded prices: commercetools refuses to list product-projections: 400 InvalidInput" in done.stop_reasons
    assert "`reconcile` finds what was missed" in done.stop_reasons


def test_a_price_that_is_switched_off_is_nobodys(sandbox: Sandbox, due: Job) -> None:
    """Its time begins, and it is not shown."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")], priceMode="Standalone"))
    off = {**_price(1, 900, validFrom=_in(-1)), "sku": "sku-1", "active": False, "version": 1}
    sandbox.commercetools.put("standalone-prices", off)
    assert due.run("--since", "1m").report["standalone"] == 0


def test_a_run_that_is_asked_to_end_ends(sandbox: Sandbox, due: Job) -> None:
    """75: an interrupted read is no list that can't be read."""
    sandbox.commercetools.fail("/standalone-prices$", delay=60, count=1)
    with due.started("--since", "1m") as process:
        wait_until(lambda: [call for call in sandbox.commercetools.requests() if "standalone" in call["path"]])
        process.send_signal(signal.SIGTERM)
        assert result_of(process).code == INTERRUPTED


def test_a_query_that_takes_too_long_is_not_waited_for(sandbox: Sandbox, due: Job, serve: Serve) -> None:
    """What was found first is copied first."""
    _offer(sandbox, "Standalone", validFrom=_in(86_400))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    _offer(sandbox, "Standalone", validFrom=_in(-1))
    error = {"code": "QueryTimedOut", "message": "no"}
    body = {"statusCode": 400, "message": "no", "errors": [error]}
    sandbox.commercetools.fail("/product-projections$", skip=1, status=400, body=body)
    with due.started("--since", "1m") as process:
        wait_until(lambda: _shown(sandbox) == 7.0)
        process.send_signal(signal.SIGTERM)
        result_of(process)


def _shown(sandbox: Sandbox) -> float:
    price: float = klaviyo_records(sandbox)["variants"]["sku-1"]["price"]
    return price
