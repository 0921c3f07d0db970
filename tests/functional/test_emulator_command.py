"""`manage.py emulator` runs the function behind the Pub/Sub emulator and prints how to use it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from commands.emulator import EmulatorError, running_emulator
from commands.processes import ROOT, TIMEOUT

pytestmark = pytest.mark.xdist_group("emulator")
EXAMPLE = "samples/01-subscription-test.json"


def _manage(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "CT_API_URL": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_printed_commands_work() -> None:
    """The printed commands deliver a message and its outcome is shown; Ctrl-C ends everything it started."""
    try:
        with running_emulator():
            pass
    except EmulatorError as error:
        if os.environ.get("REQUIRE_EMULATOR"):
            raise
        pytest.skip(f"the Pub/Sub emulator is not installed: {error}")
    # The emulator's pushes have no Google token, so the command must not pass these settings to the function.
    command = _manage("emulator", PUSH_AUDIENCE="https://sync.example", PUSH_SERVICE_ACCOUNT="push@project.example")
    assert command.stdout
    output = ""
    while "Press Ctrl-C" not in output:
        line = command.stdout.readline()
        assert line, output
        output += line
    host = re.findall(r"PUBSUB_EMULATOR_HOST=(\S+)", output)[0]
    topic = re.findall(r"--topic (\S+)", output)[0]
    sent = _manage("send", EXAMPLE, "--topic", topic, PUBSUB_EMULATOR_HOST=host)
    assert "published as" in sent.communicate(timeout=TIMEOUT)[0]
    assert command.stdout.readline().strip().startswith("subscription/ResourceCreated ignored: test_notification (")
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=TIMEOUT)[0].strip() == "Stopped."
    assert command.returncode == 0


def test_without_java_it_says_how_to_install_it() -> None:
    """Without java, the command says so and how to install it, and exits with 1."""
    command = _manage("emulator", PATH="/nonexistent")
    output = command.communicate(timeout=TIMEOUT)[0]
    assert command.returncode == 1
    assert "java is not installed" in output
    assert "gcloud components install pubsub-emulator" in output
    assert "Traceback" not in output
