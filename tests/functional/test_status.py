"""`manage.py status`: Pub/Sub is its emulator, Cloud Monitoring and Cloud Logging are stand-ins that answer as told."""

import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from commands.emulator import Emulator
from commands.running import Sandbox
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
        environment = {
            **self.sandbox.environment,
            **self.emulator.environment,
            "TOPIC": self.emulator.topic(self.topic),
            "DEAD_LETTER_TOPIC": self.emulator.topic(self.dead),
            "MONITORING_URL": self.cloud.url,
            "LOGGING_URL": self.cloud.url,
            **changes,
        }
        ended = CliRunner(env=environment).invoke(manage, ["status", *options])
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


def test_all_is_well(shop: Shop) -> None:
    """Each part says so, and there is nothing to do."""
    result = shop.status()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Queue",
        f"  {shop.topic}-queue: empty",
        "Last hour",
        "  3 synced",
        "Dead letters",
        "  none",
        "Keys",
        "  commercetools: works",
        "  Klaviyo: works",
        "",
        "Nothing to do.",
    ]
    assert any(f'subscription_id="{shop.topic}-queue"' in asked for asked in shop.cloud.asked)


def test_a_wrong_key_comes_first(shop: Shop) -> None:
    """Before what follows from it: messages that wait, and letters."""
    shop.sandbox.klaviyo.fail(status=401)
    shop.cloud.backlog, shop.cloud.oldest = 1200, 4000
    shop.cloud.lines = [{"outcome": "retried", "reason": "klaviyo_denied", "status": 401.0}] * 2
    shop.emulator.publish(shop.dead, [b"x"], {"reason": "not_json"})
    result = shop.status()
    assert result.exit_code == 1
    assert f"  {shop.topic}-queue: 1200 messages wait, the oldest for 1.1 h" in result.stdout
    assert "      2  retried: klaviyo_denied 401" in result.stdout
    assert "  Klaviyo: klaviyo_denied 401" in result.stdout
    assert "A key is wrong or lacks a scope (Klaviyo, retried: klaviyo_denied 401 in the log)" in result.stdout
    assert _first(result) == f"python manage.py check --topic {shop.emulator.topic(shop.topic)}"


def test_the_keys_of_the_function_may_be_others(shop: Shop) -> None:
    """They work here and not there: the log tells."""
    shop.cloud.lines = [{"outcome": "retried", "reason": "commercetools_denied", "status": 403}]
    assert "retried: commercetools_denied 403 in the log" in shop.status().stdout


def test_messages_wait_and_none_is_worked_on(shop: Shop) -> None:
    """Then the function does not start."""
    shop.cloud.oldest, shop.cloud.backlog, shop.cloud.lines = 700, 5, []
    result = shop.status()
    assert "none was worked on" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("reason", "words", "command"),
    [
        ("throttled", "drains by itself", "python manage.py status"),
        ("klaviyo_error", "their lines in the log say why", "gcloud logging read"),
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
    assert told["advice"]["command"] == f"python manage.py dead-letters list --subscription {subscription}"


def test_what_can_not_be_seen_is_said(shop: Shop) -> None:
    """No right to look at metrics and logs, no settings, no letters: nothing is claimed to be well."""
    shop.cloud.status = 403
    result = shop.status(KLAVIYO_AUTH_KEY="", DEAD_LETTER_TOPIC="")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("Not seen: ")] == [
        "Not seen: the queue: monitoring.googleapis.com says 403: no right to",
        "Not seen: the log: logging.googleapis.com says 403: no right to",
        "Not seen: the keys: the settings are not in this environment",
        "Not seen: dead letters: name their subscription with --dead-letters",
    ]
    assert result.stdout.endswith("Nothing to do in what could be seen.\n")


def test_nothing_was_measured_yet(shop: Shop) -> None:
    """A subscription of a minute ago has no metrics."""
    shop.cloud.backlog = shop.cloud.oldest = None
    assert "no measurement in the last ten minutes" in shop.status().stdout


def test_a_topic_that_is_none(shop: Shop) -> None:
    """One clear line."""
    result = shop.status("--topic", "klaviyo-sync")
    assert result.exit_code == 2
    assert "projects/PROJECT/topics/TOPIC" in result.output
