"""`prices due` syncs prices that became valid or expired: commercetools sends no message about them."""

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


def _formatted(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds_from_now(seconds: float) -> str:
    return _formatted(datetime.now(UTC) + timedelta(seconds=seconds))


def _price(number: int, cents: int, **times: str) -> Json:
    return {"id": f"price-{number}", "value": money(cents), **times}


def _put_product_with_offer(sandbox: Sandbox, mode: str, **times: str) -> None:
    """Put a product whose first variant costs 10, and 7 while the price with `times` is valid."""
    prices = [_price(1, 1000), _price(2, 700, **times)]
    embedded = prices if mode == "Embedded" else []
    one = product("product-1", [variant("sku-1", prices=embedded), variant("sku-2", 2)], priceMode=mode)
    sandbox.commercetools.put("products", one)
    if mode == "Standalone":
        for price in prices:
            sandbox.commercetools.put("standalone-prices", {**price, "sku": "sku-1", "active": True, "version": 1})


@pytest.fixture
def prices_due(job: Job) -> Job:
    """The job `prices due`."""
    return replace(job, name="prices-due")


@pytest.mark.parametrize("mode", ["Embedded", "Standalone"])
def test_a_price_is_synced_after_it_begins_and_after_it_ends(
    sandbox: Sandbox, prices_due: Job, serve: Serve, mode: str
) -> None:
    """A run before that writes nothing, and neither does a second run after it."""
    tomorrow, later = _seconds_from_now(86_400), _seconds_from_now(2 * 86_400)
    _put_product_with_offer(sandbox, mode, validFrom=tomorrow, validUntil=later)
    sandbox.commercetools.put("products", product("product-2", [variant("sku-3")]))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    assert _klaviyo_price(sandbox) == 10.0

    sandbox.klaviyo.forget_requests()
    early = prices_due.run("--since", "15m")
    assert (early.report["products"], writes(sandbox)) == (0, [])
    for times, shown in (((-60, 86_400), 7.0), ((-86_400, -60), 10.0)):
        _put_product_with_offer(
            sandbox, mode, validFrom=_seconds_from_now(times[0]), validUntil=_seconds_from_now(times[1])
        )
        done = prices_due.run("--since", "15m")
        assert (done.code, done.report["products"], done.report["failed"]) == (0, 1, 0)
        assert done.report[mode.lower()] == 1
        assert _klaviyo_price(sandbox) == shown
    sandbox.klaviyo.forget_requests()
    assert prices_due.run("--since", "15m").report["products"] == 1
    assert writes(sandbox) == []


def test_a_price_begins_without_any_change_in_the_shop(sandbox: Sandbox, prices_due: Job, serve: Serve) -> None:
    """Only time passes: the first run after the price begins syncs it."""
    begins = datetime.now(UTC) + timedelta(seconds=4)
    _put_product_with_offer(sandbox, "Embedded", validFrom=_formatted(begins))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    before = _klaviyo_price(sandbox)
    assert before == 10.0 or datetime.now(UTC) > begins
    while datetime.now(UTC) <= begins:
        time.sleep(0.05)
    prices_due.run("--since", "15m")
    assert _klaviyo_price(sandbox) == 7.0


def test_a_refused_query_is_reported_and_does_not_stop_the_other(
    sandbox: Sandbox, prices_due: Job, serve: Serve
) -> None:
    """The query for embedded prices may be refused. Standalone prices are still synced."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")], priceMode="Standalone"))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    begun = {**_price(1, 900, validFrom=_seconds_from_now(-1)), "sku": "sku-1", "active": True, "version": 1}
    sandbox.commercetools.put("standalone-prices", begun)
    refused = {"statusCode": 400, "message": "no", "errors": [{"code": "InvalidInput", "message": "no"}]}
    sandbox.commercetools.fail("/product-projections$", skip=1, count=1, status=400, body=refused)
    done = prices_due.run("--since", "1m")
    assert _klaviyo_price(sandbox) == 9.0
    assert "Embedded prices: commercetools refuses to list product-projections: 400 InvalidInput" in done.stop_reasons
    assert "`reconcile` finds what was missed" in done.stop_reasons


def test_an_inactive_standalone_price_is_ignored(sandbox: Sandbox, prices_due: Job) -> None:
    """Even when its validity begins."""
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1")], priceMode="Standalone"))
    off = {**_price(1, 900, validFrom=_seconds_from_now(-1)), "sku": "sku-1", "active": False, "version": 1}
    sandbox.commercetools.put("standalone-prices", off)
    assert prices_due.run("--since", "1m").report["standalone"] == 0


def test_sigterm_ends_a_run_during_a_query(sandbox: Sandbox, prices_due: Job) -> None:
    """Exit code 75: an interrupted query does not count as one that failed, after which the run would continue."""
    sandbox.commercetools.fail("/standalone-prices$", delay=60, count=1)
    with prices_due.started("--since", "1m") as process:
        wait_until(lambda: [call for call in sandbox.commercetools.requests() if "standalone" in call["path"]])
        process.send_signal(signal.SIGTERM)
        assert result_of(process).code == INTERRUPTED


def test_standalone_prices_are_synced_before_a_slow_query(sandbox: Sandbox, prices_due: Job, serve: Serve) -> None:
    """The query for embedded prices keeps timing out: it does not delay the products that were found first."""
    _put_product_with_offer(sandbox, "Standalone", validFrom=_seconds_from_now(86_400))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    _put_product_with_offer(sandbox, "Standalone", validFrom=_seconds_from_now(-1))
    error = {"code": "QueryTimedOut", "message": "no"}
    body = {"statusCode": 400, "message": "no", "errors": [error]}
    sandbox.commercetools.fail("/product-projections$", skip=1, status=400, body=body)
    with prices_due.started("--since", "1m") as process:
        wait_until(lambda: _klaviyo_price(sandbox) == 7.0)
        process.send_signal(signal.SIGTERM)
        result_of(process)


def _klaviyo_price(sandbox: Sandbox) -> float:
    price: float = klaviyo_records(sandbox)["variants"]["sku-1"]["price"]
    return price
