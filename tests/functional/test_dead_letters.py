"""`manage.py dead-letters` as people run it, against Pub/Sub's emulator."""

import itertools
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.emulator import Emulator
from commands.processes import ROOT, free_port
from manage import manage
from tests.functional.documents import change, message

pytestmark = pytest.mark.xdist_group("emulator")

_numbers = itertools.count(1)

NO_ACCOUNTS = dict.fromkeys(("CT_API_URL", "KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL"), "")

MAPPED = json.dumps(message("OrderCreated", "order", "order-1")).encode()
CHANGED = json.dumps(change("ResourceUpdated", "inventory-entry", "5c000000-0000-4000-8000-000000000001")).encode()
OURS = {
    "reason": "unmappable", "error": "Unmappable KeyError", "status": "400", "resource": "order/order-1",
    "type": "OrderCreated", "message_id": "12345678901234567", "attempt": "3",
}  # fmt: skip
FORWARDED = {
    "origin": "shop",
    "CloudPubSubDeadLetterSourceSubscription": "sync",
    "CloudPubSubDeadLetterSourceSubscriptionProject": "demo",
    "CloudPubSubDeadLetterSourceDeliveryCount": "10",
    "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-05-02T08:00:00.000Z",
}


@dataclass
class Office:
    """A topic, a dead-letter topic, and a subscription of each."""

    emulator: Emulator
    number: int = field(default_factory=lambda: next(_numbers))

    def __post_init__(self) -> None:
        for name in (self.topic, self.dead):
            self.emulator.create_topic(name)
            self.emulator.create_subscription(f"{name}-pull", name)

    @property
    def topic(self) -> str:
        """Where commercetools publishes."""
        return f"events-{self.number}"

    @property
    def dead(self) -> str:
        """Where the letters are."""
        return f"dead-{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        """What says where both are."""
        return {
            "DEAD_LETTER_SUBSCRIPTION": self.emulator.subscription(f"{self.dead}-pull"),
            "TOPIC": self.emulator.topic(self.topic),
            **self.emulator.environment,
        }

    def run(self, *arguments: str, **environment: str) -> Result:
        """`manage.py dead-letters ...`; what it answers, without a traceback."""
        environment = {**self.environment, **environment}
        wait = ("--wait", "0.7") if arguments[-1] != "--help" else ()
        finished = CliRunner(env=environment).invoke(manage, ["dead-letters", *arguments, *wait])
        assert finished.exception is None or isinstance(finished.exception, SystemExit)
        return finished

    def letters(self) -> list[dict[str, Any]]:
        """What `list --json` shows."""
        shown: list[dict[str, Any]] = json.loads(self.run("list", "--json").stdout)
        return shown

    def replayed(self) -> list[tuple[bytes, dict[str, str]]]:
        """Data and attributes of what was published to the topic."""
        return [(one["data"], one["attributes"]) for one in self.emulator.pull(f"{self.topic}-pull")]


@pytest.fixture
def office(emulator: Emulator) -> Iterator[Office]:
    """An office with a letter of the function and one that Pub/Sub forwarded."""
    made = Office(emulator)
    emulator.publish(made.dead, [MAPPED], OURS)
    emulator.publish(made.dead, [CHANGED], FORWARDED)
    yield made
    for name in (made.topic, made.dead):
        emulator.delete(emulator.subscription(f"{name}-pull"))
        emulator.delete(emulator.topic(name))


def _wanted(letters: list[dict[str, Any]], reason: str) -> str:
    return str(next(letter["id"] for letter in letters if letter["reason"] == reason))


def test_letters_of_both_kinds_are_listed_and_stay(office: Office) -> None:
    """Ours as the attributes say, a forwarded one as its data says; listing takes nothing away and holds nothing."""
    listed = office.run("list")
    assert listed.exit_code == 0
    for shown in (
        "order/order-1",
        "OrderCreated",
        "unmappable",
        "Unmappable KeyError",
        "400",
        "inventory-entry/5c0",
        "forwarded",
        "10",
    ):
        assert shown in listed.stdout
    letters = {letter["reason"]: letter for letter in office.letters()}
    ours = letters["unmappable"]
    assert (ours["resource"], ours["type"], ours["status"]) == ("order/order-1", "OrderCreated", "400")
    assert (ours["attempts"], ours["original_id"], ours["error"]) == ("3", "12345678901234567", "Unmappable KeyError")
    forwarded = letters["forwarded"]
    assert forwarded["resource"] == "inventory-entry/5c000000-0000-4000-8000-000000000001"
    assert (forwarded["type"], forwarded["attempts"]) == ("ResourceUpdated", "10")


def test_the_table_fits_a_terminal(office: Office) -> None:
    """No line is wider than 80 columns, and ids are shown whole."""
    office.emulator.publish(office.dead, [MAPPED], {**OURS, "reason": "a_reason_of_some_length"})
    script = "import sys, click; sys.stdout.isatty = lambda: True; from manage import manage; manage()"
    command = [sys.executable, "-c", script, "dead-letters", "list", "--wait", "0.7"]
    subscription = office.emulator.subscription(f"{office.dead}-pull")
    environment = {
        "DEAD_LETTER_SUBSCRIPTION": subscription,
        "COLUMNS": "80",
        "TERM": "dumb",
        **office.emulator.environment,
    }
    shown = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "order" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert all(letter["id"] in shown for letter in office.letters())
    assert "unmappable 400: Unmappable KeyError" in shown


def test_replay_by_id_publishes_the_original_message(office: Office) -> None:
    """Original data and no attribute that made it a dead letter; the others stay at hand."""
    letters = office.letters()
    done = office.run("replay", _wanted(letters, "unmappable"))
    assert (done.exit_code, "1 dead letter published" in done.stdout) == (0, True)
    assert ("order/order-1" in done.stdout, "forwarded" in done.stdout) == (True, False)  # what is sent is listed
    assert office.replayed() == [(MAPPED, {})]
    assert [letter["reason"] for letter in office.letters()] == ["forwarded"]


@pytest.mark.parametrize(
    ("options", "answer", "published"), [([], b"n\n", []), ([], b"y\n", [MAPPED]), (["--yes"], b"", [MAPPED])]
)
def test_replay_asks_at_a_terminal(office: Office, options: list[str], answer: bytes, published: list[bytes]) -> None:
    """Nothing is published before a yes."""
    command = [
        sys.executable,
        "manage.py",
        "dead-letters",
        "replay",
        "--reason",
        "unmappable",
        "--wait",
        "0.7",
        *options,
    ]
    terminal, end = pty.openpty()
    try:
        os.write(terminal, answer)
        ran = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **office.environment}, stdin=end, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(end)
    question = f"Publish 1 dead letter to {office.emulator.topic(office.topic)}? [y/N]"
    assert (question in ran.stdout, ran.returncode) == (not options, 0 if published else 1), ran.stderr
    assert [data for data, _ in office.replayed()] == published


def test_replay_keeps_the_attributes_that_a_forwarded_message_had(office: Office) -> None:
    """By reason; what the publisher had set is set again, Pub/Sub's own is not."""
    assert office.run("replay", "--reason", "forwarded").exit_code == 0
    assert office.replayed() == [(CHANGED, {"origin": "shop"})]


