"""Named conditions on sync.toml: the settings under which a message is consumed or a scope is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from core.rules import SyncRules


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of the settings. The docs, `check` and `subscriptions plan` show its `name`."""

    name: str
    holds: Callable[[SyncRules], bool]


def setting(*paths: str) -> Condition:
    """Condition that holds if any of these settings is on, that is true or not empty.

    `setting("customer.erase")` is `[customer] erase`. Give several paths for something that serves several purposes.
    Raises AttributeError for a path that sync.toml does not have.
    """
    values = [attrgetter(path) for path in paths]
    for value in values:
        value(SyncRules())
    return Condition(" or ".join(map(_as_written, paths)), lambda rules: any(value(rules) for value in values))


def _as_written(path: str) -> str:
    """A path in the form of sync.toml: `[order.properties] include`, or `[consent]` for a table."""
    table, _, key = path.rpartition(".")
    return f"[{table}] {key}" if table else f"[{key}]"
