"""Rate limiting: an instance keeps to its share of Klaviyo's quotas, and uses what others leave over."""

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
from tests.fake_clock import FakeClock

UPSERT = Operation("klaviyo", "create_or_update_profile")
EVENT = Operation("klaviyo", "create_event")


@pytest.fixture(autouse=True)
def _budget() -> Iterator[None]:
    """The budget of a message that has written something, and therefore waits for its further slots."""
    with message_budget(Limits(message_seconds=50)) as budget:
        budget.has_written = True
        yield


def _quotas(share: float, time: FakeClock) -> KlaviyoQuotas:
    return KlaviyoQuotas(share, WaitingRoom(2), time.monotonic, time.sleep)


def _sent_within(quotas: KlaviyoQuotas, time: FakeClock, operation: Operation, seconds: float) -> list[float]:
    """Send times of calls that a caller makes as fast as it may, for this many seconds."""
    times = []
    while time.now < 1000.0 + seconds:
        quotas.admit(operation)
        times.append(time.now)
    return times


def _max_within(times: list[float], length: float) -> int:
    """Most calls within a window of this length, over some 200 windows that begin with a call."""
    return max(sum(begin <= one < begin + length for one in times) for begin in times[:: max(1, len(times) // 200)])


@pytest.mark.parametrize("operation", [UPSERT, EVENT])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_no_window_exceeds_the_share(operation: Operation, share: float) -> None:
    """Under any load, at most the share of the quota is used within any second and any minute."""
    time = FakeClock()
    quota = QUOTAS[operation.name]
    times = _sent_within(_quotas(share, time), time, operation, 200)
    assert _max_within(times, 1.0) <= quota.burst * share
    assert _max_within(times, 60.0) <= quota.steady * share
    assert len(times) >= quota.steady * share * 200 / 60 * 0.95


def test_a_quota_is_spread_over_the_minute() -> None:
    """A tenth may be sent immediately. The rest is spaced, so that the quota lasts to the end of the minute."""
    time = FakeClock()
    times = _sent_within(_quotas(1.0, time), time, UPSERT, 180)
    assert sum(one < 1003 for one in times) <= 750 * 0.1 + 3 * 12.5 + 1
    assert max(later - earlier for earlier, later in pairwise(times)) < 10


def test_the_share_is_no_limit_while_plenty_is_left() -> None:
    """A single busy instance may use the account's minute while Klaviyo reports that most of it is left.

    Once others have used most of it, this instance slows down to its proportion of the calls used.
    """
    time = FakeClock()
    quotas = _quotas(0.1, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "740", "ratelimit-reset": "60"})
    times = _sent_within(quotas, time, UPSERT, 20)
    assert len(times) > 75 + 20
    assert _max_within(times, 1.0) <= 75 * 0.1
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "100", "ratelimit-reset": "40"})
    before = time.now
    for _ in range(40):
        quotas.admit(UPSERT)
    assert time.now - before > 5


def _sent_per_minute(instances: int, share: float, minutes: int) -> list[int]:
    """Calls that busy instances send together in each minute. Klaviyo reports after each call how many are left."""
    time = FakeClock()
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
    """If the other four of five instances are idle, the fifth uses the whole quota of each minute."""
    assert min(_sent_per_minute(1, 0.2, 3)) > 750 * 0.95


@pytest.mark.parametrize(("instances", "share"), [(2, 0.2), (5, 0.2), (10, 0.1)])
def test_busy_instances_share_the_quota(instances: int, share: float) -> None:
    """Together they use the whole quota, and exceed it by at most 2 %."""
    assert all(750 * 0.95 < sent <= 750 * 1.02 for sent in _sent_per_minute(instances, share, 3))


def test_patience_grows_with_the_first_write() -> None:
    """Reads do not increase the time that a message may wait for its slots."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    with message_budget(Limits()):
        quotas.admit(Operation("klaviyo", "get_catalog_categories"))
        assert current_budget().patience <= 2
        quotas.admit(UPSERT)
        assert current_budget().patience > 20


def test_calls_wait_while_nothing_is_left() -> None:
    """If others have used up the account's minute, calls wait for the reset that the answer reported."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    quotas.admit(UPSERT)
    assert time.now == pytest.approx(1007)


