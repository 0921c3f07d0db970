"""Reading pages from commercetools when it fails: retries, page sizes, and when the run gives up."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import jobs.reading
from commands.processes import Sandbox
from core.settings import Settings
from handlers.services import Services
from jobs.outcome import INTERRUPTED, InterruptedRunError, StoppedError
from jobs.reading import PageSize, Reader
from tests.fake_clock import FakeClock
from tests.functional.documents import order
from tests.functional.job_runs import Job, wait_until

ORDERS = "^/shop/orders$"
TIMED_OUT = {"statusCode": 400, "message": "", "errors": [{"code": "QueryTimedOut", "message": ""}]}
GROWING = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
TEN_MINUTES = 600.0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A fake clock that records the reader's waits."""
    waits = FakeClock()
    monkeypatch.setattr(jobs.reading, "time", waits)
    return waits


@pytest.fixture
def services(sandbox: Sandbox, settings: Settings) -> Iterator[Services]:
    """Services for a shop with three orders."""
    for number in range(3):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[]))
    services = Services(settings)
    yield services
    services.close()


@pytest.fixture
def reader(services: Services, settings: Settings, waits: FakeClock) -> Reader:
    """A reader for that shop."""
    return Reader(services.commercetools, settings.sync.limits, 0.5, waits)


def _read(reader: Reader, size: PageSize) -> list[str]:
    return [document["id"] for document in reader.page("orders", [], "", size).documents]


@pytest.mark.parametrize(
    "fault",
    [{"status": 400, "body": TIMED_OUT}, {"status": 504, "body": "html"}, {"status": 502}, {"status": 200, "delay": 2}],
    ids=str,
)
def test_a_page_that_takes_too_long_is_halved(
    sandbox: Sandbox, reader: Reader, waits: FakeClock, fault: dict[str, Any]
) -> None:
    """A page that times out is halved until it succeeds, and the pass continues with the smaller size."""
    sandbox.commercetools.fail(ORDERS, count=4, **fault)
    size = PageSize(100)
    assert _read(reader, size) == ["order-0", "order-1", "order-2"]
    assert size.size == 6
    pages = [call for call in sandbox.commercetools.requests(kind="api") if call["operation"] == "orders.query"]
    assert [call["query"]["limit"][0] for call in pages] == ["100", "50", "25", "12", "6"]
    assert waits.waits == GROWING[:4]


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"reset": "answering"}], ids=str)
def test_an_outage_is_waited_for_with_the_same_page_size(
    sandbox: Sandbox, reader: Reader, waits: FakeClock, fault: dict[str, Any]
) -> None:
    """During an outage the read is retried more than ten times. The page size stays: a smaller one would not help."""
    sandbox.commercetools.fail(ORDERS, count=12, **fault)
    size = PageSize(100)
    assert _read(reader, size) == ["order-0", "order-1", "order-2"]
    assert size.size == 100
    assert waits.waits[:10] == GROWING
    assert len(waits.waits) == 12


def test_an_outage_before_the_first_page_is_waited_for(sandbox: Sandbox, reader: Reader, waits: FakeClock) -> None:
    """The oldest document, which decides a pass's time windows and is read first, is retried like a page."""
    sandbox.commercetools.fail(ORDERS, status=503, count=12)
    assert reader.first_created("orders", None) is not None
    assert len(waits.waits) == 12


def test_an_outage_of_ten_minutes_ends_the_run(sandbox: Sandbox, reader: Reader, waits: FakeClock) -> None:
    """After ten minutes without an answer the run stops as interrupted, so that the same command resumes."""
    sandbox.commercetools.fail(ORDERS, status=503)
    with pytest.raises(StoppedError, match="commercetools does not answer for orders") as stopped:
        _read(reader, PageSize(100))
    assert stopped.value.code == INTERRUPTED
    assert TEN_MINUTES <= sum(waits.waits) < TEN_MINUTES + GROWING[-1]


def test_an_unexpected_answer_is_tried_ten_times(sandbox: Sandbox, reader: Reader, waits: FakeClock) -> None:
    """An answer that waiting won't change, like 405, stops the run after ten attempts."""
    sandbox.commercetools.fail(ORDERS, status=405)
    with pytest.raises(StoppedError, match="commercetools does not answer for orders"):
        _read(reader, PageSize(100))
    assert waits.waits == GROWING[:9]


def test_a_signal_ends_the_wait(sandbox: Sandbox, services: Services, settings: Settings) -> None:
    """A signal ends the wait between two attempts, without another attempt."""
    sandbox.commercetools.fail(ORDERS, status=503)
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        _read(Reader(services.commercetools, settings.sync.limits, 0.5, stop), PageSize(100))
    assert len(sandbox.commercetools.requests(kind="api")) == 1


@pytest.mark.usefixtures("services")
def test_a_waiting_run_ends_on_a_signal(sandbox: Sandbox, job: Job) -> None:
    """A run that waits for commercetools ends on a signal. The resumed one is not stopped by a short outage."""
    sandbox.commercetools.fail(ORDERS, status=503, skip=2)  # the oldest order, and the count
    with job.started("--only", "orders") as process:
        wait_until(lambda: sandbox.commercetools.failures()[0]["hits"] >= 2)
        process.terminate()
        assert process.wait(10.0) == INTERRUPTED
    sandbox.commercetools.clear_failures()
    sandbox.commercetools.fail(ORDERS, status=503, count=3)
    assert job.run("--only", "orders").code == 0
