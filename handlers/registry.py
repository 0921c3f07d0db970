"""The one list of what this package consumes.

The commercetools subscriptions, the message table of the README and Terraform's lists are held against it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from core.notification import CHANGES, Notification
from handlers.services import Services

Handler = Callable[[Notification, Services], None]
"""Reads, maps and writes. Returns when the message has its effect, else raises one of `errors`."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A handler under its key. `subscribe` says whether commercetools is asked for these messages."""

    resource_type: str
    type: str
    handler: Handler
    subscribe: bool

    @property
    def is_change(self) -> bool:
        """Whether it comes by a change subscription, which can't be narrowed to a type, or as a message."""
        return self.type in CHANGES


_registry: dict[tuple[str, str], Registration] = {}


def handles(resource_type: str, *types: str, subscribe: bool = True) -> Callable[[Handler], Handler]:
    """Register a handler for message types, or kinds of change, of a resource type.

    `subscribe=False` takes such a message when it comes, without asking commercetools for it. A key that has a handler
    already is a ValueError.
    """

    def register(handler: Handler) -> Handler:
        for name in types:
            if (resource_type, name) in _registry:
                raise ValueError(f"{resource_type}/{name} has a handler already")
            _registry[resource_type, name] = Registration(resource_type, name, handler, subscribe)
        return handler

    return register


def handler_for(resource_type: str, message_type: str) -> Handler | None:
    """The handler of a message, None when this package does not consume it."""
    registration = _registry.get((resource_type, message_type))
    return registration.handler if registration else None


def registrations() -> tuple[Registration, ...]:
    """Everything that is consumed, in the order of registration."""
    return tuple(_registry.values())
