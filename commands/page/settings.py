"""A sync.toml that somebody pasted: read as text, checked as the function would, never taken for a path."""

import tomllib
from collections.abc import Sequence

import handlers  # noqa: F401 - registers what a sync.toml may name
from core.errors import ConfigurationError
from core.settings import DEFAULT_SYNC_TOML, rules_in
from handlers.registry import consumed

DEFAULT = DEFAULT_SYNC_TOML.read_text(encoding="utf-8")

_AS_IT_IS = "read_timeout = 10.0\n"
_SHORT = "read_timeout = 2.0\n"
"""Seconds: the page's timeouts are to be seen, not waited for."""


def problems(text: str) -> Sequence[str]:
    """Everything that is wrong with it, a line each; empty when the function would start."""
    try:
        rules_in(text, "sync.toml", consumed())
    except ConfigurationError as error:
        return error.problems
    return ()


def for_page(text: str) -> str:
    """The same with a short `read_timeout`, unless it has limits of its own."""
    if _AS_IT_IS in text:
        return text.replace(_AS_IT_IS, _SHORT)
    return text if "limits" in tomllib.loads(text) else f"{text}\n[limits]\n{_SHORT}"
