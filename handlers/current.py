"""Copy a resource's current state to Klaviyo, so that late, repeated and reordered messages converge.

How `copy_current` works, while the pipeline holds the lock of the message's resource:

1. Skip the copy if another message's recent copy covers this message. Only handlers that pass `Sharing` do this.
2. Read the source from commercetools. The handler's `read` calls `up_to_date`: if what it read is older than the
   message, the message goes back to Pub/Sub.
3. Take the further locks that the write needs, such as those of a product's SKUs. If another message released one of
   them after the read, it may have written something newer, so read again while holding them.
4. Write to Klaviyo, then release these locks.
5. Check the source again. Locks work only within one instance: if the source has changed since the read, another
   instance may have written the newer state before this older write. Unchanged: done. Changed: start another round at
   step 3, with the document that the check returned.

After three rounds the message goes back to Pub/Sub (`keeps_changing`). With `[limits] stale_after` in sync.toml, a copy
that took fewer seconds than that skips step 5. The default, 0, never skips it.
"""

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

MAX_ROUNDS = 3
"""Rounds of write and check. If the source still changes then, the message goes back to Pub/Sub (`keeps_changing`)."""
YOUNG_SECONDS = 60.0
"""For this long after a change, reads may not show it yet."""


@dataclass(frozen=True, slots=True)
class Changed(Generic[Document]):
    """The newer document, found by the check after a write."""

    document: Document


@dataclass(frozen=True, slots=True)
class Sharing:
    """Lets messages of one resource share a copy, so that a burst of them costs only a few writes.

    A message that waited for the resource's lock skips its copy if another message's copy read the resource after this
    message arrived, and read at least its version. Use it only where the handler does the same for every message of the
    resource.

    `reuses_confirmed`: a copy that began before the message arrived counts as well, if the check after its write
    confirmed it. Use this only where nothing but the resource itself decides what is written.
    `kind`: what is copied, where that differs between messages of one resource. Only messages of the same kind share.
    """

    reuses_confirmed: bool = False
    kind: str = ""


def _no_keys(_document: object) -> Collection[str]:
    """No further locks: the write changes nothing but the message's own resource, whose lock the pipeline holds."""
    return ()


@mapper
def version(document: Any) -> int | None:
    """Version of a document; None if there is none, or if it is not a single commercetools document."""
    return int(document["version"]) if document and isinstance(document, dict) else None


def up_to_date(
    notification: Notification, document: Document, *, creates: bool = False, deletes: bool = False
) -> Document:
    """The document as read, if the read is not older than the message. None stays None.

    `document` is the resource that the message names, and no other: versions of two resources can't be compared.

    Raises TryAgain:
    - `stale_read` if the document's version is older than the message's. If the message `deletes` the resource, also if
      the versions are equal: that is the resource just before its deletion.
    - `not_there_yet` if a message that `creates` the resource is under a minute old and the read found nothing. Not
      once the message has written something: it had read the resource before, so a missing one was deleted.
    """
    if document is None:
        if creates and notification.age < YOUNG_SECONDS and not current_budget().has_written:
            raise TryAgain("not_there_yet")
        return document
    read_version, message_version = version(document), notification.version
    if (
        read_version is not None
        and message_version is not None
        and (read_version <= message_version if deletes else read_version < message_version)
    ):
        raise TryAgain("stale_read")
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[Document, Written]):
    """What is copied, and how to tell whether it has changed.

    `read` returns the document as commercetools has it now. `lock_keys` are the locks that a write needs in addition to
    that of the message's resource. `state` is compared to tell whether two reads differ. `resource_version` is the
    version of the resource that the message names, which may be only a part of the document.

    `recheck` checks after a write whether the source has changed. It is given the document and what the write returned,
    and returns the newer document if there is one. Without it the source is read again and its `state` compared.
    """

    read: Callable[[], Document]
    lock_keys: Callable[[Document], Collection[str]] = _no_keys
    state: Callable[[Document], object] = version
    resource_version: Callable[[Document], int | None] = version
    recheck: Callable[[Document, Written], Changed[Document] | None] | None = None

    def change_since(self, document: Document, written: Written) -> Changed[Document] | None:
        """The newer document, or None if the source has not changed since `document` was read.

        Raises TryAgain (`stale_read`) if commercetools now answers with an older version.
        """
        if self.recheck:
            return self._require_not_older(document, self.recheck(document, written))
        again = self.read()
        return None if self.state(again) == self.state(document) else self._require_not_older(document, Changed(again))

    def _require_not_older(self, document: Document, changed: Changed[Document] | None) -> Changed[Document] | None:
        before, now = self.resource_version(document), self.resource_version(changed.document) if changed else None
        if before is not None and now is not None and now < before:
            raise TryAgain("stale_read")
        return changed


