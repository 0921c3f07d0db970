"""Conditions on sync.toml, under a name that people recognise."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from core.rules import SyncRules


@dataclass(frozen=True, slots=True)
class Condition:
    """What the settings must say for something to be needed. `name` is how README, `check` and plans show it."""

    name: str
    holds: Callable[[SyncRules], bool]


def setting(*paths: str) -> Condition:
    """Holds while any of these settings is on: true, or not empty. `setting("customer.erase")` is `[customer] erase`.

    Several are one condition, for what serves several purposes. A path that sync.toml does not have is an
    AttributeError.
    """
    values = [attrgetter(path) for path in paths]
    for value in values:
        value(SyncRules())
    return Condition(" or ".join(map(_as_written, paths)), lambda rules: any(value(rules) for value in values))


def _as_written(path: str) -> str:
    """A path as sync.toml has it: `[order.properties] include`; `[consent]` for a table."""
    table, _, key = path.rpartition(".")
    return f"[{table}] {key}" if table else f"[{key}]"
