"""commercetools tokens: never a request without one, a lost one is replaced at once, a failed refresh is no end."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import REFUSED, Function, Serve
from tests.functional.documents import change, customer
from tests.functional.failure_cases import LIMITS, FakeTopic, Stopwatch, fake_topic

THREADS = 32
SECONDS = 20.0
LIFETIME = 2.0
TOKEN = "^/oauth/token"
READS = "^/shop/"


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """The dead-letter topic."""
    return fake_topic(monkeypatch)


@pytest.fixture
def quick(sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]) -> Function:
    """A function with short limits, and customers to sync."""
    sandbox.commercetools.put_all(
        {"customers": [customer(f"customer-{number}", addresses=[]) for number in range(THREADS)]}
    )
    limits = LIMITS.replace("message_seconds = 2", "message_seconds = 20")
    return serve(SYNC_CONFIG=settings_file(limits), THREADS=str(THREADS))


def _update(number: int) -> dict[str, object]:
    return change("ResourceUpdated", "customer", f"customer-{number % THREADS}")


def _tokens(sandbox: Sandbox) -> int:
    return len(sandbox.commercetools.requests(kind="token"))


def test_short_lives_under_many_threads(sandbox: Sandbox, quick: Function) -> None:
    """A token that lives two seconds under 32 threads for 20 seconds: each request has one, nothing is lost.

    It is refreshed once each time, not once a thread.
    """
    sandbox.klaviyo.limits(enforce=False, scale=100)  # Klaviyo's limits are not what is tried here
    sandbox.commercetools.tokens(lifetime=LIFETIME)
    sandbox.commercetools.fail(TOKEN, delay=0.2)
    end = time.monotonic() + SECONDS
    numbers = itertools.count()

    def work(_: int) -> list[str]:
        answers: list[str] = []
        while time.monotonic() < end:
            answer = quick.deliver(_update(next(numbers)))
            answers.append(f"{answer.outcome} {answer.reason}".strip())
            time.sleep(0.25)  # the machine's two cores are not what is tried here
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for some in pool.map(work, range(THREADS)) for answer in some]
    assert len(answers) > THREADS * 5
    assert set(answers) == {"synced"}
    record = sandbox.commercetools.requests(kind="api")
    assert [entry["number"] for entry in record if not entry["credentials"]] == []
    # On a busy machine a token may expire on its way; it is replaced within the message.
    assert sum(not entry["authorized"] for entry in record) <= len(record) / 50
    # It is asked for at three quarters of its life; what is more than that is a herd.
    assert SECONDS / LIFETIME <= _tokens(sandbox) <= SECONDS / (LIFETIME / 2)
    assert len(sandbox.klaviyo.state()["profiles"]) == THREADS


def test_revoked(sandbox: Sandbox, quick: Function) -> None:
    """A token revoked while in use is replaced within the message that meets it, with one request for all threads."""
    assert quick.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.tokens(revoke=True)
    before = _tokens(sandbox)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: quick.deliver(_update(number)), range(THREADS)))
    assert [answer.outcome for answer in answers] == ["synced"] * THREADS
    assert _tokens(sandbox) - before == 1


def test_failed_refresh(sandbox: Sandbox, quick: Function) -> None:
    """A refresh that fails within a message is tried again there; one that goes on failing costs that message only."""
    sandbox.commercetools.fail(TOKEN, status=503, count=1)
    assert quick.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.tokens(revoke=True)
    sandbox.commercetools.fail(TOKEN, status=503, count=3)
    failed = quick.deliver(_update(0))
    assert (failed.status, failed.outcome, failed.reason) == (REFUSED, "retried", "commercetools_error")
    assert quick.deliver(_update(0)).outcome == "synced"
    assert [entry["operation"] for entry in sandbox.commercetools.requests(kind="api") if not entry["authorized"]] == [
        "customers.get"  # with the revoked token
    ]


def test_auth_is_down_while_the_token_is_good(sandbox: Sandbox, quick: Function) -> None:
    """In the last part of a token's life the refresh fails: messages go on with the old one, and nobody storms."""
    sandbox.commercetools.tokens(lifetime=8)
    assert quick.deliver(_update(0)).outcome == "synced"
    asked = _tokens(sandbox)
    sandbox.commercetools.fail(TOKEN, status=503)
    time.sleep(6.1)  # three quarters: from here on it is refreshed
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: quick.deliver(_update(number)), range(THREADS)))
    assert [answer.outcome for answer in answers] == ["synced"] * THREADS
    assert 1 <= _tokens(sandbox) - asked <= 5
    sandbox.commercetools.clear_failures()
    time.sleep(2)
    assert quick.deliver(_update(0)).outcome == "synced", "after the outage, with a new token"


def test_auth_hangs_while_the_token_is_good(sandbox: Sandbox, quick: Function) -> None:
    """When auth hangs, one message waits for it and the others go on at once."""
    sandbox.commercetools.tokens(lifetime=8)
    assert quick.deliver(_update(0)).outcome == "synced"
    sandbox.commercetools.fail(TOKEN, delay=60)
    time.sleep(6.1)
    waits = []
    for number in range(6):
        watch = Stopwatch()
        assert quick.deliver(_update(number)).outcome == "synced"
        waits.append(watch.seconds)
    assert sum(wait > 0.3 for wait in waits) <= 2, waits


def test_outage_is_no_storm(sandbox: Sandbox, quick: Function) -> None:
    """Auth is down and there is no token: a message asks three times at most, and fewer when many wait together."""
    sandbox.commercetools.fail(TOKEN, status=503, delay=0.1)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: quick.deliver(_update(number)), range(THREADS)))
    assert {answer.outcome for answer in answers} == {"retried"}
    assert _tokens(sandbox) <= THREADS
    assert sandbox.commercetools.requests(kind="api") == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refused_client(status: int, sandbox: Sandbox, letters: FakeTopic, quick: Function) -> None:
    """A client or scope that auth refuses is somebody's to mend: messages are kept, none is dead-lettered."""
    sandbox.commercetools.fail(TOKEN, status=status)
    answer = quick.deliver(_update(0))
    assert (answer.status, answer.outcome, answer.reason) == (REFUSED, "retried", "commercetools_denied")
    assert letters.published == []
    assert _tokens(sandbox) == 1
    sandbox.commercetools.clear_failures()
    assert quick.deliver(_update(0)).outcome == "synced"


def test_wrong_secret(sandbox: Sandbox, quick: Function) -> None:
    """The same when it is commercetools' own answer to another secret."""
    sandbox.commercetools.tokens(client_secret="another one")
    assert quick.deliver(_update(0)).reason == "commercetools_denied"