def copy_current(
    notification: Notification,
    services: Services,
    source: Source[Document, Written],
    write: Callable[[Document], Written],
    *,
    sharing: Sharing | None = None,
    group: str = "Catalogs",
) -> None:
    """Read the source and write it to Klaviyo; write again if it changed in the meantime.

    The module's docstring explains the steps. `group` is the group of operations in Klaviyo's SDK that the write uses;
    it is imported while the source is read.

    `write` may raise Ignored if there is nothing to write, or DeadLetter if Klaviyo refused parts of it. A refusal does
    not end the copy early: the parts that were written are checked like any others, and written again if the source has
    changed; the refusal is raised once it has not. Raises TryAgain (`keeps_changing`) after three rounds.
    """
    if sharing and _is_covered(notification, services, sharing):
        return
    services.prepare(group)
    stale_after = services.settings.sync.limits.stale_after
    read_at, document = time.monotonic(), source.read()
    for _ in range(MAX_ROUNDS):
        held = frozenset(source.lock_keys(document))
        with services.one_at_a_time(held):
            if held and services.locks.released_since(held, read_at):
                read_at, document = time.monotonic(), source.read()
                if not held.issuperset(source.lock_keys(document)):
                    continue  # the new document needs other locks: release these, and use up a round
            try:
                written = write(document)
            except Ignored as ignored:
                _remember(notification, services, source, document, read_at, sharing, ignored=ignored.reason)
                raise
            except DeadLetter as refusal:  # other parts may be written, so check them, still holding the locks
                checked_at = time.monotonic()
                is_due = current_budget().has_written and checked_at - read_at >= stale_after
                changed = source.change_since(document, cast("Written", refusal.copied)) if is_due else None
                if changed is None:
                    raise
                read_at, document = checked_at, changed.document
                continue
        checked_at = time.monotonic()
        is_due = checked_at - read_at >= stale_after
        changed = source.change_since(document, written) if is_due else None
        if changed is None:
            _remember(notification, services, source, document, read_at, sharing, confirmed=is_due)
            return
        read_at, document = checked_at, changed.document
    raise TryAgain("keeps_changing")


def _is_covered(notification: Notification, services: Services, sharing: Sharing) -> bool:
    """True if another message's copy did what this one asks for. Raises Ignored if that copy had nothing to write.

    A redelivered message does not reuse a confirmed copy that began before it arrived. Its earlier attempt may have run
    on another instance and written an older state after that copy.
    """
    copy = services.recent_copies.covering(
        f"{notification.resource} {sharing.kind}",
        notification.version,
        current_budget().started_at,
        reuses_confirmed=sharing.reuses_confirmed and not notification.is_redelivered,
    )
    if copy and copy.ignored:
        raise Ignored(copy.ignored)
    return copy is not None


def _remember(  # noqa: PLR0913 - all of them describe the copy
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
    """Remember a successful copy, or that there was nothing to write, for the messages that may share it."""
    resource_version = source.resource_version(document) if sharing else None
    if sharing and resource_version is not None:
        services.recent_copies.remember(
            f"{notification.resource} {sharing.kind}", Copy(read_at, resource_version, confirmed, ignored)
        )
