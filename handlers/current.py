"""Copying the current state of a resource: late, repeated and reordered messages converge."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from clients.retrying import current_budget
from core.errors import DeadLetter, Ignored, TryAgain
from core.notification import Notification
from handlers.recent_copies import Copy
from handlers.services import Services
from mappers.mapped import mapper

Document = TypeVar("Document")
Written = TypeVar("Written")

_ROUNDS = 3
YOUNG = 60.0
"""Seconds within which what a message tells of may not be shown yet."""


@dataclass(frozen=True, slots=True)
class Moved(Generic[Document]):
    """What a look after the write found: what was copied is not what the shop has any more."""

    document: Document


@dataclass(frozen=True, slots=True)
class Sharing:
    """That messages of a resource which wait for each other may share a copy.

    Only for a handler that does the same for every message of that resource. `alone`: nothing but the resource decides
    what is written, so a copy that its second look confirmed also does for later messages about no newer version.
    `what` is copied of the resource, where messages differ in that: they share only with those that copy the same.
    """

    alone: bool = False
    what: str = ""


def no_keys(_document: object) -> Collection[str]:
    """For a write that touches nothing but its own resource, which the pipeline holds already."""
    return ()


@mapper
def version(document: Any) -> int | None:
    """The version of a document; None where there is none, or several."""
    return int(document["version"]) if document and isinstance(document, dict) else None


def as_told(
    notification: Notification, document: Document, *, creates: bool = False, deletes: bool = False
) -> Document:
    """The document that the message's `resource` names, if the read is not older than the message.

    Raises TryAgain for an older version; where the message `deletes`, also for the version that was deleted; and where
    it `creates`, while the message is under a minute old, for a resource that is not there yet. What was written was
    there: if it is gone by the look after the write, it was deleted.
    """
    if document is None:
        if creates and notification.age < YOUNG and not current_budget().has_written:
            raise TryAgain("not_there_yet")
        return document
    read, told = version(document), notification.version
    if read is not None and told is not None and (read <= told if deletes else read < told):
        raise TryAgain("stale_read")
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[Document, Written]):
    """What is copied. `read` returns it as the shop has it now.

    `keys` names what a write shares with other resources' messages, `state` tells one state from the next, and
    `own_version` is the version of the document that the message's `resource` names. After a write `look` says whether
    what was copied has moved: where it is not given, by another `read`.
    """

    read: Callable[[], Document]
    keys: Callable[[Document], Collection[str]] = no_keys
    state: Callable[[Document], object] = version
    own_version: Callable[[Document], int | None] = version
    look: Callable[[Document, Written], Moved[Document] | None] | None = None

    def moved(self, document: Document, written: Written) -> Moved[Document] | None:
        """The newer document, if what was copied moved since. Raises TryAgain if the look shows an older one."""
        if self.look:
            return self._not_older(document, self.look(document, written))
        again = self.read()
        return None if self.state(again) == self.state(document) else self._not_older(document, Moved(again))

    def _not_older(self, document: Document, moved: Moved[Document] | None) -> Moved[Document] | None:
        before, now = self.own_version(document), self.own_version(moved.document) if moved else None
        if before is not None and now is not None and now < before:
            raise TryAgain("stale_read")
        return moved


def copy_current(
    notification: Notification,
    services: Services,
    source: Source[Document, Written],
    write: Callable[[Document], Written],
    *,
    sharing: Sharing | None = None,
    group: str = "Catalogs",
) -> None:
    """Read a resource and write it; again, when it moved meanwhile.

    While the write runs the source's `keys` are held; what was read before another message wrote them is read again.
    Between instances no lock helps, so after the write the source is looked at once more, and written again if it
    moved; also after a write of which Klaviyo refused a part. Raises TryAgain when it keeps moving. With `sharing` a
    message that another one's copy covers is done.
    """
    if sharing and _is_covered(notification, services, sharing):
        return
    services.prepare(group)
    stale_after = services.settings.sync.limits.stale_after
    read_at, document = time.monotonic(), source.read()
    for _ in range(_ROUNDS):
        held = frozenset(source.keys(document))
        with services.one_at_a_time(held):
            if held and services.locks.released_since(held, read_at):
                read_at, document = time.monotonic(), source.read()
                if not held.issuperset(source.keys(document)):
                    continue
            try:
                written = write(document)
            except Ignored as ignored:
                _note(notification, services, source, document, read_at, sharing, ignored=ignored.reason)
                raise
            except DeadLetter as refusal:  # the parts that were not refused are written
                looked_at = time.monotonic()
                is_due = current_budget().has_written and looked_at - read_at >= stale_after
                moved = source.moved(document, cast("Written", refusal.copied)) if is_due else None
                if moved is None:
                    raise
                read_at, document = looked_at, moved.document
                continue
        looked_at = time.monotonic()
        is_due = looked_at - read_at >= stale_after
        moved = source.moved(document, written) if is_due else None
        if moved is None:
            _note(notification, services, source, document, read_at, sharing, confirmed=is_due)
            return
        read_at, document = looked_at, moved.document
    raise TryAgain("keeps_changing")


def _is_covered(notification: Notification, services: Services, sharing: Sharing) -> bool:
    """Whether another message's copy did what this one asks for. Raises Ignored where that copy was ignored.

    What is delivered again may have left an older state in Klaviyo from another instance, after this one's copy.
    """
    copy = services.copies.covering(
        f"{notification.resource} {sharing.what}",
        notification.version,
        current_budget().started_at,
        alone=sharing.alone and not notification.is_redelivered,
    )
    if copy and copy.ignored:
        raise Ignored(copy.ignored)
    return copy is not None


def _note(  # noqa: PLR0913 - what a copy is
    notification: Notification,
    services: Services,
    source: Source[Document, Written],
    document: Document,
    read_at: float,
    sharing: Sharing | None,
    *,
    confirmed: bool = False,
    ignored: str = "",
) -> None:
    """Remember a copy that succeeded, for those that may share it."""
    own_version = source.own_version(document) if sharing else None
    if sharing and own_version is not None:
        services.copies.made(f"{notification.resource} {sharing.what}", Copy(read_at, own_version, confirmed, ignored))
