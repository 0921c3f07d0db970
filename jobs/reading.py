"""Reading commercetools page by page, by id: an offset would skip what moves between two pages, and ends at 10,000."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clients.commercetools import Commercetools, Params
from clients.predicates import IDS_PER_QUERY, any_of, chunks, literal
from clients.retrying import THROTTLED, message_budget
from clients.verdicts import ACCESS_DENIED
from core.errors import Refused, TryAgain
from core.logs import log
from core.rules import Limits
from jobs.ending import INTERRUPTED, REFUSED, StoppedError
from jobs.units import denied

_TRIES = 10
_GOOD_PAGES = 20
"""Pages that must arrive before their size grows again."""
COUNTED = 10_000
"""commercetools counts no further where there is a predicate."""


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their ids; `is_last` says that there are no more."""

    documents: Sequence[Any]
    is_last: bool


@dataclass(slots=True)
class PageSize:
    """Documents a page: halved when one can't be read in time, doubled again after 20 that could, up to the first."""

    most: int
    size: int = 0
    _good: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or self.most

    def halve(self) -> None:
        """A page was too much."""
        self.size, self._good = max(1, self.size // 2), 0

    def worked(self) -> None:
        """A page arrived."""
        self._good += 1
        if self._good >= _GOOD_PAGES and self.size < self.most:
            self.size, self._good = min(self.most, self.size * 2), 0


class Reader:
    """Reads pages within a time of their own; what fails is read again, in smaller pages."""

    def __init__(self, commercetools: Commercetools, limits: Limits, seconds: float) -> None:
        self._commercetools = commercetools
        self._refused: set[str] = set()
        # One attempt a call: the next one is for a smaller page.
        self._limits = limits.model_copy(
            update={"read_timeout": seconds, "message_seconds": seconds + limits.connect_timeout, "call_attempts": 1}
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
        """The documents that meet `where` and come after an id. Raises StoppedError when they can't be read.

        `narrow` is a predicate that saves pages, and that a project may refuse: then it is left out.
        """
        narrow = "" if narrow in self._refused else narrow
        params: Params = [("where", one) for one in (*where, *filter(None, [narrow]))]
        params += [("where", f"id > {literal(after)}")] if after else []
        params += [("expand", path) for path in expand]
        params += [("staged", "false")] if collection == "product-projections" else []
        for tried in range(1, _TRIES + 1):
            asked = size.size
            try:
                documents = self._listed(collection, [*params, ("sort", "id asc"), ("limit", str(asked))])["results"]
            except TryAgain as error:
                if error.status in ACCESS_DENIED:
                    raise denied(error) from None
                if error.status != THROTTLED:
                    size.halve()
                log.warning("page of commercetools failed", collection=collection, reason=error.reason, tried=tried)
                continue
            except Refused as refused:
                if not narrow:
                    raise StoppedError(
                        REFUSED, f"commercetools refuses to list {collection}: {refused.status} {refused.code}."
                    ) from None
                self._refused.add(narrow)
                log.warning("commercetools takes no narrower query: all is read", collection=collection)
                return self.page(collection, where, after, size, expand=expand)
            size.worked()
            return Page(documents, len(documents) < asked)
        raise StoppedError(INTERRUPTED, f"commercetools does not answer for {collection}. Go on with the same command.")

    def orders_of(self, payment_ids: Sequence[str]) -> list[Any]:
        """The orders that hold any of the payments."""
        found: list[Any] = []
        for ids in chunks(payment_ids):
            where, size = [f"paymentInfo(payments(id in {any_of(ids)}))"], PageSize(IDS_PER_QUERY)
            after, is_last = "", False
            while not is_last:
                page = self.page("orders", where, after, size)
                found += page.documents
                after, is_last = page.documents[-1]["id"] if page.documents else "", page.is_last
        return found

    def existing(self, collection: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that there is a document of."""
        found: set[str] = set()
        for chunk in chunks(ids):
            page = self.page(collection, [f"id in {any_of(chunk)}"], "", PageSize(IDS_PER_QUERY))
            found |= {document["id"] for document in page.documents}
        return found

    def count(self, collection: str, where: Sequence[str]) -> int | None:
        """About how many documents there are; None where nobody can tell. With a predicate at most COUNTED."""
        params: Params = [("where", one) for one in where]
        params += [("staged", "false")] if collection == "product-projections" else []
        try:
            return int(self._listed(collection, [*params, ("limit", "0")], total=True)["total"])
        except (TryAgain, Refused, LookupError, TypeError, ValueError):
            return None

    def first_created(self, collection: str) -> datetime | None:
        """When the oldest document was made; None when there is none. Raises StoppedError when it can't be read."""
        params: Params = [("sort", "createdAt asc"), ("limit", "1")]
        for _ in range(_TRIES):
            try:
                found = self._listed(collection, params)["results"]
            except TryAgain as error:
                if error.status in ACCESS_DENIED:
                    raise denied(error) from None
                continue
            return datetime.fromisoformat(found[0]["createdAt"]) if found else None
        raise StoppedError(INTERRUPTED, f"commercetools does not answer for {collection}. Go on with the same command.")

    def _listed(self, collection: str, params: Params, *, total: bool = False) -> dict[str, Any]:
        with message_budget(self._limits, waits=True):
            return self._commercetools.listed(collection, [*params, ("withTotal", "true" if total else "false")])
