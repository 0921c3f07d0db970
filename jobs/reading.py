"""Reads commercetools page by page in the order of ids. Offsets end at 10,000, and skip documents if others vanish."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

from clients.commercetools import Commercetools
from clients.commercetools_reads import Params
from clients.failures import ACCESS_DENIED, QUERY_TIMED_OUT, TIMED_OUT
from clients.predicates import IDS_PER_QUERY, any_of, chunks, literal
from clients.retrying import message_budget
from clients.transport import NO_ANSWER_IN_TIME
from core.errors import Refused, TryAgain
from core.logs import log
from core.rules import Limits
from core.times import parsed_time
from jobs.outcome import INTERRUPTED, REFUSED, InterruptedRunError, StoppedError
from jobs.units import OUTAGE, access_denied

T = TypeVar("T")

_FIRST_BACKOFF, _MAX_BACKOFF = 1.0, 30.0
"""Seconds between two attempts, doubled each time."""
_UNEXPECTED = "_unexpected"
"""Suffix of the reasons that retrying is unlikely to change."""
_TIMEOUT_STATUSES = frozenset({TIMED_OUT, 502, 504})
"""Statuses with which commercetools, or a gateway in front of it, reports a query that took too long."""
_PAGES_BEFORE_GROWTH = 20
"""Pages to read before the page size grows again."""
COUNT_LIMIT = 10_000
"""commercetools counts no further than this if the query has a predicate."""


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their ids; `is_last` is True if no more follow."""

    documents: Sequence[Any]
    is_last: bool


