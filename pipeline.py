"""Process a message: decode it, run its handler, classify the outcome and log it in one line."""

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
    """What happened to a message, and what it took.

    `error` is the cause, None if the message was synced. `notification` is None if the message can't be decoded.
    `calls` is the number of calls by backend. `cuts` says what was left out of bodies because Klaviyo does not accept
    it. `consent` says what was decided about a person's consent, and why.
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
        """True if Pub/Sub should not redeliver the message."""
        return self.kind != "retried"

    @property
    def needs_attention(self) -> bool:
        """True if a person has to act: on a dead letter, a wrong key, a missing scope or a bug in the code."""
        match self.error:
            case TryAgain(is_denied=True) | TryAgain(reason="unforeseen"):
                return True
        return self.kind == "dead-lettered"

    def __str__(self) -> str:
        """A short text without personal data: `synced`, `retried: klaviyo_denied 401 not_authenticated`."""
        return f"{self.kind}: {self.error}" if self.error else self.kind


def process(envelope: Envelope, services: Services, trace: Mapping[str, Any] | None = None) -> Outcome:
    """Sync one message and log its outcome. Never raises: an unexpected exception is a retry."""
    outcome = settle(envelope, services)
    _log(outcome, envelope, trace or {})
    return outcome


def settle(envelope: Envelope, services: Services) -> Outcome:
    """Sync one message without logging its outcome. Never raises."""
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
        except DeadLetter as dead_letter:
            error = dead_letter
            kind = "dead-lettered" if _publish(dead_letter, envelope, notification, services) else "retried"
        except TryAgain as try_again:
            kind, error = "retried", try_again
        except Exception as unforeseen:  # noqa: BLE001 - whatever it is, the message must not be lost
            kind, error = "retried", TryAgain("unforeseen", code=location_of(unforeseen))
    return Outcome(kind, error, notification, budget.calls, budget.cuts, time.monotonic() - started, budget.consent)


def sync(notification: Notification, services: Services) -> None:
    """Run the notification's handler, one at a time per resource. Raises a SyncError."""
    handler = _handler(notification, services)
    notification.require_resource_in(services.settings.ct_project_id)
    with services.one_at_a_time([str(notification.resource)], record_release=False):
        handler(notification, services)


def _handler(notification: Notification, services: Services) -> Handler:
    """The handler of a notification. Raises Ignored if there is none or it is switched off."""
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


def _publish(
    dead_letter: DeadLetter, envelope: Envelope, notification: Notification | None, services: Services
) -> bool:
    """Publish a dead letter. False if that fails: the message must then stay with Pub/Sub."""
    resource, message_type = (str(notification.resource), notification.type) if notification else ("", "")
    try:
        services.dead_letters.publish(envelope, dead_letter, resource=resource, message_type=message_type)
    except TryAgain as error:
        log.warning("not dead-lettered", reason=error.reason, code=error.code, letter=dead_letter.reason)
        return False
    return True


def location_of(error: Exception) -> str:
    """Class of an exception and the line that raised it. Its text may contain personal data, so that is left out."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    location = f" {frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{location}"


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
    present = {name: value for name, value in fields.items() if value not in (None, "", [])}
    write = log.error if outcome.needs_attention else {"retried": log.warning}.get(outcome.kind, log.info)
    write(f"{notification.key if notification else 'message'} {outcome}", **present, **trace)
