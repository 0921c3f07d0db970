"""Fixtures that several modules use."""

import random
import time
from collections.abc import Iterator

import pytest

import handlers  # noqa: F401 - registers every handler
import sandbox.bulk_jobs
import sandbox.lag
import sandbox.tokens
from core.settings import Settings, load_settings
from handlers.registry import handled_messages
from sandbox import Control
from sandbox.calls import Calls, commercetools, klaviyo
from tests.fake_clock import FakeClock
from tests.unit.environment import ENVIRONMENT, OPTIONAL, Load


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


@pytest.fixture
def shop(running: sandbox.Sandbox) -> Control:
    """The control API of the commercetools stand-in: an empty shop."""
    control = Control(running.commercetools.url)
    control.reset()
    return control


@pytest.fixture
def shop_calls(shop: Control) -> Iterator[Calls]:
    """A client of the commercetools stand-in, with a token."""
    with commercetools(shop.url) as calls:
        yield calls


@pytest.fixture
def sandbox_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A fake clock for both stand-ins: reads lag, jobs are processed and tokens expire by it."""
    clock = FakeClock()
    for module in (sandbox.bulk_jobs, sandbox.lag, sandbox.tokens):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A fake clock for backend calls, which replaces the real one. Backoff has no jitter."""
    clock = FakeClock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 1.0)
    return clock


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the settings from a valid environment with changes. A value of None removes the variable."""

    def load_with(**changes: str | None) -> Settings:
        for name in OPTIONAL:
            monkeypatch.delenv(name, raising=False)
        for name, value in {**ENVIRONMENT, **changes}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return load_settings(handled_messages())

    return load_with
