"""The servers themselves: control API, record, failures on the wire, and the program."""

import http.client
import json
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import sandbox
from sandbox import Control, ControlError
from sandbox.calls import Calls, commercetools, klaviyo

CATEGORY = {"data": {"type": "catalog-category", "attributes": {"external_id": "c1", "name": "Bags"}}}
CUSTOMER = {"id": "c1", "email": "jane@example.com"}


@pytest.fixture
def shop(running: sandbox.Sandbox) -> Control:
    """The control API of commercetools, after a reset."""
    control = Control(running.commercetools.url)
    control.reset()
    return control


class TestRecord:
    """What the servers remember of requests."""

    def test_tells_everything_about_a_request(self, control: Control, calls: Calls) -> None:
        """Method, decoded path, query, body, status, operation; the answer when it was no success."""
        calls("POST", "/api/catalog-categories", CATEGORY)
        calls("GET", "/api/catalog-items/%24custom%3A%3A%3A%24default%3A%3A%3Aa%2Fb", query={"include": ["a", "b"]})
        first, second = control.requests()
        assert (first["number"], first["method"], first["path"]) == (1, "POST", "/api/catalog-categories")
        assert (first["body"], first["status"], first["answer"]) == (CATEGORY, 201, None)
        assert (first["operation"], first["kind"], first["authorized"]) == ("create_catalog_category", "api", True)
        assert abs(first["at"] - time.time()) < 60
        assert (second["operation"], second["status"]) == ("get_catalog_item", 404)
        assert second["path"] == "/api/catalog-items/$custom:::$default:::a/b"
        assert second["query"] == {"include": ["a", "b"]}
        assert second["answer"]["errors"][0]["code"] == "not_found"

    def test_marks_token_requests_and_missing_authorization(self, shop: Control) -> None:
        """Token requests are of their own kind; a request without token is recorded as unauthorized."""
        with commercetools(shop.url) as calls:
            calls("GET", "/shop/orders/o1")
            calls("GET", "/shop/orders", headers={"Authorization": None})
        assert [(entry["kind"], entry["operation"], entry["authorized"]) for entry in shop.requests()] == [
            ("token", "token", True),
            ("api", "orders.get", True),
            ("api", "orders.query", False),
        ]
        assert [entry["operation"] for entry in shop.requests(kind="token")] == ["token"]

    def test_can_be_read_in_part_and_forgotten(self, control: Control, calls: Calls) -> None:
        """`since` leaves out what is known; after forgetting, numbers go on."""
        calls("GET", "/api/metrics")
        calls("GET", "/api/accounts")
        assert [entry["operation"] for entry in control.requests(since=1)] == ["get_accounts"]
        control.forget_requests()
        assert control.requests() == []
        calls("GET", "/api/metrics")
        assert [entry["number"] for entry in control.requests()] == [3]


