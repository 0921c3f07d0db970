"""A message's way: find its handler, run it, judge how it ended, and say so in one line."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import handlers  # noqa: F401 - registers every handler
from clients.retrying import message_budget
from core.errors import DeadLetter, Ignored, SyncError, TryAgain
from core.logs import log
from core.notification import Envelope, Notification, parse
from handlers.registry import Handler, registration_of
from handlers.services import Services

Kind = Literal["synced", "ignored", "dead-lettered", "retried"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message ended, and what it took.

    `error` is what decided it, None for a message that was synced; `notification` is None for one that can't be read.
    `calls` counts them by backend, `cuts` says what was left out of the bodies because of Klaviyo's limits, `consent`
    what was decided of a person's consent, and why.
    """

    kind: Kind
    error: SyncError | None
    notification: Notification | None
    calls: Mapping[str, int]
    cuts: Sequence[str]
    seconds: float
    consent: Sequence[str] = ()

    @property
    def acknowledged(self) -> bool:
        """Whether Pub/Sub may forget the message."""
        return self.kind != "retried"

    @property
    def needs_somebody(self) -> bool:
        """Whether it does not mend by itself: a dead letter, a wrong key or scope, a fault in the code."""
        match self.error:
            case TryAgain(is_denied=True) | TryAgain(reason="unforeseen"):
                return True
        return self.kind == "dead-lettered"

    def __str__(self) -> str:
        """In a few words without personal data: `synced`, `retried: klaviyo_denied 401 not_authenticated`."""
        return f"{self.kind}: {self.error}" if self.error else self.kind


def process(envelope: Envelope, services: Services, trace: Mapping[str, Any] | None = None) -> Outcome:
    """Sync one message and log its outcome. Never raises: what was not foreseen is retried."""
    outcome = settle(envelope, services)
    _log(outcome, envelope, trace or {})
    return outcome


def settle(envelope: Envelope, services: Services) -> Outcome:
    """Sync one message. Never raises."""
    started = time.monotonic()
    notification: Notification | None = None
    kind: Kind
    error: SyncError | None = None
    with message_budget(services.settings.sync.limits) as budget:
        try:
            notification = parse(envelope)
            sync(notification, services)
            kind = "synced"
        except Ignored as ignored:
            kind, error = "ignored", ignored
        except DeadLetter as letter:
            error = letter
            kind = "dead-lettered" if _is_published(letter, envelope, notification, services) else "retried"
        except TryAgain as again:
            kind, error = "retried", again
        except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the message must not be lost
            kind, error = "retried", TryAgain("unforeseen", code=where(unforeseen))
    return Outcome(kind, error, notification, budget.calls, budget.cuts, time.monotonic() - started, budget.consent)


def sync(notification: Notification, services: Services) -> None:
    """Have the notification's handler do its work, one at a time per resource. Raises one of `errors`."""
    handler = _handler(notification, services)
    notification.require_project(services.settings.ct_project_id)
    with services.one_at_a_time([str(notification.resource)], remembered=False):
        handler(notification, services)


def _handler(notification: Notification, services: Services) -> Handler:
    """The handler of a notification. Raises Ignored when there is none, or nothing to handle."""
    if notification.type == "Event":
        raise Ignored("event_notification")
    if notification.resource.type_id == "subscription":
        raise Ignored("test_notification")
    registration = registration_of(notification.resource.type_id, notification.type)
    if not registration:
        raise Ignored("no_handler")
    if registration.switched_off_by(services.settings.sync, services.settings.scopes):
        raise Ignored("disabled")
    return registration.handler


def _is_published(
    letter: DeadLetter, envelope: Envelope, notification: Notification | None, services: Services
) -> bool:
    """Publish the letter; where that is not possible the message stays with Pub/Sub."""
    resource, message_type = (str(notification.resource), notification.type) if notification else ("", "")
    try:
        services.dead_letters.publish(envelope, letter, resource=resource, message_type=message_type)
    except TryAgain as error:
        log.warning("not dead-lettered", reason=error.reason, code=error.code, letter=letter.reason)
        return False
    return True


def where(error: Exception) -> str:
    """Class of an error and the line it came from: its text may hold personal data."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" {frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


def _log(outcome: Outcome, envelope: Envelope, trace: Mapping[str, Any]) -> None:
    error, notification = outcome.error, outcome.notification
    fields = {
        "outcome": outcome.kind,
        "reason": error.reason if error else "",
        "resource": str(notification.resource) if notification else "",
        "type": notification.type if notification else "",
        "message_id": envelope.message_id,
        "attempt": envelope.attempt,
        "status": error.status if error else None,
        "code": error.code if error else "",
        "pointer": getattr(error, "pointer", ""),
        "part": getattr(error, "part", ""),
        "milliseconds": round(outcome.seconds * 1000, 1),
        "calls": dict(outcome.calls),
        "cuts": list(outcome.cuts),
        "consent": list(outcome.consent),
    }
    told = {name: value for name, value in fields.items() if value not in (None, "", [])}
    write = log.error if outcome.needs_somebody else {"retried": log.warning}.get(outcome.kind, log.info)
    write(f"{notification.key if notification else 'message'} {outcome}", **told, **trace)
