"""`manage.py demo --serve` as a process, and its server without a browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import requests

from commands.page.command import page_server
from commands.page.comparison import PreviewInput, compare
from commands.page.delivery import Message
from commands.page.story import STORY
from commands.processes import ROOT

COMMAND = [sys.executable, "manage.py", "demo", "--serve", "--port"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running page."""
    with page_server(0) as served:
        serving = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield served.url.rstrip("/")
        served.server.shutdown()
        serving.join()


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_stops_on_a_signal(stop_signal: signal.Signals) -> None:
    """The page stops every process it started.

    Ctrl-C reaches every process of the terminal's process group, and the page is the only one in it.
    """
    command = [*COMMAND, "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found, line
            with requests.get(f"{found[0]}changes", stream=True, timeout=30):
                assert requests.get(found[0], timeout=30).status_code == 200
                children = psutil.Process(process.pid).children(recursive=True)
                assert children
                assert process.pid not in [os.getpgid(child.pid) for child in children]
                if stop_signal == signal.SIGINT:
                    os.killpg(process.pid, stop_signal)
                else:
                    process.send_signal(stop_signal)
                output, errors = process.communicate(timeout=30)
                assert psutil.wait_procs(children, timeout=5)[1] == []
        finally:
            process.terminate()
    assert (process.returncode, errors) == (0, "")
    assert "Traceback" not in output


def test_a_port_in_use_is_a_one_line_error() -> None:
    """Reported before anything else starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [*COMMAND, str(port)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr == f"Error: Port {port} is in use. Choose another one with --port.\n"
    assert result.stdout == ""


def test_it_starts_with_the_first_step(url: str) -> None:
    """The page is never empty: the story's first messages are sent before it is first loaded."""
    assert STORY[0].summary in requests.get(f"{url}/", timeout=30).text


def test_an_unchanged_part_is_not_sent_again(url: str) -> None:
    """The browser uses its cached copy."""
    end = time.monotonic() + 30
    while 'class="queued"' in requests.get(f"{url}/parts/messages", timeout=30).text:
        assert time.monotonic() < end
    first = requests.get(f"{url}/parts/klaviyo", timeout=30)
    again = requests.get(f"{url}/parts/klaviyo", headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (first.status_code, again.status_code) == (200, 304)


def test_the_headers_forbid_other_sites_and_caching(url: str) -> None:
    """Nothing is loaded from other sites, none can frame the page, and no cache keeps the page with its token."""
    headers = requests.get(f"{url}/", timeout=30).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "outside.example"}, 403),
        ("/parts/klaviyo", {"Host": "outside.example"}, 403),
        ("/", {"Origin": "https://outside.example"}, 403),
        ("/do/next", {}, 405),
        ("/parts/other", {}, 404),
        ("/?delivery=99", {}, 200),
        ("/?delivery=x&area=x&who=x", {}, 200),
        ("/call/99/0/0", {}, 404),
        ("/call/1/9/9", {}, 404),
        ("/sides/99", {}, 404),
        ("/curl/99", {}, 404),
        ("/text/delivery/99", {}, 404),
        ("/text/sample/99", {}, 404),
        ("/text/sample/..%2f..%2fREADME.md", {}, 404),
    ],
)
def test_a_request_gets_its_status(url: str, path: str, headers: dict[str, str], status: int) -> None:
    """Other sites and hosts are rejected, and unknown paths not found. An unknown delivery falls back to the latest."""
    assert requests.get(url + path, headers=headers, timeout=30).status_code == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X-Page-Token": "guessed"}, 403),
        ({"X-Page-Token": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "https://outside.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "outside.example"}, 403),
        ({}, 200),
    ],
)
def test_only_the_page_may_change_anything(url: str, changes: dict[str, str | None], status: int) -> None:
    """An action needs JSON, this start's token and this host; no HTML form of another site can send all of them."""
    before = requests.get(f"{url}/parts/controls", timeout=30).text
    headers = {"Content-Type": "application/json", "X-Page-Token": _token(url), "Origin": url} | changes
    answer = requests.post(f"{url}/do/fail", data='{"fault": "denied"}', headers=headers, timeout=30)
    assert answer.status_code == status
    assert (requests.get(f"{url}/parts/controls", timeout=30).text != before) is (status == requests.codes.ok)
    _do(url, "fail", {"fault": ""})


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("other", {}, 404),
        ("send", {"sample": "99"}, 404),
        ("send", {"sample": 1}, 400),
        ("send", [], 400),
        ("send-own", {}, 400),
        ("again", {"number": 99}, 404),
        ("again", {"number": "1"}, 400),
        ("now", {"number": 99}, 404),
        ("replay", {"number": 1}, 404),
        ("fail", {"fault": "other"}, 404),
        ("job", {"job": "other"}, 404),
        ("settings", {"settings": 1}, 400),
        ("send-own", {"text": "x" * (1 << 20)}, 413),
    ],
)
def test_an_invalid_action_is_rejected(url: str, name: str, body: object, status: int) -> None:
    """And sends nothing."""
    sent = len(re.findall('id="delivery-', requests.get(f"{url}/parts/messages", timeout=30).text))
    assert _do(url, name, body).status_code == status
    assert len(re.findall('id="delivery-', requests.get(f"{url}/parts/messages", timeout=30).text)) == sent


def test_real_accounts_in_the_environment_are_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Function, backfill and preview only talk to the sandbox, whatever the environment variables say."""
    real = {
        "CT_API_URL": "https://api.shop.example", "CT_AUTH_URL": "https://auth.shop.example", "CT_PROJECT_ID": "real",
        "KLAVIYO_AUTH_KEY": "pk_real", "KLAVIYO_API_URL": "https://klaviyo.example",
        "DEAD_LETTER_TOPIC": "projects/real/topics/letters", "SYNC_CONFIG": "/nowhere/sync.toml",
    }  # fmt: skip
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    with page_server(0, plays_first_step=False) as served:
        app_state = served.app_state
        app_state.send(Message("nonsense", "", b"{}"))
        app_state.send(Message.from_sample(app_state.samples["13"]))
        app_state.send(Message.from_sample(app_state.samples["05"]))
        end = time.monotonic() + 30
        while any(delivery.is_waiting for delivery in app_state.subscription.deliveries):
            assert time.monotonic() < end
        assert [delivery.outcome for delivery in app_state.subscription.deliveries] == [
            "synced",
            "synced",
            "dead-lettered",
        ]
        product, order = (PreviewInput(app_state.samples[number].data, app_state.settings) for number in ("05", "17"))
        comparison = app_state.subscription.submit(lambda: compare(app_state.sandbox, product, order)).result(60)
        assert (comparison.before, comparison.after) == ("synced", "synced")
        # The page's Klaviyo already has the product; the preview still creates it, as it assumes an empty one.
        assert any(one.title.startswith("POST /api/catalog-items") for one in comparison.requests if one.sign == "-")
        app_state.run_job("backfill").result(60)
        assert app_state.sandbox.klaviyo.state()["events"]


def _token(url: str) -> str:
    found = re.search('name="page-token" content="([^"]+)"', requests.get(f"{url}/", timeout=30).text)
    return found[1] if found else ""


def _do(url: str, name: str, body: object) -> requests.Response:
    return requests.post(f"{url}/do/{name}", json=body, headers={"X-Page-Token": _token(url)}, timeout=60)
