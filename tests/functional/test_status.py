"""`manage.py status` with the Pub/Sub emulator, and with stand-ins for Cloud Monitoring and Cloud Logging."""

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
    """What the stand-ins for Cloud Monitoring and Cloud Logging answer, and the filters they were asked for."""

    backlog: int | None = 0
    oldest: int | None = 0
    lines: Sequence[Mapping[str, Any]] = ()
    status: int = 200
    queries: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One answer; a page has two log lines."""
        parts = urlsplit(path)
        if method == "POST":
            assert parts.path == "/v2/entries:list"
            self.queries.append(body["filter"])
            start = int(body.get("pageToken", 0))
            page: dict[str, Any] = {"entries": [{"jsonPayload": line} for line in self.lines[start : start + 2]]}
            if start + 2 < len(self.lines):
                page["nextPageToken"] = str(start + 2)
            return page
        query = parse_qs(parts.query)["filter"][0]
        self.queries.append(query)
        value = self.backlog if "num_undelivered" in query else self.oldest
        return {} if value is None else {"timeSeries": [{"points": [{"value": {"int64Value": str(value)}}]}]}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """The running stand-ins."""
    stand_in = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = (
                stand_in.answer(self.command, self.path, json.loads(content or b"{}")) if stand_in.status == 200 else {}
            )
            body = json.dumps(answer).encode()
            self.send_response(stand_in.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Print no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    yield stand_in
    server.shutdown()
    server.server_close()


@dataclass
class Shop:
    """A topic and a dead-letter topic, each with a subscription."""

    emulator: Emulator
    sandbox: Sandbox
    cloud: Cloud
    number: int = field(default_factory=lambda: next(_numbers))

    def __post_init__(self) -> None:
        for name in (self.topic, self.dead_letter_topic):
            self.emulator.create_topic(name)
            self.emulator.create_subscription(f"{name}-queue", name)

    @property
    def topic(self) -> str:
        """The topic that commercetools publishes to."""
        return f"status-{self.number}"

    @property
    def dead_letter_topic(self) -> str:
        """The topic of the dead letters."""
        return f"status-dead-{self.number}"

    def status(self, *options: str, **changes: str) -> Result:
        """Run `status`."""
        return self.run("status", *options, **changes)

    def run(self, *arguments: str, **changes: str) -> Result:
        """Run any command in the shop's environment."""
        environment = {
            **self.sandbox.environment,
            **self.emulator.environment,
            "TOPIC": self.emulator.topic(self.topic),
            "DEAD_LETTER_TOPIC": self.emulator.topic(self.dead_letter_topic),
            "MONITORING_URL": self.cloud.url,
            "LOGGING_URL": self.cloud.url,
            **changes,
        }
        result = CliRunner(env=environment).invoke(manage, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result


@pytest.fixture
def shop(emulator: Emulator, sandbox: Sandbox, cloud: Cloud) -> Shop:
    """A healthy shop: nothing waits, and three messages were synced."""
    cloud.lines = [{"outcome": "synced"}] * 3
    return Shop(emulator, sandbox, cloud)


def _recommended_command(result: Result) -> str:
    """The command after `First:`."""
    return next(line.removeprefix("First:  ") for line in result.stdout.splitlines() if line.startswith("First:"))


def _unchecked(result: Result) -> list[str]:
    """What could not be checked, and why."""
    prefix = "Could not check "
    return [line.removeprefix(prefix) for line in result.stdout.splitlines() if line.startswith(prefix)]


def test_all_is_well(shop: Shop) -> None:
    """Each part is reported as healthy, and there is nothing to do."""
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
    *of_metrics, of_log = shop.cloud.queries[:3]
    for metric, query in zip(("num_undelivered_messages", "oldest_unacked_message_age"), of_metrics, strict=True):
        assert query == (
            f'metric.type="pubsub.googleapis.com/subscription/{metric}"'
            f' AND resource.labels.subscription_id="{shop.topic}-queue"'
        )
    assert of_log.startswith("jsonPayload.outcome:* AND jsonPayload.message_id:* AND timestamp>=")


@pytest.mark.parametrize("hours", [1, 0.5, 48])
def test_service_and_hours_select_the_log(shop: Shop, hours: float) -> None:
    """--service leaves out other syncs of the project; --hours counts back from now."""
    before = datetime.now(UTC)
    result = shop.status("--service", "klaviyo-sync", "--hours", str(hours))
    after = datetime.now(UTC)
    assert f"Last {'hour' if hours == 1 else f'{hours} hours'}, klaviyo-sync" in result.stdout.splitlines()
    query = next(one for one in shop.cloud.queries if one.startswith("jsonPayload"))
    since, of_service = re.fullmatch(r'jsonPayload.* AND timestamp>="(\S+)" AND (.*)', query).groups()  # type: ignore[union-attr]
    back = timedelta(hours=hours)
    assert before - back - timedelta(seconds=1) <= datetime.fromisoformat(since) <= after - back
    assert of_service == 'resource.type="cloud_run_revision" AND resource.labels.service_name="klaviyo-sync"'
    assert shop.status("--hours", "0").exit_code == 2


def test_a_wrong_key_comes_first(shop: Shop) -> None:
    """It comes before its consequences: messages that wait, and dead letters."""
    shop.sandbox.klaviyo.fail(status=401)
    shop.cloud.backlog, shop.cloud.oldest = 1200, 4000
    shop.cloud.lines = [{"outcome": "retried", "reason": "klaviyo_denied", "status": 401.0}] * 2
    shop.emulator.publish(shop.dead_letter_topic, [b"x"], {"reason": "not_json"})
    result = shop.status()
    assert result.exit_code == 1
    assert f"  {shop.topic}-queue: 1200 messages waiting, the oldest for 1.1 h" in result.stdout
    assert "      2  retried: klaviyo_denied 401 (Klaviyo rejects the API key)\n" in result.stdout
    assert "      1  not_json (it is not JSON)\n" in result.stdout
    assert "  Klaviyo: klaviyo_denied 401" in result.stdout
    assert "A key is wrong or lacks a scope (Klaviyo, retried: klaviyo_denied 401 in the log)" in result.stdout
    assert _recommended_command(result) == f"python3 manage.py check --topic {shop.emulator.topic(shop.topic)}"


def test_the_function_may_have_other_keys(shop: Shop) -> None:
    """The keys work here but not in the function, as its log shows."""
    shop.cloud.lines = [{"outcome": "retried", "reason": "commercetools_denied", "status": 403}]
    assert "retried: commercetools_denied 403 in the log" in shop.status().stdout


def test_a_fixed_key_is_not_reported(shop: Shop) -> None:
    """The newest line of each resource type counts, as a scope may be missing for one type only."""
    denied = {"outcome": "retried", "reason": "klaviyo_denied", "status": 403}
    order, customer = {"resource": "order/1"}, {"resource": "customer/1"}
    shop.cloud.lines = [{"outcome": "synced", **order}, {**denied, **order}, {"outcome": "synced", **customer}]
    fixed = shop.status()
    assert "      1  retried: klaviyo_denied 403" in fixed.stdout
    assert (fixed.exit_code, fixed.stdout.endswith("Nothing to do.\n")) == (0, True)
    shop.cloud.lines = [{"outcome": "synced", **order}, {**denied, **customer}, {**denied, **order}]
    denied_again = shop.status()
    assert (
        "A key is wrong or lacks a scope (retried: klaviyo_denied 403 in the log, for customer)." in denied_again.stdout
    )


def test_messages_wait_and_none_is_processed(shop: Shop) -> None:
    """Either the function does not start, or it logs outside this project."""
    shop.cloud.oldest, shop.cloud.backlog, shop.cloud.lines = 700, 5, []
    result = shop.status()
    assert "the log shows none being processed" in result.stdout
    assert "or it logs elsewhere" in result.stdout
    assert result.exit_code == 1


def test_a_topic_without_a_subscription(shop: Shop) -> None:
    """What is published there is lost, so it is not reported as an empty queue."""
    shop.emulator.delete(shop.emulator.subscription(f"{shop.topic}-queue"))
    result = shop.status()
    assert (result.exit_code, "The topic has no subscription" in result.stdout) == (1, True)
    assert _recommended_command(result) == "terraform -chdir=terraform apply, or ./deploy.sh"


def test_unexpected_errors_are_named(shop: Shop) -> None:
    """`code` says where they occur. The recommended command reads this sync's log lines."""
    shop.cloud.lines = [{"outcome": "retried", "reason": "unforeseen", "code": "KeyError handlers.order:12"}]
    result = shop.status("--service", "klaviyo-sync")
    assert "Unexpected errors (retried: unforeseen KeyError handlers.order:12)." in result.stdout
    assert 'resource.labels.service_name="klaviyo-sync"' in _recommended_command(result)


@pytest.mark.parametrize(
    ("reason", "words", "command"),
    [
        ("throttled", "drains by itself", "python3 manage.py status"),
        ("klaviyo_error", "Their log lines say why", "gcloud logging read"),
        ("unforeseen", "Report them as a bug", "gcloud logging read"),
    ],
)
def test_messages_wait(shop: Shop, reason: str, words: str, command: str) -> None:
    """The advice depends on the reason."""
    shop.cloud.oldest, shop.cloud.backlog = 700, 5
    shop.cloud.lines = [{"outcome": "synced"}, *[{"outcome": "retried", "reason": reason}] * 4]
    result = shop.status()
    assert f"      4  retried: {reason}" in result.stdout
    assert words in result.stdout
    assert _recommended_command(result).startswith(command)


def test_dead_letters_are_counted_by_reason_and_kept(shop: Shop) -> None:
    """They are pulled, then released, so they stay in the subscription."""
    for reason in ("unmappable", "unmappable", "klaviyo_refused"):
        shop.emulator.publish(shop.dead_letter_topic, [b"x"], {"reason": reason})
    for _ in range(2):
        report = json.loads(shop.status("--json").stdout)
        assert report["letters"] == {"unmappable": 2, "klaviyo_refused": 1}
    subscription = shop.emulator.subscription(f"{shop.dead_letter_topic}-queue")
    assert report["advice"]["command"] == f"python3 manage.py dead-letters list --subscription {subscription}"


def test_what_can_not_be_checked_is_named(shop: Shop) -> None:
    """Without permissions, settings and dead letters, nothing is claimed to be healthy."""
    shop.cloud.status = 403
    result = shop.status(KLAVIYO_AUTH_KEY="", DEAD_LETTER_TOPIC="")
    assert result.exit_code == 0
    assert _unchecked(result) == [
        "the queue: monitoring.googleapis.com answers 403: permission denied",
        "the log: logging.googleapis.com answers 403: permission denied",
        "the keys: Settings are missing: KLAVIYO_AUTH_KEY is not set",
        "dead letters: give their subscription with --dead-letters",
    ]
    assert result.stdout.endswith("Nothing to do, as far as could be checked.\n")


def test_wrong_settings_are_named(shop: Shop) -> None:
    """They are not reported as merely missing."""
    result = shop.status(APP_TYPE="IMPORT", CT_PROJECT_ID="")
    keys, _dead_letters = _unchecked(result)
    assert keys.startswith("the keys: Settings are missing or wrong: CT_PROJECT_ID is not set; APP_TYPE must be EVENT")


def test_a_subscription_without_metrics_yet(shop: Shop) -> None:
    """If it was created a minute ago, nothing is claimed about its queue."""
    shop.cloud.backlog = shop.cloud.oldest = None
    result = shop.status()
    assert _unchecked(result) == [f"the queue: no metrics for {shop.topic}-queue in the last ten minutes"]
    assert result.stdout.endswith("Nothing to do, as far as could be checked.\n")


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "nothing answers"])
def test_invalid_credentials(shop: Shop, tmp_path: Path, *, answers: bool) -> None:
    """If Google refuses to renew them or can't be reached: one line each, and how to get others."""
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
    google = shop.cloud.url.replace("127.0.0.1", "localhost")  # the command must not take it for a stand-in
    result = shop.status(GOOGLE_APPLICATION_CREDENTIALS=str(file), MONITORING_URL=google, LOGGING_URL=google)
    assert _unchecked(result) == ["the queue: no Google credentials found", "the log: no Google credentials found"]
    assert _recommended_command(result) == "gcloud auth application-default login"


@pytest.mark.parametrize("command", ["status", "check"])
def test_calls_to_pubsub_are_not_retried(shop: Shop, command: str) -> None:
    """One error for each of the two topics. The library's own retries would end in a RetryError."""
    output = shop.run(command, PUBSUB_EMULATOR_HOST=f"127.0.0.1:{free_port()}").stdout
    assert (output.count("(ServiceUnavailable)"), "RetryError" in output) == (2, False)


def test_an_invalid_topic(shop: Shop) -> None:
    """One clear line, exit 2."""
    result = shop.status("--topic", "klaviyo-sync")
    assert result.exit_code == 2
    assert "projects/PROJECT/topics/TOPIC" in result.output
