"""`manage.py check` looks at the topics, here at those of Pub/Sub's emulator."""

import pytest
from click.testing import CliRunner

from commands.emulator import Emulator
from commands.processes import Sandbox
from manage import manage

pytestmark = pytest.mark.xdist_group("emulator")


def _check(emulator: Emulator, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *, dead_letters: str) -> list[str]:
    environment = {**sandbox.environment, **emulator.environment}
    environment["DEAD_LETTER_TOPIC"] = emulator.topic(dead_letters)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = CliRunner().invoke(manage, ["check", "--topic", emulator.topic("check-events")]).output
    return [line for line in output.splitlines() if "Pub/Sub" in line]


def test_topics_that_are_missing_or_keep_nothing(
    emulator: Emulator, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing topic, and a dead-letter topic whose letters would vanish, fail; then all is there."""
    missing = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert [line.split()[0] for line in missing] == ["FAILED", "FAILED"]
    assert all(line.endswith("does not exist") for line in missing)
    emulator.create_topic("check-events")
    emulator.create_topic("check-dead")
    vanishing = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert any(line.startswith("FAILED") and line.endswith("has no subscription") for line in vanishing)
    emulator.create_subscription("check-kept", "check-dead")
    kept = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert not any(line.startswith("FAILED") for line in kept)
    assert sum(line.endswith("exists") for line in kept) == 2
    # The emulator has no IAM: what can't be looked at is said to be unknown, not to be fine.
    assert any(line.startswith("?") and "may publish" in line for line in kept)
