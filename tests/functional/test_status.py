"""`manage.py status`: Pub/Sub is its emulator, Cloud Monitoring and Cloud Logging are stand-ins that answer as told."""

import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from commands.emulator import Emulator
from commands.processes import Sandbox, free_port
from manage import manage

pytestmark = pytest.mark.xdist_group("emulator")

_numbers = itertools.count(1)


@dataclass
class Cloud:
    """What the stand-ins for Cloud Monitoring and Cloud Logging answer, and what they were asked."""

    backlog: int | None = 0
    oldest: int | None = 0
    lines: Sequence[Mapping[str, Any]] = ()
    status: int = 200
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One answer; log lines come two a page."""
        parts = urlsplit(path)
        if method == "POST":
            assert parts.path == "/v2/entries:list"
            self.asked.append(body["filter"])
            start = int(body.get("pageToken", 0))
            page: dict[str, Any] = {"entries": [{"jsonPayload": line} for line in self.lines[start : start + 2]]}
            if start + 2 < len(self.lines):
                page["nextPageToken"] = str(start + 2)
            return page
        asked = parse_qs(parts.query)["filter"][0]
        self.asked.append(asked)
        value = self.backlog if "num_undelivered" in asked else self.oldest
        return {} if value is None else {"timeSeries": [{"points": [{"value": {"int64Value": str(value)}}]}]}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """The stand-ins, listening."""
    told = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = told.answer(self.command, self.path, json.loads(content or b"{}")) if told.status == 200 else {}
            body = json.dumps(answer).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()


@dataclass
class Shop:
    """A topic with its queue, and a dead-letter topic."""

    emulator: Emulator
    sandbox: Sandbox
    cloud: Cloud
    number: int = field(default_factory=lambda: next(_numbers))

    def __post_init__(self) -> None:
        for name in (self.topic, self.dead):
            self.emulator.create_topic(name)
            self.emulator.create_subscription(f"{name}-queue", name)

    @property
    def topic(self) -> str:
        """Where commercetools publishes."""
        return f"status-{self.number}"

    @property
    def dead(self) -> str:
        """Where the letters are."""
        return f"status-dead-{self.number}"

    def status(self, *options: str, **changes: str) -> Result:
        """The command, as it ended."""
        return self.run("status", *options, **changes)

    def run(self, *arguments: str, **changes: str) -> Result:
        """Any command in the shop's environment."""
        environment = {
            **self.sandbox.environment,
            **self.emulator.environment,
            "TOPIC": self.emulator.topic(self.topic),
            "DEAD_LETTER_TOPIC": self.emulator.topic(self.dead),
            "MONITORING_URL": self.cloud.url,
            "LOGGING_URL": self.cloud.url,
            **changes,
        }
        ended = CliRunner(env=environment).invoke(manage, arguments)
        assert ended.exception is None or isinstance(ended.exception, SystemExit)
        return ended


@pytest.fixture
def shop(emulator: Emulator, sandbox: Sandbox, cloud: Cloud) -> Shop:
    """All is well: nothing waits, three messages were synced."""
    cloud.lines = [{"outcome": "synced"}] * 3
    return Shop(emulator, sandbox, cloud)


def _first(result: Result) -> str:
    """The command that is recommended."""
    return next(line.removeprefix("First:  ") for line in result.stdout.splitlines() if line.startswith("First:"))


def _unseen(result: Result) -> list[str]:
    """What is said not to be seen, and why."""
    said = "Could not check "
    return [line.removeprefix(said) for line in result.stdout.splitlines() if line.startswith(said)]


def test_all_is_well(shop: Shop) -> None:
    """Each part says so, and there is nothing to do."""
    result = shop.status()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Queue",
        f"  {shop.topic}-queue: empty",
        "Last hour, all syncs in the project",
        "  3 synced",
        "Dead letters",
        "  none",
        "Keys",
        "  commercetools: accepted",
        "  Klaviyo: accepted",
        "",
        "Nothing to do.",
    ]
    *of_metrics, of_log = shop.cloud.asked[:3]
    for metric, asked in zip(("num_undelivered_messages", "oldest_unacked_message_age"), of_metrics, strict=True):
        assert asked == (
            f'metric.type="pubsub.googleapis.com/subscription/{metric}"'
            f' AND resource.labels.subscription_id="{shop.topic}-queue"'
        )
    assert of_log.startswith("jsonPayload.outcome:* AND jsonPayload.message_id:* AND timestamp>=")


