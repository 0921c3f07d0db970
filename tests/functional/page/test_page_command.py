"""`manage.py demo --serve` as a program, and its server without a browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest
import requests

from commands.page.serving import page_server
from commands.running import ROOT

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


def test_it_works_without_scripts(url: str) -> None:
    """A pressed button is a form that was sent: the answer is the page."""
    answer = requests.post(f"{url}/send/01", timeout=30)
    assert answer.url == f"{url}/"
    assert "subscription-test" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_part_that_did_not_change_is_not_sent_again(url: str) -> None:
    """The browser keeps it."""
    first = requests.get(f"{url}/parts/klaviyo", timeout=30)
    again = requests.get(f"{url}/parts/klaviyo", headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (first.status_code, again.status_code) == (200, 304)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "outside.example"}, 403),
        ("POST", "/send/01", {"Origin": "https://outside.example"}, 403),
        ("POST", "/send/99", {}, 404),
        ("GET", "/send/01", {}, 405),
        ("GET", "/parts/other", {}, 404),
        ("GET", "/?delivery=99", {}, 200),
        ("GET", "/?delivery=x", {}, 200),
    ],
)
def test_what_is_not_the_pages_is_refused(
    url: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Other sites, other hosts, unknown samples; an unknown delivery is the latest."""
    assert requests.request(method, url + path, headers=headers, timeout=30).status_code == status
