"""The sandbox, for the tests of its own behaviour."""

from collections.abc import Iterator

import pytest

import sandbox
from sandbox import Control
from sandbox.calls import Calls, klaviyo


@pytest.fixture(scope="module")
def running() -> Iterator[sandbox.Sandbox]:
    """Both servers."""
    with sandbox.start() as servers:
        yield servers


@pytest.fixture
def control(running: sandbox.Sandbox) -> Control:
    """Klaviyo's control API, after a reset."""
    control = Control(running.klaviyo.url)
    control.reset()
    return control


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """Calls to Klaviyo."""
    with klaviyo(control.url) as calls:
        yield calls
