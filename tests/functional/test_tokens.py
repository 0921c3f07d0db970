"""commercetools tokens: every request has one, a revoked one is replaced at once, and a failed refresh is retried."""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from clients.commercetools_session import CommercetoolsSession
from clients.retrying import message_budget
from commands.processes import Sandbox
from core.settings import Settings
from tests.fake_clock import FakeClock
from tests.functional.conftest import REFUSED, Function, Serve
from tests.functional.documents import change, customer
from tests.functional.failure_cases import LIMITS, FakeTopic, Stopwatch

THREADS = 32
SECONDS = 20.0
LIFETIME = 2.0
TOKEN = "^/oauth/token"
READS = "^/shop/"


@pytest.fixture
def fast_function(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> Function:
    """A function with short timeouts, and customers to sync."""
    sandbox.commercetools.put_all(
        {"customers": [customer(f"customer-{number}", addresses=[]) for number in range(THREADS)]}
    )
    limits = LIMITS.replace("message_seconds = 2", "message_seconds = 20")
    return serve(SYNC_CONFIG=settings_file(limits), THREADS=str(THREADS))


def _update(number: int) -> dict[str, object]:
    return change("ResourceUpdated", "customer", f"customer-{number % THREADS}")


def _token_requests(sandbox: Sandbox) -> int:
    return len(sandbox.commercetools.requests(kind="token"))


def test_short_lifetime_under_many_threads(sandbox: Sandbox, fast_function: Function) -> None:
    """With tokens that live two seconds, 32 threads sync for 20 seconds. All requests have a token, all messages sync.

    Each refresh is one request, not one per thread.
    """
    sandbox.klaviyo.limits(enforce=False, scale=100)  # Klaviyo must not slow this test down
    sandbox.commercetools.tokens(lifetime=LIFETIME)
    sandbox.commercetools.fail(TOKEN, delay=0.2)
    end = time.monotonic() + SECONDS
    numbers = itertools.count()

    def work(_: int) -> list[str]:
        answers: list[str] = []
        while time.monotonic() < end:
            answer = fast_function.deliver(_update(next(numbers)))
            answers.append(f"{answer.outcome} {answer.reason}".strip())
            time.sleep(0.25)  # leaves CPU time for the refreshes on a small machine
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for thread_answers in pool.map(work, range(THREADS)) for answer in thread_answers]
    assert len(answers) > THREADS * 5
    assert set(answers) == {"synced"}
    record = sandbox.commercetools.requests(kind="api")
    assert [entry["number"] for entry in record if not entry["credentials"]] == []
    # On a busy machine a token may expire in flight. It is replaced within the message.
    assert sum(not entry["authorized"] for entry in record) <= len(record) / 50
    # A token is refreshed at three quarters of its lifetime. More requests mean that threads refresh it concurrently.
    assert SECONDS / LIFETIME <= _token_requests(sandbox) <= SECONDS / (LIFETIME / 2)
    assert len(sandbox.klaviyo.state()["profiles"]) == THREADS


def test_revoked_token(sandbox: Sandbox, fast_function: Function) -> None:
    """A revoked token is replaced within the message that gets the 401, with one request for all threads."""
    assert fast_function.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.tokens(revoke=True)
    before = _token_requests(sandbox)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: fast_function.deliver(_update(number)), range(THREADS)))
    assert [answer.outcome for answer in answers] == ["synced"] * THREADS
    assert _token_requests(sandbox) - before == 1


