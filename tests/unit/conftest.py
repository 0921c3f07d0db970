"""Fixtures for the tests of the sandbox itself."""

from collections.abc import Iterator

import pytest

import sandbox
from sandbox import Control
from sandbox.calls import Calls, klaviyo


@pytest.fixture(scope="module")
def running() -> Iterator[sandbox.Sandbox]:
    """Both servers of the sandbox."""
    with sandbox.start() as servers:
        yield servers


@pytest.fixture
def control(running: sandbox.Sandbox) -> Control:
    """The control API of the Klaviyo stand-in, after a reset."""
    control = Control(running.klaviyo.url)
    control.reset()
    return control


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """A client of the Klaviyo stand-in."""
    with klaviyo(control.url) as calls:
        yield calls
