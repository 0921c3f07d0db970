"""An instance keeps to its share of Klaviyo's limits, and uses what is left over."""

import heapq
import math
from collections.abc import Iterator
from itertools import pairwise

import pytest

from clients.klaviyo_quotas import QUOTAS, KlaviyoQuotas
from clients.pauses import Operation
from clients.retrying import WaitingRoom, current_budget, message_budget
from core.errors import TryAgain
from core.rules import Limits

UPSERT = Operation("klaviyo", "create_or_update_profile")
EVENT = Operation("klaviyo", "create_event")


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


@pytest.fixture(autouse=True)
def _budget() -> Iterator[None]:
    """A message that has begun to write, and so waits for its slots."""
    with message_budget(Limits(message_seconds=50)) as budget:
        budget.has_written = True
        yield


def _quotas(share: float, time: Time) -> KlaviyoQuotas:
    return KlaviyoQuotas(share, WaitingRoom(2), time.clock, time.sleep)


def _sent_within(quotas: KlaviyoQuotas, time: Time, operation: Operation, seconds: float) -> list[float]:
    """When the calls go out that are asked for one after the other, without a pause."""
    times = []
    while time.now < 1000.0 + seconds:
        quotas.admit(operation)
        times.append(time.now)
    return times


def _most_within(times: list[float], length: float) -> int:
    """The fullest window, wherever it begins."""
    return max(sum(begin <= one < begin + length for one in times) for begin in times[:: max(1, len(times) // 200)])


@pytest.mark.parametrize("operation", [UPSERT, EVENT])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_no_window_is_ever_overrun(operation: Operation, share: float) -> None:
    """However hard it is asked: within any second and any minute at most the share of the quota."""
    time = Time()
    quota = QUOTAS[operation.name]
    times = _sent_within(_quotas(share, time), time, operation, 200)
    assert _most_within(times, 1.0) <= quota.burst * share
    assert _most_within(times, 60.0) <= quota.steady * share
    assert len(times) >= quota.steady * share * 200 / 60 * 0.95


def test_a_quota_is_spread_over_the_minute() -> None:
    """A tenth may go at once; a minute's quota is never spent so that the rest of the minute stands still."""
    time = Time()
    times = _sent_within(_quotas(1.0, time), time, UPSERT, 180)
    assert sum(one < 1003 for one in times) <= 750 * 0.1 + 3 * 12.5 + 1
    assert max(later - earlier for earlier, later in pairwise(times)) < 10


def test_the_share_does_not_bind_while_plenty_is_left() -> None:
    """Klaviyo says that the account's minute is hardly used: a single busy instance may have it.

    Once others have used most of it, this one slows down to the part that it had of what was used.
    """
    time = Time()
    quotas = _quotas(0.1, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "740", "ratelimit-reset": "60"})
    times = _sent_within(quotas, time, UPSERT, 20)
    assert len(times) > 75 + 20
    assert _most_within(times, 1.0) <= 75 * 0.1
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "100", "ratelimit-reset": "40"})
    before = time.now
    for _ in range(40):
        quotas.admit(UPSERT)
    assert time.now - before > 5


def _minutes(instances: int, share: float, minutes: int) -> list[int]:
    """What busy instances are let through in each minute by a Klaviyo that says what is left of it."""
    time = Time()
    quota = QUOTAS[UPSERT.name]
    all_quotas = [_quotas(share, time) for _ in range(instances)]
    sent, ends = [0], 1060.0
    due = [(1000.0, number) for number in range(instances)]
    while True:
        at, number = heapq.heappop(due)
        if at >= 1000 + 60 * minutes:
            return sent
        if at >= ends:
            sent.append(0)
            ends += 60
        time.now = at
        sent[-1] += 1
        left = {"ratelimit-remaining": str(quota.steady - sent[-1]), "ratelimit-reset": str(math.ceil(ends - at))}
        all_quotas[number].learn(UPSERT, {"ratelimit-limit": str(quota.steady), **left})
        all_quotas[number].admit(UPSERT)
        heapq.heappush(due, (time.now + 0.001, number))


