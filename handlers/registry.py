"""The registry of handlers: the one list of the messages that this package consumes.

commercetools' subscriptions are derived from it. Tests compare docs/messages.md and Terraform's defaults with it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from core.conditions import Condition
from core.notification import CHANGES, Notification
from core.rules import SyncRules
from core.settings import includes_scope
from handlers.services import Services

Handler = Callable[[Notification, Services], None]
"""Reads, maps and writes. Returns when the message has taken effect, otherwise raises one of `core.errors`."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A handler and the type of message it is registered for.

    `subscribe` is False if commercetools is not asked for these messages. They are consumed only while the settings
    meet the condition `when`; None means always. `scope` is an optional commercetools scope that the handler needs.
    """

    resource_type: str
    type: str
    handler: Handler
    subscribe: bool
    when: Condition | None = None
    scope: str = ""

    @property
    def key(self) -> str:
        """`resource/type`, as in `[messages] disabled`."""
        return f"{self.resource_type}/{self.type}"

    @property
    def is_change(self) -> bool:
        """True for a change, which is not a message: a subscription to changes always covers all three types."""
        return self.type in CHANGES

    def switched_off_by(self, rules: SyncRules, scopes: Collection[str] | None = None) -> str | None:
        """Name of the setting in sync.toml, or of the missing scope, that switches the message off; None if it is on.

        `scopes` are those of CT_SCOPE. None means that they are unknown; then no scope counts as missing.
        """
        if self.key in rules.messages.disabled:
            return "[messages] disabled"
        if self.when and not self.when.holds(rules):
            return self.when.name
        has_scope = not self.scope or scopes is None or includes_scope(scopes, self.scope)
        return None if has_scope else f"CT_SCOPE without {self.scope}"


_registry: dict[tuple[str, str], Registration] = {}


def handles(
    resource_type: str, *types: str, subscribe: bool = True, when: Condition | None = None, scope: str = ""
) -> Callable[[Handler], Handler]:
    """Register a handler for message types, or types of change, of a resource type.

    - `subscribe=False`: accept such messages, but don't ask commercetools for them.
    - `when`: consume the messages only while this condition on the settings holds, as in
      `when=setting("customer.erase")`. Otherwise commercetools is not asked for them, and any that arrive are ignored.
      A handler that serves several settings names them all here, and checks itself which of them are on.
    - `scope`: an optional commercetools scope. Without it the messages are not consumed either.

    Raises ValueError if a message type has a handler already.
    """

    def register(handler: Handler) -> Handler:
        for name in types:
            if (resource_type, name) in _registry:
                raise ValueError(f"{resource_type}/{name} has a handler already")
            _registry[resource_type, name] = Registration(resource_type, name, handler, subscribe, when, scope)
        return handler

    return register


def registration_of(resource_type: str, message_type: str) -> Registration | None:
    """The registration for a message; None if this package does not consume it."""
    return _registry.get((resource_type, message_type))


def is_consumed(resource_type: str, message_type: str, rules: SyncRules) -> bool:
    """True if a message is consumed with these settings. Scopes are not considered."""
    registration = registration_of(resource_type, message_type)
    return registration is not None and not registration.switched_off_by(rules)


def handled_messages() -> frozenset[str]:
    """Keys of all messages that have a handler: the values that `[messages] disabled` may list."""
    return frozenset(one.key for one in _registry.values())


def registrations() -> tuple[Registration, ...]:
    """All registrations, in order of registration, including those that the settings switch off."""
    return tuple(_registry.values())
