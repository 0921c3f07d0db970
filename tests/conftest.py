"""Settings of pytest and Hypothesis, and a check after each test that it left the environment unchanged."""

import os
import signal
from collections.abc import Iterator

import hypothesis  # before main.py: it looks up references to objects, and `gc.freeze` hides them
import pytest

os.environ["ENV_FILE"] = os.devnull
"""No test, and no process that a test starts, reads the developer's own .env."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Programs that tests start compile the project once, not each time."""

_SET_BY_OTHERS = frozenset({"PYTEST_CURRENT_TEST", "OAUTHLIB_INSECURE_TRANSPORT"})
"""Set by pytest and, to allow the sandbox's http, by the commercetools session."""

_PROPERTY_TEST_SECONDS = 600
"""Hypothesis looks for the smallest failing input for up to five minutes. A shorter limit would hide that input."""

hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile("suite")


@pytest.hookimpl(trylast=True)  # after Hypothesis has marked its tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give property tests a time limit of their own; none in the long search of `make properties`."""
    seconds = 0 if config.getoption("hypothesis_profile") == "search" else _PROPERTY_TEST_SECONDS
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(seconds))


@pytest.fixture(autouse=True)
def _environment_is_unchanged() -> Iterator[None]:
    """Fail a test that leaves the environment changed: settings come from it, so later tests would be affected."""
    before = _environment()
    yield
    assert _environment() == before


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _SET_BY_OTHERS}


# Tests send Ctrl-C. A shell starts background jobs with SIGINT ignored, and every child process inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
