"""SIGTERM and SIGKILL while messages are in flight: whatever is acknowledged has had its effect."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from commands.processes import ROOT, Sandbox, free_port, running_function
from tests.functional.conftest import ACKNOWLEDGED
from tests.functional.documents import change, customer, line_item, message, order

IN_FLIGHT = 6
NO_ANSWER = 0
"""In place of a status: the connection ended without an answer."""
GRACE_SECONDS = 8.0
CLOUD_RUN_KILL_SECONDS = 10.0


@contextmanager
def _running_main(environment: Mapping[str, str]) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run `python main.py` in its own process; yield its URL and the process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=ROOT,
        env={**os.environ, **environment, "PORT": str(port), "THREADS": "8"},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await_health(url)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _await_health(url: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            assert requests.get(url, timeout=5).text == "ok\n"
        except requests.ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def _push(url: str, delivery: Mapping[str, Any]) -> int:
    """Push a delivery as a bare body to `sync_push`; return the status, or NO_ANSWER."""
    try:
        return requests.post(url, json=delivery, timeout=60).status_code
    except requests.RequestException:
        return NO_ANSWER


def _put_customers(sandbox: Sandbox) -> Mapping[str, str]:
    """Create customers to sync; return an environment in which bare bodies are accepted."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(IN_FLIGHT)]
    sandbox.commercetools.put_all({"customers": customers})
    return {**sandbox.environment, "SKIP_BASE64_ENCODING": "1"}


def _start_pushes(pool: ThreadPoolExecutor, url: str) -> "list[Future[int]]":
    return [
        pool.submit(_push, url, change("ResourceUpdated", "customer", f"customer-{number}"))
        for number in range(IN_FLIGHT)
    ]


def _await_requests(sandbox: Sandbox, operation: str, number: int) -> None:
    """Wait until Klaviyo has received this many requests for an operation."""
    end = time.monotonic() + 20
    while sum(entry["operation"] == operation for entry in sandbox.klaviyo.requests()) < number:
        assert time.monotonic() < end
        time.sleep(0.02)


def _synced(sandbox: Sandbox) -> set[str]:
    return {profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]}


def test_python_main_finishes_the_messages_in_flight(sandbox: Sandbox) -> None:
    """After SIGTERM, `python main.py` acknowledges them and ends well before Cloud Run would kill it."""
    with _running_main(_put_customers(sandbox)) as (url, process), ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=2)
        answers = _start_pushes(pool, url)
        _await_requests(sandbox, "create_or_update_profile", IN_FLIGHT)
        process.send_signal(signal.SIGTERM)
        signalled_at = time.monotonic()
        assert [answer.result() for answer in answers] == [ACKNOWLEDGED] * IN_FLIGHT
        assert process.wait(CLOUD_RUN_KILL_SECONDS) == 0
        assert time.monotonic() - signalled_at < GRACE_SECONDS
    assert len(_synced(sandbox)) == IN_FLIGHT


def test_functions_framework_finishes_the_messages_in_flight(sandbox: Sandbox) -> None:
    """functions-framework, which runs a deployed function, acknowledges them too."""
    with running_function(_put_customers(sandbox)) as function, ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=2)
        answers = _start_pushes(pool, function.url)
        _await_requests(sandbox, "create_or_update_profile", IN_FLIGHT)
        function.process.send_signal(signal.SIGTERM)
        assert [answer.result() for answer in answers] == [ACKNOWLEDGED] * IN_FLIGHT
        assert function.process.wait(CLOUD_RUN_KILL_SECONDS) == 0
    assert len(_synced(sandbox)) == IN_FLIGHT


def test_a_message_that_outlasts_the_grace_period(sandbox: Sandbox) -> None:
    """An order whose second event hangs during shutdown is not acknowledged; the redelivery completes it."""
    placed = order(lines=[line_item(number, f"product-{number}") for number in range(3)])
    delivery = message("OrderCreated", "order", "order-1", order=placed)
    environment = _put_customers(sandbox)
    sandbox.klaviyo.fail("^/api/events", delay=30, skip=1)
    with _running_main(environment) as (url, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_push, url, delivery)
        _await_requests(sandbox, "create_event", 2)
        process.send_signal(signal.SIGTERM)
        signalled_at = time.monotonic()
        process.wait(30)
        assert GRACE_SECONDS - 1 < time.monotonic() - signalled_at < CLOUD_RUN_KILL_SECONDS
        assert answer.result() == NO_ANSWER
    sandbox.klaviyo.clear_failures()
    with _running_main(environment) as (url, _):
        assert _push(url, delivery) == ACKNOWLEDGED
    assert len(sandbox.klaviyo.state()["events"]) == 4


@pytest.mark.parametrize("kill_after", [0.05, 0.15, 0.3])
def test_sigkill_loses_no_acknowledged_message(kill_after: float, sandbox: Sandbox) -> None:
    """Whenever the process is killed, each message it acknowledged is in Klaviyo."""
    with _running_main(_put_customers(sandbox)) as (url, process), ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=0.2, rate=0.5)
        assert _push(url, change("ResourceUpdated", "customer", "customer-0")) == ACKNOWLEDGED
        kill_timer = threading.Timer(kill_after, process.kill)
        kill_timer.start()
        answers = [answer.result() for answer in _start_pushes(pool, url)]
        kill_timer.join()
    acknowledged = {f"customer-{number}" for number, status in enumerate(answers) if status == ACKNOWLEDGED}
    assert acknowledged <= _synced(sandbox)
    assert set(answers) <= {ACKNOWLEDGED, NO_ANSWER}
