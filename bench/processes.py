"""The processes of a measurement: the function, the lean stand-ins and the load generator."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from bench.mix import Message
from bench.process_usage import cpu_seconds, process_tree, pss_megabytes
from commands.processes import ROOT, TIMEOUT, free_port, sandbox_environment
from sandbox.control import Control
from sandbox.samples import ENVIRONMENT

THREADS = 32
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
"""The function's interpreter. One without development packages, as in a deployment, starts faster."""
_RUN_TIMEOUT = 1800.0

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Function:
    """The function running under functions-framework; its log is written to a file."""

    process: subprocess.Popen[bytes]
    host: str
    log: Path

    @property
    def pids(self) -> list[int]:
        """The process ids of gunicorn's master and its worker."""
        return process_tree(self.process.pid)

    def outcomes(self) -> list[dict[str, Any]]:
        """The log lines with the outcomes of the messages so far."""
        return [
            line
            for text in self.log.read_text(encoding="utf-8").splitlines()
            if text.startswith("{") and "outcome" in (line := json.loads(text))
        ]


@contextmanager
def running_function(
    environment: Mapping[str, str], threads: int = THREADS, *, wait: bool = True, source: Path = ROOT / "main.py"
) -> Iterator[Function]:
    """Run the function (or another `source`) until the block ends; with `wait`, wait until it listens."""
    port = free_port()
    command = [PYTHON, "-m", "functions_framework", "--target", "sync_push", "--host", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "function.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--source", str(source), "--port", str(port)],
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT, **environment, "THREADS": str(threads)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        function = Function(process, f"127.0.0.1:{port}", log)
        try:
            if wait:
                await_port(function)
            yield function
        finally:
            _terminate(process)


def await_port(function: Function, pause: float = 0.02) -> None:
    """Wait until the function listens. Raises ClickException if it does not start."""
    host, port = function.host.split(":")
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and function.process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(pause)
        else:
            return
    raise click.ClickException("The function did not start:\n" + function.log.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Backends:
    """The running lean stand-ins."""

    process: subprocess.Popen[str]
    commercetools: Control
    klaviyo: Control

    @property
    def environment(self) -> dict[str, str]:
        """The environment that connects the function to them."""
        return sandbox_environment(self.commercetools.url, self.klaviyo.url)

    def counts(self, *, forget: bool = False) -> dict[str, dict[str, Any]]:
        """By backend: calls by operation, and connections. With `forget`, reset the calls."""
        method = "DELETE" if forget else "GET"
        return {
            "commercetools": self.commercetools.call(method, "counts"),
            "klaviyo": self.klaviyo.call(method, "counts"),
        }


@contextmanager
def running_backends(commercetools_ms: float = 0, klaviyo_ms: float = 0) -> Iterator[Backends]:
    """Run the lean stand-ins, with these latencies, until the block ends."""
    delays = ["--commercetools-ms", str(commercetools_ms), "--klaviyo-ms", str(klaviyo_ms)]
    command = [sys.executable, "-m", "bench.backends", *delays]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        urls = json.loads(_read_line(process.stdout))
        yield Backends(process, Control(urls["commercetools"]), Control(urls["klaviyo"]))
    finally:
        _terminate(process)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The result of a load. `cpu` is in seconds by process; `memory` pairs processed messages with PSS in MB."""

    seconds: float
    latencies: Mapping[str, Sequence[float]]
    statuses: Mapping[str, int]
    cpu: Mapping[str, float]
    memory: Sequence[tuple[int, float]]


def load(
    function: Function,
    messages: Sequence[Message],
    concurrency: int,
    backends: subprocess.Popen[str] | None = None,
    progress: Progress = lambda _: None,
) -> LoadResult:
    """Push the messages with this concurrency, and measure in the meantime. Raises ClickException on failure."""
    command = [sys.executable, "-m", "bench.load"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        rows = [message.as_json() for message in messages]
        _send_line(process, json.dumps({"host": function.host, "concurrency": concurrency, "messages": rows}))
        _read_line(process.stdout)
        pids = {"function": function.pids, "load": [process.pid], "backends": [backends.pid] if backends else []}
        before = {name: cpu_seconds(own) for name, own in pids.items()}
        memory = [(0, pss_megabytes(pids["function"]))]
        _send_line(process, "go")
        end = time.monotonic() + _RUN_TIMEOUT
        while "seconds" not in (line := json.loads(_read_line(process.stdout))):
            progress(line["done"])
            memory.append((line["done"], pss_megabytes(pids["function"])))
            if time.monotonic() > end or function.process.poll() is not None:
                raise click.ClickException("The function has stopped answering.")
        cpu = {name: cpu_seconds(own) - before[name] for name, own in pids.items()}
        memory.append((len(messages), pss_megabytes(pids["function"])))
        progress(len(messages))
    finally:
        _terminate(process)
    return LoadResult(line["seconds"], line["latencies"], line["statuses"], cpu, memory)


def _send_line(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin:
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _read_line(stream: IO[str] | None) -> str:
    line = stream.readline() if stream else ""
    if not line:
        raise click.ClickException("A benchmark process ended early; see its output above.")
    return line


def _terminate(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
