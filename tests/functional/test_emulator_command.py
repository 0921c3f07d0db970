"""`manage.py emulator` runs the function behind Pub/Sub's emulator, and says how to use it."""

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


def test_what_it_prints_works() -> None:
    """The commands that it prints deliver a message, whose outcome it shows; Ctrl-C ends it and all it started."""
    try:
        with running_emulator():
            pass
    except EmulatorError as error:
        if os.environ.get("REQUIRE_EMULATOR"):
            raise
        pytest.skip(f"the Pub/Sub emulator is not installed: {error}")
    # The emulator has no token of Google's, so these are not for it.
    command = _manage("emulator", PUSH_AUDIENCE="https://sync.example", PUSH_SERVICE_ACCOUNT="push@project.example")
    assert command.stdout
    said = ""
    while "Press Ctrl-C" not in said:
        line = command.stdout.readline()
        assert line, said
        said += line
    host = re.findall(r"PUBSUB_EMULATOR_HOST=(\S+)", said)[0]
    topic = re.findall(r"--topic (\S+)", said)[0]
    sent = _manage("send", EXAMPLE, "--topic", topic, PUBSUB_EMULATOR_HOST=host)
    assert "published as" in sent.communicate(timeout=TIMEOUT)[0]
    assert command.stdout.readline().strip().startswith("subscription/ResourceCreated ignored: test_notification")
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=TIMEOUT)[0].strip() == "Stopped."
    assert command.returncode == 0


def test_without_java_it_says_how_to_get_it() -> None:
    """One clear message, exit status 1, and no traceback."""
    command = _manage("emulator", PATH="/nonexistent")
    said = command.communicate(timeout=TIMEOUT)[0]
    assert command.returncode == 1
    assert "java is not installed" in said
    assert "gcloud components install pubsub-emulator" in said
    assert "Traceback" not in said
