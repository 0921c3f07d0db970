"""`manage.py check` checks the topics, here those of the Pub/Sub emulator."""

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


def test_missing_topics_and_a_dead_letter_topic_without_subscription(
    emulator: Emulator, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing topic fails, and so does a dead-letter topic without subscription: its messages would be lost."""
    missing = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert [line.split()[0] for line in missing] == ["FAILED", "FAILED"]
    assert all(line.endswith("does not exist") for line in missing)
    emulator.create_topic("check-events")
    emulator.create_topic("check-dead")
    unsubscribed = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert any(line.startswith("FAILED") and line.endswith("has no subscription") for line in unsubscribed)
    emulator.create_subscription("check-kept", "check-dead")
    complete = _check(emulator, sandbox, monkeypatch, dead_letters="check-dead")
    assert not any(line.startswith("FAILED") for line in complete)
    assert sum(line.endswith("exists") for line in complete) == 2
    # The emulator has no IAM: permissions must be reported as unknown, not as ok.
    assert any(line.startswith("?") and "may publish" in line for line in complete)