def test_replay_of_all_empties_the_subscription(office: Office) -> None:
    """Also when there are more letters than one pull gives, each once."""
    more = [b'{"number": %d}' % number for number in range(250)]
    office.emulator.publish(office.dead, more, OURS)
    done = office.run("replay", "--all")
    assert "252 dead letters published" in done.stdout
    published: list[bytes] = []
    while batch := office.replayed():
        published += [data for data, _ in batch]
    assert sorted(published) == sorted([MAPPED, CHANGED, *more])
    assert office.letters() == []
    assert "There are no dead letters" in office.run("list").stdout


def test_a_dry_run_changes_nothing(office: Office) -> None:
    """It shows the chosen letters, publishes nothing and leaves all of them."""
    shown = office.run("replay", "--reason", "unmappable", "--dry-run")
    assert "order/order-1" in shown.stdout
    assert "forwarded" not in shown.stdout
    assert "1 dead letter would be published" in shown.stdout
    assert office.replayed() == []
    assert len(office.letters()) == 2


def test_what_is_not_published_is_not_acknowledged(office: Office) -> None:
    """A topic that does not exist: one line, exit 1, and the letters are still there."""
    failed = office.run("replay", "--all", TOPIC=office.emulator.topic("not-there"))
    assert failed.exit_code == 1
    assert "Pub/Sub can't find it" in failed.stderr
    assert len(office.letters()) == 2


def test_a_letter_is_shown_with_its_message(office: Office) -> None:
    """By the id that the function logged: attributes, then the message; the letter stays."""
    shown = office.run("show", "12345678901234567")
    assert shown.exit_code == 0
    about, message_shown = shown.stdout.split("\n\n", 1)
    lines = [line.split(maxsplit=1) for line in about.splitlines()]
    assert ["error", "Unmappable KeyError"] in lines
    assert ["resource", "order/order-1"] in lines
    assert json.loads(message_shown) == json.loads(MAPPED)
    forwarded = office.run("show", _wanted(office.letters(), "forwarded")).stdout
    assert "CloudPubSubDeadLetterSourceSubscription sync\n" in forwarded
    assert "origin      shop\n" in forwarded
    assert len(office.letters()) == 2


