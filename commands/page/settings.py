"""A sync.toml that somebody pasted: read as text, checked as the function would, never taken for a path."""

import tomllib
from collections.abc import Sequence

import handlers  # noqa: F401 - registers what a sync.toml may name
from core.errors import ConfigurationError
from core.settings import DEFAULT_SYNC_TOML, rules_in
from handlers.registry import consumed

DEFAULT = DEFAULT_SYNC_TOML.read_text(encoding="utf-8")

_QUICK = (
    ("limits", "read_timeout = 10.0\n", "read_timeout = 2.0\n"),
    ("reconcile", "second_look = 60.0\n", "second_look = 0.0\n"),
)
"""Tables, their defaults, and what stands there on the page: its pauses are to be seen, not waited for."""


def problems(text: str) -> Sequence[str]:
    """Everything that is wrong with it, a line each; empty when the function would start."""
    try:
        rules_in(text, "sync.toml", consumed())
    except ConfigurationError as error:
        return error.problems
    return ()


def for_page(text: str) -> str:
    """The same with shorter pauses, where its tables do not name others."""
    for table, default, quick in _QUICK:
        if default in text:
            text = text.replace(default, quick)
        elif table not in tomllib.loads(text):
            text = f"{text}\n[{table}]\n{quick}"
    return text