@pytest.mark.parametrize("hours", [1, 0.5, 48])
def test_the_log_of_one_sync_and_of_so_many_hours(shop: Shop, hours: float) -> None:
    """Another sync of the project does not count; time goes back from now."""
    before = datetime.now(UTC)
    said = shop.status("--service", "klaviyo-sync", "--hours", str(hours))
    after = datetime.now(UTC)
    assert f"Last {'hour' if hours == 1 else f'{hours} hours'}, klaviyo-sync" in said.stdout.splitlines()
    asked = next(one for one in shop.cloud.asked if one.startswith("jsonPayload"))
    since, of_service = re.fullmatch(r'jsonPayload.* AND timestamp>="(\S+)" AND (.*)', asked).groups()  # type: ignore[union-attr]
    back = timedelta(hours=hours)
    assert before - back - timedelta(seconds=1) <= datetime.fromisoformat(since) <= after - back
    assert of_service == 'resource.type="cloud_run_revision" AND resource.labels.service_name="klaviyo-sync"'
    assert shop.status("--hours", "0").exit_code == 2


def test_a_wrong_key_comes_first(shop: Shop) -> None:
    """Before what follows from it: messages that wait, and letters."""
    shop.sandbox.klaviyo.fail(status=401)
    shop.cloud.backlog, shop.cloud.oldest = 1200, 4000
    shop.cloud.lines = [{"outcome": "retried", "reason": "klaviyo_denied", "status": 401.0}] * 2
    shop.emulator.publish(shop.dead, [b"x"], {"reason": "not_json"})
    result = shop.status()
    assert result.exit_code == 1
    assert f"  {shop.topic}-queue: 1200 messages waiting, the oldest for 1.1 h" in result.stdout
    assert "      2  retried: klaviyo_denied 401" in result.stdout
    assert "  Klaviyo: klaviyo_denied 401" in result.stdout
    assert "A key is wrong or lacks a scope (Klaviyo, retried: klaviyo_denied 401 in the log)" in result.stdout
    assert _first(result) == f"python3 manage.py check --topic {shop.emulator.topic(shop.topic)}"


def test_the_keys_of_the_function_may_be_others(shop: Shop) -> None:
    """They work here and not there: the log tells."""
    shop.cloud.lines = [{"outcome": "retried", "reason": "commercetools_denied", "status": 403}]
    assert "retried: commercetools_denied 403 in the log" in shop.status().stdout


def test_a_key_that_was_put_right_is_none_to_put_right(shop: Shop) -> None:
    """Of each resource type the newest line counts: a scope may be lacking for one and not for another."""
    denied = {"outcome": "retried", "reason": "klaviyo_denied", "status": 403}
    order, customer = {"resource": "order/1"}, {"resource": "customer/1"}
    shop.cloud.lines = [{"outcome": "synced", **order}, {**denied, **order}, {"outcome": "synced", **customer}]
    mended = shop.status()
    assert "      1  retried: klaviyo_denied 403" in mended.stdout
    assert (mended.exit_code, mended.stdout.endswith("Nothing to do.\n")) == (0, True)
    shop.cloud.lines = [{"outcome": "synced", **order}, {**denied, **customer}, {**denied, **order}]
    still = shop.status()
    assert "A key is wrong or lacks a scope (retried: klaviyo_denied 403 in the log, for customer)." in still.stdout


def test_messages_wait_and_none_is_worked_on(shop: Shop) -> None:
    """The function may not start; or it runs where no log of this project hears of it."""
    shop.cloud.oldest, shop.cloud.backlog, shop.cloud.lines = 700, 5, []
    result = shop.status()
    assert "the log shows none being processed" in result.stdout
    assert "or it logs elsewhere" in result.stdout
    assert result.exit_code == 1


def test_a_topic_without_a_subscription_loses_what_is_published(shop: Shop) -> None:
    """That is no empty queue."""
    shop.emulator.delete(shop.emulator.subscription(f"{shop.topic}-queue"))
    result = shop.status()
    assert (result.exit_code, "The topic has no subscription" in result.stdout) == (1, True)
    assert _first(result) == "terraform -chdir=terraform apply, or ./deploy.sh"


def test_what_nobody_thought_of_is_named(shop: Shop) -> None:
    """By `code`, which says where; the command asks for the lines of this sync."""
    shop.cloud.lines = [{"outcome": "retried", "reason": "unforeseen", "code": "KeyError handlers.order:12"}]
    result = shop.status("--service", "klaviyo-sync")
    assert "Unexpected errors (retried: unforeseen KeyError handlers.order:12)." in result.stdout
    assert 'resource.labels.service_name="klaviyo-sync"' in _first(result)


