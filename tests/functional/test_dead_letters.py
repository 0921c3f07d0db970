"""`manage.py dead-letters`, against the Pub/Sub emulator."""

import itertools
import json
import os
import pty
import re
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

ORDER_CREATED = json.dumps(message("OrderCreated", "order", "order-1")).encode()
STOCK_UPDATED = json.dumps(
    change("ResourceUpdated", "inventory-entry", "5c000000-0000-4000-8000-000000000001")
).encode()
FUNCTION_ATTRIBUTES = {
    "reason": "unmappable", "error": "Unmappable KeyError", "status": "400", "resource": "order/order-1",
    "type": "OrderCreated", "message_id": "12345678901234567", "attempt": "3",
}  # fmt: skip
FORWARDED_ATTRIBUTES = {
    "origin": "shop",
    "CloudPubSubDeadLetterSourceSubscription": "sync",
    "CloudPubSubDeadLetterSourceSubscriptionProject": "demo",
    "CloudPubSubDeadLetterSourceDeliveryCount": "10",
    "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-05-02T08:00:00.000Z",
}


@dataclass
class Topics:
    """A topic and a dead-letter topic, each with a subscription."""

    emulator: Emulator
    number: int = field(default_factory=lambda: next(_numbers))

    def __post_init__(self) -> None:
        for name in (self.topic, self.dead):
            self.emulator.create_topic(name)
            self.emulator.create_subscription(f"{name}-pull", name)

    @property
    def topic(self) -> str:
        """The topic that commercetools publishes to."""
        return f"events-{self.number}"

    @property
    def dead(self) -> str:
        """The dead-letter topic."""
        return f"dead-{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that name the topic and the dead letters' subscription, and the emulator's own."""
        return {
            "DEAD_LETTER_SUBSCRIPTION": self.emulator.subscription(f"{self.dead}-pull"),
            "TOPIC": self.emulator.topic(self.topic),
            **self.emulator.environment,
        }

    def run(self, *arguments: str, **environment: str) -> Result:
        """Run `manage.py dead-letters …` with a short wait; fail if it raises anything but SystemExit."""
        environment = {**self.environment, **environment}
        wait = ("--wait", "0.7") if arguments[-1] != "--help" else ()
        finished = CliRunner(env=environment).invoke(manage, ["dead-letters", *arguments, *wait])
        assert finished.exception is None or isinstance(finished.exception, SystemExit)
        return finished

    def dead_letters(self) -> list[dict[str, Any]]:
        """The output of `list --json`."""
        listed: list[dict[str, Any]] = json.loads(self.run("list", "--json").stdout)
        return listed

    def replayed(self) -> list[tuple[bytes, dict[str, str]]]:
        """Data and attributes of the messages published to the topic."""
        return [(one["data"], one["attributes"]) for one in self.emulator.pull(f"{self.topic}-pull")]


@pytest.fixture
def topics(emulator: Emulator) -> Iterator[Topics]:
    """Topics with two dead letters: one from the function, one forwarded by Pub/Sub."""
    created = Topics(emulator)
    emulator.publish(created.dead, [ORDER_CREATED], FUNCTION_ATTRIBUTES)
    emulator.publish(created.dead, [STOCK_UPDATED], FORWARDED_ATTRIBUTES)
    yield created
    for name in (created.topic, created.dead):
        emulator.delete(emulator.subscription(f"{name}-pull"))
        emulator.delete(emulator.topic(name))


def _id_of(dead_letters: list[dict[str, Any]], reason: str) -> str:
    return str(next(dead_letter["id"] for dead_letter in dead_letters if dead_letter["reason"] == reason))


def test_list_shows_both_kinds_and_keeps_them(topics: Topics) -> None:
    """The function's dead letter is listed by its attributes, a forwarded one by its data. Both stay available."""
    listed = topics.run("list")
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
    dead_letters = {dead_letter["reason"]: dead_letter for dead_letter in topics.dead_letters()}
    from_function = dead_letters["unmappable"]
    assert (from_function["resource"], from_function["type"], from_function["status"]) == (
        "order/order-1",
        "OrderCreated",
        "400",
    )
    assert (from_function["attempts"], from_function["original_id"], from_function["error"]) == (
        "3",
        "12345678901234567",
        "Unmappable KeyError",
    )
    forwarded = dead_letters["forwarded"]
    assert forwarded["resource"] == "inventory-entry/5c000000-0000-4000-8000-000000000001"
    assert (forwarded["type"], forwarded["attempts"]) == ("ResourceUpdated", "10")


