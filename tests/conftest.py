"""For every test."""

import os
import signal
from collections.abc import Iterator

import hypothesis  # noqa: F401 - before main.py freezes objects: it looks for what refers to a library's random numbers
import pytest

os.environ["ENV_FILE"] = os.devnull
"""No test reads the .env of whoever runs it, in this process or in one that it starts."""

_NOT_OURS = frozenset({"PYTEST_CURRENT_TEST", "OAUTHLIB_INSECURE_TRANSPORT"})
"""Pytest's own, and what requests-oauthlib wants to be told about the sandbox's http."""


@pytest.fixture(autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """Settings come from the environment: a test that changes it for the others would decide how they end."""
    before = _environment()
    yield
    assert _environment() == before


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_OURS}


# A shell starts what runs in its background with Ctrl-C ignored, and every process inherits that: tests press Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
