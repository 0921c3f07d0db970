"""The one list of what this package consumes.

The commercetools subscriptions, the message table of the README and Terraform's defaults are held against it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from core.conditions import Condition
from core.notification import CHANGES, Notification
from core.rules import SyncRules
from core.settings import includes_scope
from handlers.services import Services

Handler = Callable[[Notification, Services], None]
"""Reads, maps and writes. Returns when the message has its effect, else raises one of `errors`."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A handler under its key.

    `subscribe` says whether commercetools is asked for these messages, `when` what the settings must say for the
    handler to be called; None: always. `scope` is one of commercetools' that not every client has, and that the handler
    can't do without.
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
        """Whether it comes by a change subscription, which can't be narrowed to a type, or as a message."""
        return self.type in CHANGES

    def switched_off_by(self, rules: SyncRules, scopes: Collection[str] | None = None) -> str | None:
        """What switches the message off: a setting by its name in sync.toml, or a scope that `scopes` lacks.

        None while it is consumed. `scopes` are those of CT_SCOPE; None: not known, so that all count as there.
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
    """Register a handler for message types, or kinds of change, of a resource type.

    `subscribe=False` takes such a message when it comes, without asking commercetools for it. `when` is the condition
    under which the messages are consumed: `when=setting("customer.erase")`. While it does not hold, commercetools is
    not asked for them, and one that comes is ignored. A handler that serves several settings names them all, so that
    its messages are dropped only when nobody needs them, and looks itself which of the settings are on. `scope` names
    an optional scope, without which the messages are not consumed either.

    A key that has a handler already is a ValueError.
    """

    def register(handler: Handler) -> Handler:
        for name in types:
            if (resource_type, name) in _registry:
                raise ValueError(f"{resource_type}/{name} has a handler already")
            _registry[resource_type, name] = Registration(resource_type, name, handler, subscribe, when, scope)
        return handler

    return register


def registration_of(resource_type: str, message_type: str) -> Registration | None:
    """The registration of a message, None when this package does not consume it."""
    return _registry.get((resource_type, message_type))


def is_consumed(resource_type: str, message_type: str, rules: SyncRules) -> bool:
    """Whether a message is consumed under these settings."""
    registration = registration_of(resource_type, message_type)
    return registration is not None and not registration.switched_off_by(rules)


def consumed() -> frozenset[str]:
    """The keys of all messages that are consumed under some settings: what `[messages] disabled` may name."""
    return frozenset(one.key for one in _registry.values())


def registrations() -> tuple[Registration, ...]:
    """Everything that is consumed under some settings, in the order of registration."""
    return tuple(_registry.values())
