"""What every handler is given: the settings, clients for both backends, locks, and a pool for parallel writes."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context

from clients.commercetools import Commercetools
from clients.dead_letter import DeadLetters
from clients.klaviyo import Klaviyo
from clients.klaviyo_calls import KlaviyoCalls
from clients.order_lookups import OrderLookups
from clients.retrying import MESSAGE_FAILED, PATIENCE, WaitingRoom, current_budget
from core.errors import DeadLetter, TryAgain
from core.locks import KeyedLocks
from core.settings import Settings
from handlers.recent_consents import RecentConsents
from handlers.recent_copies import RecentCopies


class Services:
    """One per process, shared by all threads. Creating it opens no connection and imports no SDK.

    `calls` replaces the client that sends to Klaviyo, for a preview. `follows_consent` is False in jobs that leave
    consent alone: copying thousands of customers might send as many confirmation mails.
    """

    def __init__(self, settings: Settings, calls: KlaviyoCalls | None = None, *, follows_consent: bool = True) -> None:
        self.settings = settings
        self.follows_consent = follows_consent
        writers = settings.sync.limits.parallel_writes or settings.threads
        self.commercetools = Commercetools(settings)
        self._waiting = WaitingRoom(settings.threads)
        self.klaviyo = Klaviyo(calls or KlaviyoCalls(settings, self._waiting), settings)
        self.order_lookups = OrderLookups(self.commercetools, settings)
        self.dead_letters = DeadLetters(settings)
        self.locks = KeyedLocks(settings.sync.limits.message_seconds)
        self.recent_copies = RecentCopies()
        self.recent_consents = RecentConsents()
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="write")
        self._parallel = writers

    def prepare(self, group: str) -> None:
        """Import the parts of both SDKs that a message needs, unless they are imported already.

        `group` is a group of operations in Klaviyo's SDK, such as "Events". Its import takes up to 0.2 s, so it runs in
        another thread while the first read waits for its token.
        """
        if not self.klaviyo.is_ready(group):
            self.commercetools.prepare()
            self._writers.submit(self.klaviyo.prepare, group)

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._writers.shutdown()
        for client in (self.commercetools, self.klaviyo, self.dead_letters):
            client.close()

    @contextmanager
    def one_at_a_time(self, keys: Collection[str], *, record_release: bool = True) -> Iterator[None]:
        """Hold the locks of these keys: no other message of this instance can hold one of them in the meantime.

        Raises TryAgain if a lock is still taken after two seconds. If half of the threads are waiting already, it
        raises at once, unless the message has begun to write.

        `record_release` is False for the lock of a whole resource. `released_since` is never asked about it. Any number
        of messages may wait for it, because they can share one copy.
        """
        until = min(current_budget().deadline, time.monotonic() + PATIENCE)
        with ExitStack() as held:
            try:
                held.enter_context(
                    self.locks.hold(keys, 0.0 if record_release else until, record_release=record_release)
                )
            except TryAgain:
                with self._waiting.enter() as may_wait:
                    if not record_release or not may_wait:
                        raise
                    held.enter_context(self.locks.hold(keys, until, record_release=record_release))
            yield

    def in_parallel(self, writes: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Run independent writes, or reads, in parallel. Each comes with the name of its part, for error reports.

        If Klaviyo refuses the content of one part, the others are still written; any other error stops the rest. Raises
        that error, otherwise the first refusal, which then names its part. The calling thread works too, so a busy pool
        slows a message down but never blocks it.
        """
        budget = current_budget()
        waiting = deque(writes)
        errors: list[Exception] = []
        refusals: list[DeadLetter] = []

        def work() -> None:
            while waiting and not errors:
                try:
                    part, write = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                try:
                    write()
                except DeadLetter as refusal:
                    refusal.part = " of ".join(filter(None, (refusal.part, part)))
                    refusals.append(refusal)
                except Exception as error:  # noqa: BLE001 - raised below, in the message's own thread
                    errors.append(error)
                    budget.end()

        helpers = [self._writers.submit(copy_context().run, work) for _ in range(min(len(waiting) - 1, self._parallel))]
        work()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        try:
            if errors:
                # Prefer the call that failed for good to those that were not started because of it.
                raise min(errors, key=lambda error: getattr(error, "reason", "") == MESSAGE_FAILED)
            if refusals:
                raise refusals[0]
        finally:  # the tracebacks refer to this frame, a cycle that would keep the documents until collection
            errors.clear()
            refusals.clear()