def test_failed_refresh(sandbox: Sandbox, fast_function: Function) -> None:
    """A failed refresh is retried within the message. If it keeps failing, only that message goes back to Pub/Sub."""
    sandbox.commercetools.fail(TOKEN, status=503, count=1)
    assert fast_function.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.tokens(revoke=True)
    sandbox.commercetools.fail(TOKEN, status=503, count=3)
    failed = fast_function.deliver(_update(0))
    assert (failed.status, failed.outcome, failed.reason) == (REFUSED, "retried", "commercetools_error")
    assert fast_function.deliver(_update(0)).outcome == "synced"
    assert [entry["operation"] for entry in sandbox.commercetools.requests(kind="api") if not entry["authorized"]] == [
        "customers.get"  # with the revoked token
    ]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock by which the function refreshes its token."""
    clock = FakeClock()
    monkeypatch.setattr("clients.commercetools_session.time", clock)
    return clock


def test_auth_is_down_while_the_token_is_valid(sandbox: Sandbox, clock: FakeClock, fast_function: Function) -> None:
    """If the early refresh fails, messages use the old token until it expires, and auth gets only a few requests."""
    sandbox.commercetools.tokens(lifetime=80)
    assert fast_function.deliver(_update(0)).outcome == "synced"
    before = _token_requests(sandbox)
    sandbox.commercetools.fail(TOKEN, status=503)
    clock.now += 61  # past three quarters of the lifetime, when the refresh starts
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: fast_function.deliver(_update(number)), range(THREADS)))
    assert [answer.outcome for answer in answers] == ["synced"] * THREADS
    assert 1 <= _token_requests(sandbox) - before <= 5
    sandbox.commercetools.clear_failures()
    during = _token_requests(sandbox)
    clock.now += 20
    assert fast_function.deliver(_update(0)).outcome == "synced"
    assert _token_requests(sandbox) == during + 1, "after the outage the expired token is replaced"


class _OvertakenLock:
    """A lock that runs a function before it is acquired for the first time."""

    def __init__(self, overtake: Callable[[], object]) -> None:
        self._overtake: Callable[[], object] | None = overtake
        self._lock = threading.Lock()
        self.release = self._lock.release

    def acquire(self, timeout: float) -> bool:
        """Acquire the lock."""
        overtake, self._overtake = self._overtake, None
        if overtake:
            overtake()
        return self._lock.acquire(timeout=timeout)


def test_a_refresh_fails_just_before_another_begins(
    sandbox: Sandbox, settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second refresh is not attempted, and its request uses the token, which still works."""
    sandbox.commercetools.tokens(lifetime=80)
    session = CommercetoolsSession(settings)

    def status() -> int:
        with message_budget(settings.sync.limits):
            return session.get("/shop/customers", (5, 5)).status_code

    try:
        assert status() == 200
        before = _token_requests(sandbox)
        sandbox.commercetools.fail(TOKEN, status=503)
        clock.now += 61
        monkeypatch.setattr(session, "_refreshing", _OvertakenLock(status))
        assert status() == 200
    finally:
        session.close()
    assert _token_requests(sandbox) == before + 1


def test_auth_hangs_while_the_token_is_valid(sandbox: Sandbox, clock: FakeClock, fast_function: Function) -> None:
    """If auth hangs during an early refresh, one message waits for it and the others continue with the old token."""
    sandbox.commercetools.tokens(lifetime=80)
    assert fast_function.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.fail(TOKEN, delay=60)
    clock.now += 61
    waits = []
    for number in range(6):
        watch = Stopwatch()
        assert fast_function.deliver(_update(number)).outcome == "synced"
        waits.append(watch.seconds)
    assert sum(wait > 0.3 for wait in waits) <= 2, waits


def test_outage_without_a_token_causes_few_requests(sandbox: Sandbox, fast_function: Function) -> None:
    """Without a token while auth is down, concurrent messages share failed refreshes: few token requests."""
    sandbox.commercetools.fail(TOKEN, status=503, delay=0.1)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: fast_function.deliver(_update(number)), range(THREADS)))
    assert {answer.outcome for answer in answers} == {"retried"}
    assert _token_requests(sandbox) <= THREADS
    assert sandbox.commercetools.requests(kind="api") == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refused_client(status: int, sandbox: Sandbox, dead_letters: FakeTopic, fast_function: Function) -> None:
    """If auth refuses the client or scope, an operator has to fix it: messages are retried, not dead-lettered."""
    sandbox.commercetools.fail(TOKEN, status=status)
    answer = fast_function.deliver(_update(0))
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "commercetools_denied")
    assert dead_letters.published == []
    assert _token_requests(sandbox) == 1
    sandbox.commercetools.clear_failures()
    assert fast_function.deliver(_update(0)).outcome == "synced"


def test_wrong_secret(sandbox: Sandbox, fast_function: Function) -> None:
    """A wrong client secret, with commercetools' own answer to it, is retried too, as `commercetools_denied`."""
    sandbox.commercetools.tokens(client_secret="another one")
    assert fast_function.deliver(_update(0)).reason == "commercetools_denied"
