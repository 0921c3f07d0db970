"""For every test."""

import os
from collections.abc import Iterator

import hypothesis  # noqa: F401 - before `heap` freezes anything: it looks for what refers to a library's random numbers
import pytest

_PYTESTS_OWN = "PYTEST_CURRENT_TEST"


@pytest.fixture(autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """Settings come from the environment: a test that changes it for the others would decide how they end."""
    before = _environment()
    yield
    assert _environment() == before


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != _PYTESTS_OWN}
