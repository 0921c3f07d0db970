"""What a handler is given: the settings, both backends, and the means to write in parallel and one at a time."""

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
from clients.order_lookups import OrderKnowledge
from clients.retrying import MESSAGE_FAILED, PATIENCE, WaitingRoom, current_budget
from core.errors import DeadLetter, TryAgain
from core.locks import KeyedLocks
from core.settings import Settings
from handlers.recent_consents import RecentConsents
from handlers.recent_copies import RecentCopies


class Services:
    """One per process, shared by all threads. Making it opens no connection and imports no SDK.

    `calls` replaces what sends to Klaviyo, for a preview. `follows_consent` says whether the copy of a customer changes
    consent, where [consent] is on: a job that copies thousands would send as many confirmation mails.
    """

    def __init__(self, settings: Settings, calls: KlaviyoCalls | None = None, *, follows_consent: bool = True) -> None:
        self.settings = settings
        self.follows_consent = follows_consent
        writers = settings.sync.limits.parallel_writes or settings.threads
        self.commercetools = Commercetools(settings)
        self._waiting = WaitingRoom(settings.threads)
        self.klaviyo = Klaviyo(calls or KlaviyoCalls(settings, self._waiting), settings)
        self.order_knowledge = OrderKnowledge(self.commercetools, settings)
        self.dead_letters = DeadLetters(settings)
        self.locks = KeyedLocks(settings.sync.limits.message_seconds)
        self.copies = RecentCopies()
        self.consents = RecentConsents()
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="write")
        self._parallel = writers

    def prepare(self, group: str) -> None:
        """Import what a message needs of both SDKs, if that has not been done.

        `group` is Klaviyo's group of operations. It takes up to 0.2 s to import, so that happens while the
        first read waits for its token.
        """
        if not self.klaviyo.is_ready(group):
            self.commercetools.prepare()
            self._writers.submit(self.klaviyo.prepare, group)

    def close(self) -> None:
        """End the threads and close the connections."""
        self._writers.shutdown()
        for client in (self.commercetools, self.klaviyo, self.dead_letters):
            client.close()

    @contextmanager
    def one_at_a_time(self, keys: Collection[str], *, remembered: bool = True) -> Iterator[None]:
        """Hold what the keys name against every other message of this instance.

        Raises TryAgain when it is not free within two seconds, and at once when half of the threads wait already.
        `remembered` says whether others will ask if it was held: not for a message's own resource, where those who wait
        share a copy, and so all may wait.
        """
        until = min(current_budget().deadline, time.monotonic() + PATIENCE)
        with ExitStack() as held:
            try:
                held.enter_context(self.locks.hold(keys, 0.0 if remembered else until, record_release=remembered))
            except TryAgain:
                with self._waiting.entered() as may_wait:
                    if not remembered or not may_wait:
                        raise
                    held.enter_context(self.locks.hold(keys, until, record_release=remembered))
            yield

    def together(self, writes: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Make independent writes, each with the name of its part, several at a time.

        A part whose content is refused does not keep the others from being written; any other error ends them. Raises
        that error, else the first refusal, which names its part. The calling thread works along, so a busy pool slows a
        message down but never stops it.
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
                # The call that failed for good, not one that was refused because of it and came back sooner.
                raise min(errors, key=lambda error: getattr(error, "reason", "") == MESSAGE_FAILED)
            if refusals:
                raise refusals[0]
        finally:  # their tracebacks hold this frame: without it all is freed at once
            errors.clear()
            refusals.clear()