def test_the_table_fits_a_terminal(topics: Topics) -> None:
    """No line is wider than 80 columns, and ids are not shortened."""
    topics.emulator.publish(topics.dead, [ORDER_CREATED], {**FUNCTION_ATTRIBUTES, "reason": "a_reason_of_some_length"})
    script = "import sys, click; sys.stdout.isatty = lambda: True; from manage import manage; manage()"
    command = [sys.executable, "-c", script, "dead-letters", "list", "--wait", "0.7"]
    subscription = topics.emulator.subscription(f"{topics.dead}-pull")
    environment = {
        "DEAD_LETTER_SUBSCRIPTION": subscription,
        "COLUMNS": "80",
        "TERM": "dumb",
        **topics.emulator.environment,
    }
    shown = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "order" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert all(dead_letter["id"] in shown for dead_letter in topics.dead_letters())
    assert "unmappable 400: Unmappable KeyError" in shown


def test_replay_by_id_publishes_the_original_message(topics: Topics) -> None:
    """Replay publishes the original data without the dead letter's attributes. Other dead letters stay."""
    dead_letters = topics.dead_letters()
    done = topics.run("replay", _id_of(dead_letters, "unmappable"))
    assert (done.exit_code, "1 dead letter published" in done.stdout) == (0, True)
    assert ("order/order-1" in done.stdout, "forwarded" in done.stdout) == (
        True,
        False,
    )  # only what is published is listed
    assert topics.replayed() == [(ORDER_CREATED, {})]
    assert [dead_letter["reason"] for dead_letter in topics.dead_letters()] == ["forwarded"]


@pytest.mark.parametrize(
    ("options", "answer", "published"),
    [([], b"n\n", []), ([], b"y\n", [ORDER_CREATED]), (["--yes"], b"", [ORDER_CREATED])],
)
def test_replay_asks_at_a_terminal(topics: Topics, options: list[str], answer: bytes, published: list[bytes]) -> None:
    """At a terminal, replay publishes nothing without a yes or `--yes`."""
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
        result = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **topics.environment}, stdin=end, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(end)
    question = f"Publish 1 dead letter to {topics.emulator.topic(topics.topic)}? [y/N]"
    assert (question in result.stdout, result.returncode) == (not options, 0 if published else 1), result.stderr
    assert [data for data, _ in topics.replayed()] == published


def test_replay_keeps_the_publishers_attributes(topics: Topics) -> None:
    """Replaying a forwarded message keeps its publisher's attributes, and drops those that Pub/Sub added."""
    assert topics.run("replay", "--reason", "forwarded").exit_code == 0
    assert topics.replayed() == [(STOCK_UPDATED, {"origin": "shop"})]


def test_replay_of_all_empties_the_subscription(topics: Topics) -> None:
    """`--all` publishes each dead letter once, even if there are more than one pull returns."""
    more = [b'{"number": %d}' % number for number in range(250)]
    topics.emulator.publish(topics.dead, more, FUNCTION_ATTRIBUTES)
    done = topics.run("replay", "--all")
    assert "252 dead letters published" in done.stdout
    published: list[bytes] = []
    while batch := topics.replayed():
        published += [data for data, _ in batch]
    assert sorted(published) == sorted([ORDER_CREATED, STOCK_UPDATED, *more])
    assert topics.dead_letters() == []
    assert "There are no dead letters" in topics.run("list").stdout


def test_a_dry_run_changes_nothing(topics: Topics) -> None:
    """A dry run shows the selected dead letters, publishes nothing and keeps all."""
    shown = topics.run("replay", "--reason", "unmappable", "--dry-run")
    assert "order/order-1" in shown.stdout
    assert "forwarded" not in shown.stdout
    assert "1 dead letter would be published" in shown.stdout
    assert topics.replayed() == []
    assert len(topics.dead_letters()) == 2


def test_a_failed_replay_acknowledges_nothing(topics: Topics) -> None:
    """If the topic does not exist, replay prints an error, exits with 1 and keeps the dead letters."""
    failed = topics.run("replay", "--all", TOPIC=topics.emulator.topic("not-there"))
    assert failed.exit_code == 1
    assert "Not found in Pub/Sub" in failed.stderr
    assert len(topics.dead_letters()) == 2


def test_show_prints_a_dead_letter_and_its_message(topics: Topics) -> None:
    """`show` finds a dead letter by the id in the function's log, prints attributes and message, and keeps it."""
    shown = topics.run("show", "12345678901234567")
    assert shown.exit_code == 0
    about, message_shown = shown.stdout.split("\n\n", 1)
    lines = [line.split(maxsplit=1) for line in about.splitlines()]
    assert ["error", "Unmappable KeyError"] in lines
    assert ["resource", "order/order-1"] in lines
    assert json.loads(message_shown) == json.loads(ORDER_CREATED)
    forwarded = topics.run("show", _id_of(topics.dead_letters(), "forwarded")).stdout
    assert "CloudPubSubDeadLetterSourceSubscription sync\n" in forwarded
    assert "origin      shop\n" in forwarded
    assert len(topics.dead_letters()) == 2