@dataclass(slots=True)
class PageSize:
    """Documents per page: halved if a page times out, doubled after 20 pages that did not, up to `maximum`."""

    maximum: int
    size: int = 0
    _successes: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or self.maximum

    def halve(self) -> None:
        """Halve the size after a page that timed out."""
        self.size, self._successes = max(1, self.size // 2), 0

    def grow_back(self) -> None:
        """Count a page that was read, and double the size after 20 of them."""
        self._successes += 1
        if self._successes >= _PAGES_BEFORE_GROWTH and self.size < self.maximum:
            self.size, self._successes = min(self.maximum, self.size * 2), 0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failing read is retried: for `seconds`, and at least `tries` times.

    Errors that are unlikely to pass are retried `tries` times only.
    """

    tries: int = 10
    seconds: float = OUTAGE


class Reader:
    """Reads pages with its own `timeout` in seconds, and retries by `retry_policy` until `stop` is set.

    A page that timed out is retried with a smaller size. Thread-safe.
    """

    def __init__(
        self,
        commercetools: Commercetools,
        limits: Limits,
        timeout: float,
        stop: threading.Event | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._retry_policy = retry_policy or RetryPolicy()
        self._commercetools = commercetools
        self._stop = stop or threading.Event()
        self._refused: set[str] = set()
        self.calls = 0
        """Calls to commercetools so far."""
        self._lock = threading.Lock()
        # One attempt per call: the next one may ask for a smaller page.
        self._limits = limits.model_copy(
            update={"read_timeout": timeout, "message_seconds": timeout + limits.connect_timeout, "call_attempts": 1}
        )

    def page(
        self,
        collection: str,
        where: Sequence[str],
        after: str,
        size: PageSize,
        narrow: str = "",
        expand: Sequence[str] = (),
    ) -> Page:
        """Read the next page: documents that match `where` with an id greater than `after`.

        `narrow` is an optional predicate that saves pages. If commercetools refuses it, it is left out from then on.
        Raises StoppedError if the page can't be read.
        """
        narrow = "" if narrow in self._refused else narrow
        params: Params = [("where", one) for one in (*where, *filter(None, [narrow]))]
        params += [("where", f"id > {literal(after)}")] if after else []
        params += [("expand", path) for path in expand]
        params += [("staged", "false")] if collection == "product-projections" else []

        def read_once() -> Page:
            limit = size.size
            documents = self._list(collection, [*params, ("sort", "id asc"), ("limit", str(limit))])["results"]
            return Page(documents, len(documents) < limit)

        try:
            page = self._with_retries(collection, read_once, size)
        except Refused as refused:
            if not narrow:
                raise StoppedError(
                    REFUSED, f"commercetools refuses to list {collection}: {refused.status} {refused.code}."
                ) from None
            self._refused.add(narrow)
            log.warning("commercetools refused the narrower query: reading all documents", collection=collection)
            return self.page(collection, where, after, size, expand=expand)
        size.grow_back()
        return page

    def pages(
        self, collection: str, where: Sequence[str], maximum: int, expand: Sequence[str] = ()
    ) -> Iterator[Sequence[Any]]:
        """Yield all documents that match `where`, in pages of at most `maximum`. Raises as `page` does."""
        size, after, is_last = PageSize(maximum), "", False
        while not is_last:
            page = self.page(collection, where, after, size, expand=expand)
            if page.documents:
                yield page.documents
                after = page.documents[-1]["id"]
            is_last = page.is_last

    def orders_of_payments(self, payment_ids: Sequence[str]) -> list[Any]:
        """The orders that refer to any of the payments."""
        return list(self._matching("orders", payment_ids, "paymentInfo(payments(id in {}))"))

    def by_ids(self, collection: str, ids: Sequence[str]) -> list[Any]:
        """The documents with these ids, as far as they exist."""
        return list(self._matching(collection, ids, "id in {}"))

    def existing(self, collection: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that exist."""
        return {document["id"] for document in self.by_ids(collection, ids)}

    def customers_by_email(self, emails: Sequence[str]) -> dict[str, str]:
        """Ids of the customers with these e-mails, by e-mail in lower case. `emails` must be in lower case too."""
        found = self._matching("customers", emails, "lowercaseEmail in {}")
        return {customer["email"].lower(): customer["id"] for customer in found}

    def _matching(self, collection: str, values: Sequence[str], where: str) -> Iterator[Any]:
        """Yield the documents that match a predicate with a list of values, in chunks of values."""
        for chunk in chunks(values):
            for documents in self.pages(collection, [where.format(any_of(chunk))], IDS_PER_QUERY):
                yield from documents

    def count(self, collection: str, where: Sequence[str]) -> int | None:
        """About how many documents match; None if commercetools does not say. At most COUNT_LIMIT with a predicate."""
        params: Params = [("where", one) for one in where]
        params += [("staged", "false")] if collection == "product-projections" else []
        try:
            return int(self._list(collection, [*params, ("limit", "0")], total=True)["total"])
        except (TryAgain, Refused, LookupError, TypeError, ValueError):
            return None

    def first_created(self, collection: str, since: datetime | None) -> datetime | None:
        """When the oldest document was created; None if there is none.

        If its `createdAt` can't be read: `since`. Raises StoppedError if that is None.
        """
        params: Params = [("sort", "createdAt asc"), ("limit", "1")]
        found = self._with_retries(collection, lambda: self._list(collection, params)["results"])
        if not found:
            return None
        created = parsed_time(found[0].get("createdAt"))
        if created is None and since is None:
            raise StoppedError(
                REFUSED,
                f"The createdAt of {collection}/{found[0].get('id')}, the oldest, is not a time. Say with --since where"
                " to begin.",
            )
        return created or since

    def _with_retries(self, collection: str, read_once: Callable[[], T], size: PageSize | None = None) -> T:
        """Call commercetools, and retry while that may help. Raises StoppedError, and Refused."""
        began_at, wait = time.monotonic(), _FIRST_BACKOFF
        for attempts in count(1):
            try:
                return read_once()
            except TryAgain as error:
                if error.status in ACCESS_DENIED:
                    raise access_denied(error) from None
                if size and _is_too_large(error):
                    size.halve()
                is_transient = not error.reason.endswith(_UNEXPECTED)
                has_time = is_transient and time.monotonic() - began_at < self._retry_policy.seconds
                if attempts >= self._retry_policy.tries and not has_time:
                    break
                log.warning(
                    "commercetools can't be read: retrying",
                    collection=collection,
                    reason=str(error),
                    attempts=attempts,
                    seconds=wait,
                )
            if self._stop.wait(wait):
                raise InterruptedRunError(leaves_threads=False)
            wait = min(_MAX_BACKOFF, 2 * wait)
        raise StoppedError(
            INTERRUPTED, f"commercetools does not answer for {collection}. Run the same command again to resume."
        )

    def _list(self, collection: str, params: Params, *, total: bool = False) -> dict[str, Any]:
        with message_budget(self._limits, waits=True) as budget:
            try:
                return self._commercetools.page(collection, [*params, ("withTotal", "true" if total else "false")])
            finally:
                with self._lock:
                    self.calls += budget.calls.total()


def _is_too_large(error: TryAgain) -> bool:
    """True if a smaller page might not have timed out."""
    return error.status in _TIMEOUT_STATUSES or error.code in (QUERY_TIMED_OUT, NO_ANSWER_IN_TIME)