class TestFailures:
    """Failures that are told to happen."""

    def test_answers_with_the_backends_own_error(self, control: Control, calls: Calls, shop: Control) -> None:
        """A told status comes with a proper error body, and with the headers that were told."""
        control.fail("events|metrics", status=503, headers={"Retry-After": "1"}, count=1)
        answer = calls("GET", "/api/metrics")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.body["errors"][0]["status"] == 503
        assert calls("GET", "/api/metrics").status == 200
        assert control.failures()[0]["hits"] == 1
        with commercetools(shop.url) as ct:
            shop.fail(status=503)
            assert ct("GET", "/shop/orders").body["errors"][0]["code"] == "OverCapacity"
            shop.clear_failures()
            assert ct("GET", "/shop/orders").status == 200

    @pytest.mark.parametrize(
        ("body", "expected"), [("empty", None), ({"errors": "none"}, {"errors": "none"}), ("html", b"<html>")]
    )
    def test_sends_other_bodies(self, control: Control, calls: Calls, body: object, expected: object) -> None:
        """Nothing at all, some JSON, or the HTML of a proxy."""
        control.call("POST", "failures", {"path": "", "status": 502, "body": body})
        answer = calls("GET", "/api/metrics")
        assert answer.status == 502
        assert (answer.body[:6] if isinstance(answer.body, bytes) else answer.body) == expected

    def test_skips_and_counts_and_selects(self, control: Control, calls: Calls) -> None:
        """`skip` requests pass, `count` fail; other methods and paths are left alone."""
        control.fail("/api/metrics$", method="GET", status=500, skip=1, count=2)
        assert [calls("GET", "/api/metrics").status for _ in range(4)] == [200, 500, 500, 200]
        assert calls("GET", "/api/accounts").status == 200

    def test_first_rule_that_matches_wins(self, control: Control, calls: Calls) -> None:
        """Rules are asked in order; a rule that is used up makes way for the next."""
        control.fail("metrics", status=500, count=1)
        control.fail("metrics", status=503)
        assert [calls("GET", "/api/metrics").status for _ in range(3)] == [500, 503, 503]

    def test_happen_at_a_rate_that_can_be_repeated(self, control: Control, calls: Calls) -> None:
        """The same seed makes the same requests fail."""
        control.fail(status=500, rate=0.5)
        runs = []
        for _ in range(2):
            control.seed(7)
            runs.append([calls("GET", "/api/metrics").status for _ in range(12)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}

    def test_apply_lets_the_write_happen(self, control: Control, calls: Calls) -> None:
        """With `apply` only the answer is lost, without it the request never took effect."""
        control.fail(status=500, count=1)
        assert calls("POST", "/api/catalog-categories", CATEGORY).status == 500
        assert control.state()["categories"] == {}
        control.fail(status=500, count=1, apply=True)
        assert calls("POST", "/api/catalog-categories", CATEGORY).status == 500
        assert control.state()["categories"] == {"c1": "Bags"}

    def test_reset_while_sending(self, control: Control, calls: Calls) -> None:
        """The connection breaks before any answer, and nothing happened; status 0 in the record."""
        control.fail(reset="sending", count=1)
        with pytest.raises(ConnectionError):
            calls("POST", "/api/catalog-categories", {"data": "x" * 1_000_000})
        assert calls("GET", "/api/metrics").status == 200
        assert [entry["status"] for entry in control.requests()] == [0, 200]

    def test_reset_while_answering(self, control: Control, calls: Calls) -> None:
        """Status line and a part of the body arrive, then the connection breaks; with `apply` the write happened."""
        control.fail(reset="answering", apply=True)
        connection = http.client.HTTPConnection(urlsplit(control.url).netloc)
        connection.request("POST", "/api/catalog-categories", json.dumps(CATEGORY), calls.headers)
        response = connection.getresponse()
        assert response.status == 201
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()
        connection.close()
        assert control.state()["categories"] == {"c1": "Bags"}

    def test_delay_and_trickle(self, control: Control, calls: Calls) -> None:
        """A late answer and a slow answer are the true ones."""
        control.fail("metrics", delay=0.1)
        control.fail("accounts", trickle=0.0001)
        before = time.monotonic()
        assert calls("GET", "/api/metrics").status == 200
        assert time.monotonic() - before >= 0.1
        assert calls("GET", "/api/accounts").body["data"][0]["type"] == "account"

    def test_unknown_fields_are_refused(self, control: Control) -> None:
        """A misspelt rule says so, it is not passed over."""
        with pytest.raises(ControlError, match="unknown fields: sttus"):
            control.call("POST", "failures", {"sttus": 500})
        with pytest.raises(ControlError, match="404"):
            control.call("POST", "nothing", {})


def test_serves_many_connections_at_a_time(control: Control) -> None:
    """More connections than a small backlog holds are answered, and all writes arrive."""
    faults: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with klaviyo(control.url) as calls:
                for number in range(5):
                    name = f"{worker}-{number}"
                    body = {"data": {"type": "catalog-category", "attributes": {"external_id": name, "name": name}}}
                    assert calls("POST", "/api/catalog-categories", body).status == 201
        except BaseException as fault:  # noqa: BLE001 - told to the test's own thread
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(control.state()["categories"]) == 320


def test_several_requests_in_one_packet(control: Control, calls: Calls) -> None:
    """What a client sends ahead is answered in order."""
    parts = urlsplit(control.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in calls.headers.items())
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(f"GET /api/metrics HTTP/1.1\r\n{head}\r\nGET /api/none HTTP/1.1\r\n{head}".encode())
        connection.sendall(b"Connection: close\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404"]


def test_stops_while_an_answer_is_delayed() -> None:
    """A long delay does not hold up the end."""
    before = time.monotonic()
    with sandbox.start() as servers:
        Control(servers.klaviyo.url).fail(delay=60)
        parts = urlsplit(servers.klaviyo.url)
        waiting = socket.create_connection((parts.hostname or "", parts.port or 0))
        waiting.sendall(b"GET /api/metrics HTTP/1.1\r\n\r\n")
        while not Control(servers.klaviyo.url).requests():
            time.sleep(0.01)
    assert select.select([waiting], [], [], 5)[0], "the connection is closed"
    waiting.close()
    assert time.monotonic() - before < 5


def test_program(tmp_path: Path) -> None:
    """`python -m sandbox` prints its addresses in one line, loads documents, and ends with 0 on SIGTERM."""
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "c1.json").write_text(json.dumps(CUSTOMER))
    command = [sys.executable, "-m", "sandbox", "--documents", str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as program:
        assert program.stdout is not None
        urls = json.loads(program.stdout.readline())
        assert Control(urls["commercetools"]).document("customers", "c1") == {**CUSTOMER, "version": 1}
        assert Control(urls["klaviyo"]).state()["profiles"] == []
        program.send_signal(signal.SIGTERM)
        rest, errors = program.communicate(timeout=10)
    assert (program.returncode, rest, errors) == (0, "", "")
