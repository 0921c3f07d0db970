"""A message's way: find its handler, run it, judge how it ended, and say so in one line."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import handlers  # noqa: F401 - registers every handler
from clients.retrying import Budget, message_budget
from delivery import Delivery, Envelope, parse
from errors import DeadLetter, Ignored, SyncError, TryAgain
from handlers.registry import Handler, handler_for
from logs import log
from services import Services

Kind = Literal["synced", "ignored", "dead-lettered", "retried"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message ended. `error` is what decided it, None for a message that was synced."""

    kind: Kind
    error: SyncError | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether Pub/Sub may forget the message."""
        return self.kind != "retried"


def process(envelope: Envelope, services: Services, trace: Mapping[str, Any] | None = None) -> Outcome:
    """Sync one message and log its outcome. Never raises: what was not foreseen is retried."""
    started = time.monotonic()
    delivery: Delivery | None = None
    with message_budget(services.settings.sync.limits) as budget:
        try:
            delivery = parse(envelope)
            _sync(delivery, services)
            outcome = Outcome("synced")
        except Ignored as ignored:
            outcome = Outcome("ignored", ignored)
        except DeadLetter as letter:
            outcome = _dead_lettered(letter, envelope, delivery, services)
        except TryAgain as error:
            outcome = Outcome("retried", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
            outcome = Outcome("retried", TryAgain("unforeseen", code=_where(error)))
    _log(outcome, envelope, delivery, budget, time.monotonic() - started, trace or {})
    return outcome


def _sync(delivery: Delivery, services: Services) -> None:
    handler = _handler(delivery, services)
    delivery.require_project(services.settings.ct_project_id)
    with services.one_at_a_time([str(delivery.resource)]):
        handler(delivery, services)


def _handler(delivery: Delivery, services: Services) -> Handler:
    """The handler of a delivery. Raises Ignored when there is none, or nothing to handle."""
    if delivery.type == "Event":
        raise Ignored("event_notification")
    if delivery.resource.type_id == "subscription":
        raise Ignored("test_notification")
    if delivery.key in services.settings.sync.messages.disabled:
        raise Ignored("disabled")
    handler = handler_for(delivery.resource.type_id, delivery.type)
    if not handler:
        raise Ignored("no_handler")
    return handler


def _dead_lettered(letter: DeadLetter, envelope: Envelope, delivery: Delivery | None, services: Services) -> Outcome:
    """Publish the letter; where that is not possible the message stays with Pub/Sub."""
    resource, message_type = (str(delivery.resource), delivery.type) if delivery else ("", "")
    try:
        services.dead_letters.publish(envelope, letter, resource=resource, message_type=message_type)
    except TryAgain as error:
        log.warning("not dead-lettered", reason=error.reason, code=error.code, letter=letter.reason)
        return Outcome("retried", letter)
    return Outcome("dead-lettered", letter)


def _where(error: Exception) -> str:
    """Class of an error and the line it came from: its text may hold personal data."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" {frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


def _log(
    outcome: Outcome,
    envelope: Envelope,
    delivery: Delivery | None,
    budget: Budget,
    seconds: float,
    trace: Mapping[str, Any],
) -> None:
    error = outcome.error
    fields = {
        "outcome": outcome.kind,
        "reason": error.reason if error else "",
        "resource": str(delivery.resource) if delivery else "",
        "type": delivery.type if delivery else "",
        "message_id": envelope.message_id,
        "attempt": envelope.attempt,
        "status": getattr(error, "status", None),
        "code": getattr(error, "code", ""),
        "pointer": getattr(error, "pointer", ""),
        "milliseconds": round(seconds * 1000, 1),
        "calls": dict(budget.calls),
        "cuts": budget.cuts,
    }
    line = log.bind(**{name: value for name, value in fields.items() if value not in (None, "", [])}, **trace)
    write = {"synced": line.info, "ignored": line.info, "retried": line.warning, "dead-lettered": line.error}
    write[outcome.kind](f"{delivery.key if delivery else 'message'} {outcome.kind}")
