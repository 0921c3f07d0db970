"""A sync.toml pasted into the page: read as text, checked as the function would, never taken for a path."""

import tomllib
from collections.abc import Sequence

import handlers  # noqa: F401 - registers the messages that a sync.toml may name
from core.errors import ConfigurationError
from core.settings import DEFAULT_SYNC_TOML, rules_in
from handlers.registry import handled_messages

DEFAULT = DEFAULT_SYNC_TOML.read_text(encoding="utf-8")

_SHORT_PAUSES = (
    ("limits", "read_timeout = 10.0\n", "read_timeout = 2.0\n"),
    ("reconcile", "second_look = 60.0\n", "second_look = 0.0\n"),
)
"""Table, default line, and the line that replaces it: long enough to be seen, short enough to wait for."""


def problems(text: str) -> Sequence[str]:
    """What is wrong with a sync.toml, one line per problem; empty if the function would start with it."""
    try:
        rules_in(text, "sync.toml", handled_messages())
    except ConfigurationError as error:
        return error.problems
    return ()


def with_short_pauses(text: str) -> str:
    """The same settings with shorter pauses. A table without the default line stays as it is."""
    for table, default, short in _SHORT_PAUSES:
        if default in text:
            text = text.replace(default, short)
        elif table not in tomllib.loads(text):
            text = f"{text}\n[{table}]\n{short}"
    return text