def test_late_answers_of_the_previous_minute_are_ignored() -> None:
    """Answers may arrive out of order. The reset time shows which minute an answer belongs to."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    headers = {"ratelimit-limit": "750", "ratelimit-remaining": "3", "ratelimit-reset": "1"}
    quotas.learn(UPSERT, headers)
    time.now += 0.5
    quotas.learn(UPSERT, {**headers, "ratelimit-remaining": "749", "ratelimit-reset": "60"})
    quotas.learn(UPSERT, {**headers, "ratelimit-remaining": "0", "ratelimit-reset": "1"})
    for _ in range(40):
        quotas.admit(UPSERT)
    assert time.now == 1000.5


def test_a_reported_limit_replaces_the_documented_one() -> None:
    """An account with ten times the limit may send ten times the calls, per second and per minute."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "7500", "ratelimit-remaining": "7000", "ratelimit-reset": "60"})
    times = _sent_within(quotas, time, UPSERT, 5)
    assert 75 < _max_within(times, 1.0) <= 750
    assert len(times) > 750


def test_slots_count_in_their_minute_whatever_the_order_they_were_reserved_in() -> None:
    """A call counts in the minute in which it is sent.

    Five calls wait for 1007, when Klaviyo's next minute should begin. It begins at 1005.5, and eight later calls are
    sent before them. From 1007 to 1067 the instance still sends no more than its share of a minute, which is 150.
    """
    time = FakeClock()
    waits: list[float] = []
    quotas = KlaviyoQuotas(0.2, WaitingRoom(2), time.monotonic, waits.append)
    slots: list[float] = []

    def reserve(calls: int) -> None:
        for _ in range(calls):
            waits.clear()
            quotas.admit(UPSERT)
            slots.append(time.now + sum(waits))

    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    reserve(5)
    time.now = 1005.5
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "740", "ratelimit-reset": "60"})
    reserve(8)
    assert max(slots[5:]) < min(slots[:5]) == 1007
    for _ in range(142):
        time.now += 0.4
        reserve(1)
    time.now = 1065.6
    reserve(20)
    assert sum(1007 <= slot < 1067 for slot in slots) == 150


@pytest.mark.parametrize(
    ("seconds", "has_written"), [(5, True), (50, False)], ids=["after the deadline", "beyond its patience"]
)
def test_a_slot_too_far_away_is_not_reserved(seconds: float, *, has_written: bool) -> None:
    """A message is turned away at once if its slot is after its deadline, or over two seconds away before any write.

    The slot is left to other messages.
    """
    time = FakeClock()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, {"ratelimit-limit": "750", "ratelimit-remaining": "0", "ratelimit-reset": "7"})
    with message_budget(Limits(message_seconds=seconds)) as budget:
        budget.has_written = has_written
        with pytest.raises(TryAgain, match="throttled"):
            quotas.admit(UPSERT)
    assert time.now == 1000
    quotas.admit(UPSERT)
    assert time.now == pytest.approx(1007)


def test_each_operation_has_its_own_quota() -> None:
    """Klaviyo counts operations separately. An operation without a known quota is not limited."""
    time = FakeClock()
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
    """A 429 and a proxy may leave out or replace the headers."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    quotas.learn(UPSERT, headers)
    quotas.admit(UPSERT)
    assert time.now == 1000


def test_headers_are_read_every_50_ms() -> None:
    """The first answer of an operation is read, then one every 50 ms. Operations are counted separately."""
    time = FakeClock()
    quotas = _quotas(1.0, time)
    assert quotas.should_read_headers(UPSERT)
    assert not quotas.should_read_headers(UPSERT)
    assert quotas.should_read_headers(EVENT)
    time.sleep(0.049)
    assert not quotas.should_read_headers(UPSERT)
    time.sleep(0.002)
    assert quotas.should_read_headers(UPSERT)
    assert not quotas.should_read_headers(Operation("klaviyo", "get_list")), "this operation has no known quota"