def test_show_writes_the_message_for_preview(topics: Topics, tmp_path: Path) -> None:
    """The message goes to a file that only its owner can read, or alone to stdout. `preview` accepts both."""
    file = tmp_path / "letter.json"
    shown = topics.run("show", "12345678901234567", "--output", str(file))
    assert f"preview {file} --diff" in shown.stdout
    assert re.search(r"^reason +unmappable \(it can't be mapped\)$", shown.stdout, re.MULTILINE)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (ORDER_CREATED, 0o600)
    piped = topics.run("show", "12345678901234567", "-o", "-")
    assert (piped.stdout_bytes, "Unmappable KeyError" in piped.stderr) == (ORDER_CREATED, True)
    for source, given in ((str(file), None), ("-", ORDER_CREATED)):
        previewed = CliRunner(env=NO_ACCOUNTS).invoke(manage, ["preview", source], input=given)
        assert "order/OrderCreated: ignored: deleted_meanwhile (it was deleted in the meantime)" in previewed.stdout, (
            previewed.output
        )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["show", "999999"], "There is no dead letter 999999"),
        (
            ["show", "12345678901234567", "-o", "/nowhere/letter.json"],
            "/nowhere/letter.json: No such file or directory",
        ),
    ],
)
def test_show_fails(topics: Topics, arguments: list[str], error: str) -> None:
    """If `show` fails, it prints an error and exits with 1."""
    failed = topics.run(*arguments)
    assert (failed.exit_code, failed.stderr.splitlines()[-1].startswith(f"Error: {error}")) == (1, True)


def test_show_prints_a_message_that_is_not_json(topics: Topics) -> None:
    """A message that is not JSON is printed with its bytes escaped."""
    topics.emulator.publish(topics.dead, [b"\xff not json"], {**FUNCTION_ATTRIBUTES, "message_id": "77"})
    assert topics.run("show", "77").stdout.endswith("\n\n\\xff not json\n")


def test_drop_asks_first(topics: Topics) -> None:
    """Without an answer `drop` drops nothing; with `--yes` it drops exactly the selected dead letters."""
    asked = topics.run("drop", "--all")
    assert (asked.exit_code, "for good?" in asked.stdout) == (1, True)
    assert len(topics.dead_letters()) == 2
    assert "1 dead letter dropped" in topics.run("drop", "--reason", "unmappable", "--yes").stdout
    assert [dead_letter["reason"] for dead_letter in topics.dead_letters()] == ["forwarded"]
    assert topics.replayed() == []


def test_the_original_message_id_is_accepted(topics: Topics) -> None:
    """The id in the function's log finds its dead letter. With an unknown id nothing is replayed."""
    unknown = topics.run("replay", "12345678901234567", "999999")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: There is no dead letter 999999. Nothing was changed.\n")
    assert topics.replayed() == []
    assert topics.run("replay", "12345678901234567").exit_code == 0
    assert topics.replayed() == [(ORDER_CREATED, {})]


def test_dead_letters_are_released_immediately(topics: Topics) -> None:
    """The next command sees the dead letters again, without waiting for the acknowledge deadline."""
    started = time.monotonic()
    assert len(topics.dead_letters()) == len(topics.dead_letters()) == 2
    assert time.monotonic() - started < 30


_NAME = "DEAD_LETTER_SUBSCRIPTION"
_HOST = "PUBSUB_EMULATOR_HOST"
_NO_CREDENTIALS = {_HOST: "", "HOME": "/nonexistent", "CLOUDSDK_CONFIG": "/nonexistent", "NO_GCE_CHECK": "true"}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "error"),
    [
        pytest.param(["list"], {_NAME: "dead"}, 2, "projects/PROJECT/subscriptions/SUBSCRIPTION", id="no name"),
        pytest.param(["list"], {_NAME: ""}, 2, "Missing option '--subscription'", id="no subscription"),
        pytest.param(["replay"], {}, 2, "Say which dead letters", id="no choice"),
        pytest.param(["drop", "--all", "--reason", "unmappable"], {}, 2, "Say which dead letters", id="two choices"),
        pytest.param(["replay", "--all"], {"TOPIC": "events"}, 2, "projects/PROJECT/topics/TOPIC", id="no topic"),
        pytest.param(
            ["list"], {_NAME: "projects/demo/subscriptions/no-such"}, 1, "Not found in Pub/Sub", id="not there"
        ),
        pytest.param(["list"], {_HOST: f"127.0.0.1:{free_port()}"}, 1, "ServiceUnavailable", id="nothing listens"),
        pytest.param(["list"], _NO_CREDENTIALS, 1, "Found no Google Cloud credentials", id="no credentials"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    topics: Topics, arguments: list[str], environment: dict[str, str], code: int, error: str
) -> None:
    """Wrong arguments exit with 2 and missing things with 1, with one error line and no traceback."""
    failed = topics.run(*arguments, **environment)
    assert (failed.exit_code, failed.stdout) == (code, "")
    assert error in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize("command", ["list", "show", "replay", "drop"])
def test_help_has_an_example(topics: Topics, command: str) -> None:
    """The help of every command shows an example."""
    assert "Example:  python3 manage.py dead-letters" in topics.run(command, "--help").stdout
