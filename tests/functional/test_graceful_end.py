"""SIGTERM in the middle of messages: each is answered with its effect there, or not acknowledged; never half done."""

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
CUT_OFF = 0
"""Instead of a status: the connection ended without one."""
GRACE = 8.0
CLOUD_RUN_KILLS = 10.0


@contextmanager
def _running_main(environment: Mapping[str, str]) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """`python main.py` as a process of its own: its URL, and the process."""
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
    """Push a delivery as `sync_push` takes it bare; the status, or CUT_OFF."""
    try:
        return requests.post(url, json=delivery, timeout=60).status_code
    except requests.RequestException:
        return CUT_OFF


def _shop(sandbox: Sandbox) -> Mapping[str, str]:
    """Customers to sync, and the environment for deliveries without an envelope."""
    customers = [customer(f"customer-{number}", addresses=[]) for number in range(IN_FLIGHT)]
    sandbox.commercetools.put_all({"customers": customers})
    return {**sandbox.environment, "SKIP_BASE64_ENCODING": "1"}


def _in_flight(pool: ThreadPoolExecutor, url: str) -> "list[Future[int]]":
    return [
        pool.submit(_push, url, change("ResourceUpdated", "customer", f"customer-{number}"))
        for number in range(IN_FLIGHT)
    ]


def _await_requests(sandbox: Sandbox, operation: str, number: int) -> None:
    """Wait until Klaviyo has been asked so often."""
    end = time.monotonic() + 20
    while sum(entry["operation"] == operation for entry in sandbox.klaviyo.requests()) < number:
        assert time.monotonic() < end
        time.sleep(0.02)


def _synced(sandbox: Sandbox) -> set[str]:
    return {profile["external_id"] for profile in sandbox.klaviyo.state()["profiles"]}


def test_python_main(sandbox: Sandbox) -> None:
    """`python main.py` answers what is running, with its effect there, and ends well before Cloud Run kills it."""
    with _running_main(_shop(sandbox)) as (url, process), ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=2)
        answers = _in_flight(pool, url)
        _await_requests(sandbox, "create_or_update_profile", IN_FLIGHT)
        process.send_signal(signal.SIGTERM)
        ended = time.monotonic()
        assert [answer.result() for answer in answers] == [ACKNOWLEDGED] * IN_FLIGHT
        assert process.wait(CLOUD_RUN_KILLS) == 0
        assert time.monotonic() - ended < GRACE
    assert len(_synced(sandbox)) == IN_FLIGHT


def test_functions_framework(sandbox: Sandbox) -> None:
    """The same under functions-framework, as a deployed function runs."""
    with running_function(_shop(sandbox)) as function, ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=2)
        answers = _in_flight(pool, function.url)
        _await_requests(sandbox, "create_or_update_profile", IN_FLIGHT)
        function.process.send_signal(signal.SIGTERM)
        assert [answer.result() for answer in answers] == [ACKNOWLEDGED] * IN_FLIGHT
        assert function.process.wait(CLOUD_RUN_KILLS) == 0
    assert len(_synced(sandbox)) == IN_FLIGHT


def test_a_message_that_outlasts_the_grace(sandbox: Sandbox) -> None:
    """An order whose second event hangs when its process ends is not acknowledged; the next delivery completes it."""
    placed = order(lines=[line_item(number, f"product-{number}") for number in range(3)])
    delivery = message("OrderCreated", "order", "order-1", order=placed)
    environment = _shop(sandbox)
    sandbox.klaviyo.fail("^/api/events", delay=30, skip=1)
    with _running_main(environment) as (url, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_push, url, delivery)
        _await_requests(sandbox, "create_event", 2)
        process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        process.wait(30)
        assert GRACE - 1 < time.monotonic() - stopped < CLOUD_RUN_KILLS
        assert answer.result() == CUT_OFF
    sandbox.klaviyo.clear_failures()
    with _running_main(environment) as (url, _):
        assert _push(url, delivery) == ACKNOWLEDGED
    assert len(sandbox.klaviyo.state()["events"]) == 4


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_killed(after: float, sandbox: Sandbox) -> None:
    """Killed at any moment, nothing that was acknowledged lacks its effect."""
    with _running_main(_shop(sandbox)) as (url, process), ThreadPoolExecutor(IN_FLIGHT) as pool:
        sandbox.klaviyo.fail("profile-import", delay=0.2, rate=0.5)
        assert _push(url, change("ResourceUpdated", "customer", "customer-0")) == ACKNOWLEDGED
        killing = threading.Timer(after, process.kill)
        killing.start()
        answers = [answer.result() for answer in _in_flight(pool, url)]
        killing.join()
    done = {f"customer-{number}" for number, status in enumerate(answers) if status == ACKNOWLEDGED}
    assert done <= _synced(sandbox)
    assert set(answers) <= {ACKNOWLEDGED, CUT_OFF}
