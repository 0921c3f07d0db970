"""`manage.py demo --serve` as a program, and its server without a browser."""

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
from commands.page.comparison import Side, compare
from commands.page.delivery import Message
from commands.page.story import ACTS
from commands.processes import ROOT

COMMAND = [sys.executable, "manage.py", "demo", "--serve", "--port"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the page is."""
    with page_server(0) as served:
        serving = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield served.url.rstrip("/")
        served.server.shutdown()
        serving.join()


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_when_told(ended_by: signal.Signals) -> None:
    """As a terminal does it: Ctrl-C reaches every process of the group, which is the page alone; it ends the others."""
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
                started = psutil.Process(process.pid).children(recursive=True)
                assert started
                assert process.pid not in [os.getpgid(child.pid) for child in started]
                if ended_by == signal.SIGINT:
                    os.killpg(process.pid, ended_by)
                else:
                    process.send_signal(ended_by)
                output, errors = process.communicate(timeout=30)
                assert psutil.wait_procs(started, timeout=5)[1] == []
        finally:
            process.terminate()
    assert (process.returncode, errors) == (0, "")
    assert "Traceback" not in output


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    """Before anything else starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*COMMAND, str(port)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: Port {port} is taken: name another one with --port.\n"
    assert ended.stdout == ""


def test_it_starts_with_the_first_act(url: str) -> None:
    """The page is never empty: the story's first messages are on their way when it is asked for."""
    assert ACTS[0].told in requests.get(f"{url}/", timeout=30).text


def test_a_part_that_did_not_change_is_not_sent_again(url: str) -> None:
    """The browser keeps it."""
    end = time.monotonic() + 30
    while 'class="queued"' in requests.get(f"{url}/parts/messages", timeout=30).text:
        assert time.monotonic() < end
    first = requests.get(f"{url}/parts/klaviyo", timeout=30)
    again = requests.get(f"{url}/parts/klaviyo", headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (first.status_code, again.status_code) == (200, 304)


def test_nothing_is_loaded_from_elsewhere_or_framed(url: str) -> None:
    """By its policy; and no cache keeps the page with its token."""
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
def test_what_is_not_the_pages_is_not_served(url: str, path: str, headers: dict[str, str], status: int) -> None:
    """Other sites, other hosts, what does not exist; an unknown delivery is the latest."""
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
    """JSON, with the token of this start, from this host: no form of another site gets that far."""
    before = requests.get(f"{url}/parts/state", timeout=30).text
    headers = {"Content-Type": "application/json", "X-Page-Token": _token(url), "Origin": url} | changes
    answer = requests.post(f"{url}/do/fail", data='{"fault": "denied"}', headers=headers, timeout=30)
    assert answer.status_code == status
    assert (requests.get(f"{url}/parts/state", timeout=30).text != before) is (status == requests.codes.ok)
    _do(url, "fail", {"fault": ""})


@pytest.mark.parametrize(
    ("name", "told", "status"),
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
def test_what_makes_no_sense_is_refused(url: str, name: str, told: object, status: int) -> None:
    """And changes nothing."""
    sent = len(re.findall('id="delivery-', requests.get(f"{url}/parts/messages", timeout=30).text))
    assert _do(url, name, told).status_code == status
    assert len(re.findall('id="delivery-', requests.get(f"{url}/parts/messages", timeout=30).text)) == sent


def test_real_accounts_of_the_environment_are_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell names: function, backfill and preview talk to the sandbox alone."""
    real = {
        "CT_API_URL": "https://api.shop.example", "CT_AUTH_URL": "https://auth.shop.example", "CT_PROJECT_ID": "real",
        "KLAVIYO_AUTH_KEY": "pk_real", "KLAVIYO_API_URL": "https://klaviyo.example",
        "DEAD_LETTER_TOPIC": "projects/real/topics/letters", "SYNC_CONFIG": "/nowhere/sync.toml",
    }  # fmt: skip
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    with page_server(0, plays=False) as served:
        stage = served.stage
        stage.send(Message("nonsense", "", b"{}"))
        stage.send(Message.of(stage.samples["13"]))
        stage.send(Message.of(stage.samples["05"]))
        end = time.monotonic() + 30
        while any(delivery.is_waiting for delivery in stage.subscription.deliveries):
            assert time.monotonic() < end
        assert [delivery.outcome for delivery in stage.subscription.deliveries] == ["synced", "synced", "dead-lettered"]
        product, order = (Side(stage.samples[number].data, stage.settings) for number in ("05", "17"))
        found = stage.subscription.do(lambda: compare(stage.sandbox, product, order)).result(60)
        assert (found.before, found.after) == ("synced", "synced")
        # The page's Klaviyo has the product, an empty one gets it.
        assert any(part.title.startswith("POST /api/catalog-items") for part in found.parts if part.sign == "-")
        stage.run("past").result(60)
        assert stage.sandbox.klaviyo.state()["events"]


def _token(url: str) -> str:
    found = re.search('name="page-token" content="([^"]+)"', requests.get(f"{url}/", timeout=30).text)
    return found[1] if found else ""


def _do(url: str, name: str, told: object) -> requests.Response:
    return requests.post(f"{url}/do/{name}", json=told, headers={"X-Page-Token": _token(url)}, timeout=60)
