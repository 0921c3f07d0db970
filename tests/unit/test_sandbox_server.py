"""The servers: control API, request record, injected failures, and the program."""

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


class TestRecord:
    """The request record."""

    def test_each_request_is_recorded(self, control: Control, calls: Calls) -> None:
        """An entry has method, decoded path, query, body, status and operation, and the answer if it was an error."""
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
        """Token requests have their own kind; a request without a token is recorded as unauthorized."""
        with commercetools(shop.url) as calls:
            calls("GET", "/shop/orders/o1")
            calls("GET", "/shop/orders", headers={"Authorization": None})
        assert [(entry["kind"], entry["operation"], entry["authorized"]) for entry in shop.requests()] == [
            ("token", "token", True),
            ("api", "orders.get", True),
            ("api", "orders.query", False),
        ]
        assert [entry["operation"] for entry in shop.requests(kind="token")] == ["token"]

    def test_the_record_can_be_continued_and_cleared(self, control: Control, calls: Calls) -> None:
        """`since` returns only newer requests; numbering continues after the record is cleared."""
        calls("GET", "/api/metrics")
        calls("GET", "/api/accounts")
        assert [entry["operation"] for entry in control.requests(since=1)] == ["get_accounts"]
        control.forget_requests()
        assert control.requests() == []
        calls("GET", "/api/metrics")
        assert [entry["number"] for entry in control.requests()] == [3]


class TestFailures:
    """Injected failures."""

    def test_a_failure_has_the_backends_own_error(self, control: Control, calls: Calls, shop: Control) -> None:
        """An injected status comes with the backend's own error body and the given headers."""
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
    def test_a_failure_may_have_another_body(
        self, control: Control, calls: Calls, body: object, expected: object
    ) -> None:
        """The body can be empty, any JSON, or a proxy's HTML."""
        control.call("POST", "failures", {"path": "", "status": 502, "body": body})
        answer = calls("GET", "/api/metrics")
        assert answer.status == 502
        assert (answer.body[:6] if isinstance(answer.body, bytes) else answer.body) == expected

    def test_a_rule_selects_the_requests_that_fail(self, control: Control, calls: Calls) -> None:
        """`skip` requests pass, then `count` fail; other methods and paths are not affected."""
        control.fail("/api/metrics$", method="GET", status=500, skip=1, count=2)
        assert [calls("GET", "/api/metrics").status for _ in range(4)] == [200, 500, 500, 200]
        assert calls("GET", "/api/accounts").status == 200

    def test_first_rule_that_matches_wins(self, control: Control, calls: Calls) -> None:
        """Rules apply in order; when one is used up, the next one applies."""
        control.fail("metrics", status=500, count=1)
        control.fail("metrics", status=503)
        assert [calls("GET", "/api/metrics").status for _ in range(3)] == [500, 503, 503]

    def test_rate_is_repeatable(self, control: Control, calls: Calls) -> None:
        """With the same seed the same requests fail."""
        control.fail(status=500, rate=0.5)
        runs = []
        for _ in range(2):
            control.seed(7)
            runs.append([calls("GET", "/api/metrics").status for _ in range(12)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}

    def test_apply_lets_the_write_happen(self, control: Control, calls: Calls) -> None:
        """With `apply` only the answer is lost; without it the request never takes effect."""
        control.fail(status=500, count=1)
        assert calls("POST", "/api/catalog-categories", CATEGORY).status == 500
        assert control.state()["categories"] == {}
        control.fail(status=500, count=1, apply=True)
        assert calls("POST", "/api/catalog-categories", CATEGORY).status == 500
        assert control.state()["categories"] == {"c1": "Bags"}

    def test_a_connection_can_break_while_sending(self, control: Control, calls: Calls) -> None:
        """The connection breaks before any answer and nothing takes effect; the record has status 0."""
        control.fail(reset="sending", count=1)
        with pytest.raises(ConnectionError):
            calls("POST", "/api/catalog-categories", {"data": "x" * 1_000_000})
        assert calls("GET", "/api/metrics").status == 200
        assert [entry["status"] for entry in control.requests()] == [0, 200]

    def test_a_connection_can_break_while_answering(self, control: Control, calls: Calls) -> None:
        """The head and part of the body arrive, then the connection breaks; with `apply` the write takes effect."""
        control.fail(reset="answering", apply=True)
        connection = http.client.HTTPConnection(urlsplit(control.url).netloc)
        connection.request("POST", "/api/catalog-categories", json.dumps(CATEGORY), calls.headers)
        response = connection.getresponse()
        assert response.status == 201
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()
        connection.close()
        assert control.state()["categories"] == {"c1": "Bags"}

    def test_answers_can_be_slow(self, control: Control, calls: Calls) -> None:
        """Delayed and trickled answers are the backend's own."""
        control.fail("metrics", delay=0.1)
        control.fail("accounts", trickle=0.0001)
        before = time.monotonic()
        assert calls("GET", "/api/metrics").status == 200
        assert time.monotonic() - before >= 0.1
        assert calls("GET", "/api/accounts").body["data"][0]["type"] == "account"

    def test_unknown_fields_are_refused(self, control: Control) -> None:
        """A misspelt field in a rule is an error, and so is an unknown control call."""
        with pytest.raises(ControlError, match="unknown fields: sttus"):
            control.call("POST", "failures", {"sttus": 500})
        with pytest.raises(ControlError, match="404"):
            control.call("POST", "nothing", {})


def test_many_connections_are_served_at_a_time(control: Control) -> None:
    """64 connections at the same time are all answered, and all writes arrive."""
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with klaviyo(control.url) as calls:
                for number in range(5):
                    name = f"{worker}-{number}"
                    body = {"data": {"type": "catalog-category", "attributes": {"external_id": name, "name": name}}}
                    assert calls("POST", "/api/catalog-categories", body).status == 201
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(control.state()["categories"]) == 320


def test_several_requests_may_come_in_one_packet(control: Control, calls: Calls) -> None:
    """Pipelined requests are answered in order."""
    parts = urlsplit(control.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in calls.headers.items())
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(f"GET /api/metrics HTTP/1.1\r\n{head}\r\nGET /api/none HTTP/1.1\r\n{head}".encode())
        connection.sendall(b"Connection: close\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404"]


def test_the_servers_stop_during_a_delay() -> None:
    """A delayed answer does not hold up the shutdown."""
    before = time.monotonic()
    with sandbox.start() as servers:
        Control(servers.klaviyo.url).fail(delay=60)
        parts = urlsplit(servers.klaviyo.url)
        waiting = socket.create_connection((parts.hostname or "", parts.port or 0))
        waiting.sendall(b"GET /api/metrics HTTP/1.1\r\n\r\n")
        while not Control(servers.klaviyo.url).requests():
            time.sleep(0.01)
    assert select.select([waiting], [], [], 30)[0], "the connection is still open"
    waiting.close()
    assert time.monotonic() - before < 30


def test_the_program_runs_both_servers(tmp_path: Path) -> None:
    """`python -m sandbox` prints its URLs on one line, loads documents, and exits with 0 on SIGTERM."""
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
        rest, errors = program.communicate(timeout=60)
    assert (program.returncode, rest, errors) == (0, "", "")