def test_a_lone_instance_uses_the_whole_quota() -> None:
    """One of five instances that has the account for itself: its share does not bind, to the end of each minute."""
    assert min(_minutes(1, 0.2, 3)) > 750 * 0.95


@pytest.mark.parametrize(("instances", "share"), [(2, 0.2), (5, 0.2), (10, 0.1)])
def test_busy_instances_share_the_quota(instances: int, share: float) -> None:
    """Together they use the quota up, and hardly overrun it."""
    assert all(750 * 0.95 < sent <= 750 * 1.02 for sent in _minutes(instances, share, 3))


def test_reads_do_not_begin_a_message() -> None:
    """Patience grows with the first write, and not before."""
    time = Time()
    quotas = _quotas(1.0, time)
    with message_budget(Limits()):
        quotas.admit(Operation("klaviyo", "get_catalog_categories"))
        assert current_budget().patience <= 2
        quotas.admit(UPSERT)
        assert current_budget().patience > 20


def test_nothing_is_asked_while_nothing_is_left() -> None:
    """Others used the account's minute up: wait for the next one, as the answer said."""
    time = Time()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    quotas.admit(UPSERT)
    assert time.now == pytest.approx(1007)


def test_a_new_window_is_known_by_its_end() -> None:
    """The last answers of a spent window do not count for the next one, whichever order they come in."""
    time = Time()
    quotas = _quotas(1.0, time)
    told = {"ratelimit-limit": "750", "ratelimit-remaining": "3", "ratelimit-reset": "1"}
    quotas.learn(UPSERT, told)
    time.now += 0.5
    quotas.learn(UPSERT, {**told, "ratelimit-remaining": "749", "ratelimit-reset": "60"})
    quotas.learn(UPSERT, {**told, "ratelimit-remaining": "0", "ratelimit-reset": "1"})
    for _ in range(40):
        quotas.admit(UPSERT)
    assert time.now == 1000.5


def test_klaviyos_own_limit_wins() -> None:
    """An account with ten times the limit gets ten times the calls, in the second as in the minute."""
    time = Time()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "7500", "ratelimit-remaining": "7000", "ratelimit-reset": "60"})
    times = _sent_within(quotas, time, UPSERT, 5)
    assert 75 < _most_within(times, 1.0) <= 750
    assert len(times) > 750


@pytest.mark.parametrize(("seconds", "has_written"), [(5, True), (50, False)], ids=["its time", "its patience"])
def test_a_slot_that_comes_too_late_is_not_waited_for(seconds: float, *, has_written: bool) -> None:
    """After the message's time, or after two seconds if it has not written: back at once, the slot left to others."""
    time = Time()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    with message_budget(Limits(message_seconds=seconds)) as budget:
        budget.has_written = has_written
        with pytest.raises(TryAgain, match="throttled"):
            quotas.admit(UPSERT)
    assert time.now == 1000
    quotas.admit(UPSERT)
    assert time.now == pytest.approx(1007)


def test_operations_have_paces_of_their_own() -> None:
    """Klaviyo counts each operation for itself, and what is not known is not held back."""
    time = Time()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    for _ in range(300):
        quotas.admit(EVENT)
        quotas.admit(Operation("klaviyo", "get_accounts"))
    assert time.now == 1000


@pytest.mark.parametrize(
    "headers", [{}, {"ratelimit-limit": "750"}, {"ratelimit-limit": "x", "ratelimit-remaining": "0"}]
)
def test_unreadable_headers_change_nothing(headers: dict[str, str]) -> None:
    """As on a 429, or behind a proxy."""
    time = Time()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, headers)
    quotas.admit(UPSERT)
    assert time.now == 1000


def test_headers_are_read_while_they_are_news() -> None:
    """The first answer of an operation is learnt from, then one every 50 ms; each operation by itself."""
    time = Time()
    quotas = _quotas(1.0, time)
    assert quotas.should_read_headers(UPSERT)
    assert not quotas.should_read_headers(UPSERT)
    assert quotas.should_read_headers(EVENT)
    time.sleep(0.049)
    assert not quotas.should_read_headers(UPSERT)
    time.sleep(0.002)
    assert quotas.should_read_headers(UPSERT)
    assert not quotas.should_read_headers(Operation("klaviyo", "get_list")), "no quota is known of it"