@pytest.mark.parametrize(
    ("reason", "words", "command"),
    [
        ("throttled", "drains by itself", "python3 manage.py status"),
        ("klaviyo_error", "Their log lines say why", "gcloud logging read"),
        ("unforeseen", "Report it", "gcloud logging read"),
    ],
)
def test_messages_wait(shop: Shop, reason: str, words: str, command: str) -> None:
    """What to do depends on why."""
    shop.cloud.oldest, shop.cloud.backlog = 700, 5
    shop.cloud.lines = [{"outcome": "synced"}, *[{"outcome": "retried", "reason": reason}] * 4]
    result = shop.status()
    assert f"      4  retried: {reason}" in result.stdout
    assert words in result.stdout
    assert _first(result).startswith(command)


def test_letters_are_counted_by_reason_and_stay(shop: Shop) -> None:
    """They are looked at, and given back."""
    for reason in ("unmappable", "unmappable", "klaviyo_refused"):
        shop.emulator.publish(shop.dead, [b"x"], {"reason": reason})
    for _ in range(2):
        told = json.loads(shop.status("--json").stdout)
        assert told["letters"] == {"unmappable": 2, "klaviyo_refused": 1}
    subscription = shop.emulator.subscription(f"{shop.dead}-queue")
    assert told["advice"]["command"] == f"python3 manage.py dead-letters list --subscription {subscription}"


def test_what_can_not_be_seen_is_said(shop: Shop) -> None:
    """No right to look at metrics and logs, no settings, no letters: nothing is claimed to be well."""
    shop.cloud.status = 403
    result = shop.status(KLAVIYO_AUTH_KEY="", DEAD_LETTER_TOPIC="")
    assert result.exit_code == 0
    assert _unseen(result) == [
        "the queue: monitoring.googleapis.com answers 403: permission denied",
        "the log: logging.googleapis.com answers 403: permission denied",
        "the keys: Settings are missing: KLAVIYO_AUTH_KEY is not set",
        "dead letters: give their subscription with --dead-letters",
    ]
    assert result.stdout.endswith("Nothing to do, as far as could be checked.\n")


def test_settings_that_are_wrong_are_named(shop: Shop) -> None:
    """They are there, so it is not said that they are not."""
    result = shop.status(APP_TYPE="IMPORT", CT_PROJECT_ID="")
    keys, _letters = _unseen(result)
    assert keys.startswith("the keys: Settings are missing or wrong: CT_PROJECT_ID is not set; APP_TYPE must be EVENT")


def test_nothing_was_measured_yet(shop: Shop) -> None:
    """A subscription of a minute ago has no metrics: nothing is claimed of it."""
    shop.cloud.backlog = shop.cloud.oldest = None
    result = shop.status()
    assert _unseen(result) == [f"the queue: no metrics for {shop.topic}-queue in the last ten minutes"]
    assert result.stdout.endswith("Nothing to do, as far as could be checked.\n")


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "nothing answers"])
def test_credentials_that_do_not_hold(shop: Shop, tmp_path: Path, *, answers: bool) -> None:
    """Whether Google refuses to renew them or can't be reached: one line each, and how to get others."""
    shop.cloud.status = 400
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = {
        "type": "service_account",
        "client_email": "on-call@p.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": shop.cloud.url if answers else f"http://127.0.0.1:{free_port()}",
    }
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(credentials), encoding="utf-8")
    google = shop.cloud.url.replace("127.0.0.1", "localhost")  # no stand-in for all that the command knows
    result = shop.status(GOOGLE_APPLICATION_CREDENTIALS=str(file), MONITORING_URL=google, LOGGING_URL=google)
    assert _unseen(result) == ["the queue: no Google credentials found", "the log: no Google credentials found"]
    assert _first(result) == "gcloud auth application-default login"


@pytest.mark.parametrize("command", ["status", "check"])
def test_pubsub_is_asked_once(shop: Shop, command: str) -> None:
    """Its library repeats what fails for expired credentials, as if it were an outage, and ends in a RetryError."""
    said = shop.run(command, PUBSUB_EMULATOR_HOST=f"127.0.0.1:{free_port()}").stdout
    assert (said.count("(ServiceUnavailable)"), "RetryError" in said) == (2, False)


def test_a_topic_that_is_none(shop: Shop) -> None:
    """One clear line."""
    result = shop.status("--topic", "klaviyo-sync")
    assert result.exit_code == 2
    assert "projects/PROJECT/topics/TOPIC" in result.output