def test_a_letters_message_is_written_for_preview(office: Office, tmp_path: Path) -> None:
    """To a file that its owner alone may read, or to stdout with nothing else there; `preview` takes both."""
    file = tmp_path / "letter.json"
    shown = office.run("show", "12345678901234567", "--output", str(file))
    assert f"preview {file} --diff" in shown.stdout
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (MAPPED, 0o600)
    piped = office.run("show", "12345678901234567", "-o", "-")
    assert (piped.stdout_bytes, "Unmappable KeyError" in piped.stderr) == (MAPPED, True)
    for source, given in ((str(file), None), ("-", MAPPED)):
        previewed = CliRunner(env=NO_ACCOUNTS).invoke(manage, ["preview", source], input=given)
        assert "order/OrderCreated: ignored (deleted_meanwhile)" in previewed.stdout, previewed.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "999999"], "There is no dead letter 999999"),
        (
            ["show", "12345678901234567", "-o", "/nowhere/letter.json"],
            "/nowhere/letter.json: No such file or directory",
        ),
    ],
)
def test_a_letter_that_cant_be_shown(office: Office, arguments: list[str], says: str) -> None:
    """One line, exit 1."""
    failed = office.run(*arguments)
    assert (failed.exit_code, failed.stderr.splitlines()[-1].startswith(f"Error: {says}")) == (1, True)


def test_a_message_that_is_no_json_is_shown_as_it_came(office: Office) -> None:
    """Whatever its bytes are."""
    office.emulator.publish(office.dead, [b"\xff not json"], {**OURS, "message_id": "77"})
    assert office.run("show", "77").stdout.endswith("\n\n\\xff not json\n")


def test_drop_asks_first(office: Office) -> None:
    """Without an answer nothing is dropped; with --yes the chosen letters are gone, and only they."""
    asked = office.run("drop", "--all")
    assert (asked.exit_code, "for good?" in asked.stdout) == (1, True)
    assert len(office.letters()) == 2
    assert "1 dead letter dropped" in office.run("drop", "--reason", "unmappable", "--yes").stdout
    assert [letter["reason"] for letter in office.letters()] == ["forwarded"]
    assert office.replayed() == []


def test_an_id_may_be_the_one_the_message_had_before(office: Office) -> None:
    """The id in the function's log finds its letter; one that no letter has stops the command at once."""
    unknown = office.run("replay", "12345678901234567", "999999")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: There is no dead letter 999999. Nothing was changed.\n")
    assert office.replayed() == []
    assert office.run("replay", "12345678901234567").exit_code == 0
    assert office.replayed() == [(MAPPED, {})]


def test_letters_are_given_back_at_once(office: Office) -> None:
    """The next command sees what the one before did not take, without waiting for a deadline."""
    started = time.monotonic()
    assert len(office.letters()) == len(office.letters()) == 2
    assert time.monotonic() - started < 30


_NAME = "DEAD_LETTER_SUBSCRIPTION"
_HOST = "PUBSUB_EMULATOR_HOST"
_NO_KEY = {_HOST: "", "HOME": "/nonexistent", "CLOUDSDK_CONFIG": "/nonexistent", "NO_GCE_CHECK": "true"}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        pytest.param(["list"], {_NAME: "dead"}, 2, "projects/PROJECT/subscriptions/SUBSCRIPTION", id="no name"),
        pytest.param(["list"], {_NAME: ""}, 2, "Missing option '--subscription'", id="no subscription"),
        pytest.param(["replay"], {}, 2, "Say which dead letters", id="no choice"),
        pytest.param(["drop", "--all", "--reason", "unmappable"], {}, 2, "Say which dead letters", id="two choices"),
        pytest.param(["replay", "--all"], {"TOPIC": "events"}, 2, "projects/PROJECT/topics/TOPIC", id="no topic"),
        pytest.param(["list"], {_NAME: "projects/demo/subscriptions/no-such"}, 1, "can't find", id="not there"),
        pytest.param(["list"], {_HOST: f"127.0.0.1:{free_port()}"}, 1, "ServiceUnavailable", id="nothing listens"),
        pytest.param(["list"], _NO_KEY, 1, "Found no Google Cloud credentials", id="no credentials"),
    ],
)
def test_mistakes_are_said_in_a_line(
    office: Office, arguments: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    """Exit code 2 for what was typed, 1 for what is not there; never a traceback."""
    failed = office.run(*arguments, **environment)
    assert (failed.exit_code, failed.stdout) == (code, "")
    assert said in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize("command", ["list", "show", "replay", "drop"])
def test_help_has_an_example(office: Office, command: str) -> None:
    """Every command says how it is used."""
    assert "Example:  python3 manage.py dead-letters" in office.run(command, "--help").stdout
