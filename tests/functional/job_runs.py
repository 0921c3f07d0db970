"""Run `python -m jobs` against the sandbox as its own process, the way a Cloud Run job starts it."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.processes import ROOT, Sandbox
from sandbox.samples import ENVIRONMENT

TIMEOUT = 60.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobResult:
    """Exit code, log lines and stderr of a finished run. The last line is its report."""

    code: int
    lines: list[Json]
    errors: str

    @property
    def report(self) -> Json:
        """The JSON report, its last line."""
        return self.lines[-1]

    @property
    def stop_reasons(self) -> str:
        """The reasons it gave for stopping, joined by spaces."""
        return " ".join(str(line["why"]) for line in self.lines if "why" in line)


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    """Environment for a backfill of the sandbox's shop, from any working directory."""
    return {**os.environ, **sandbox.environment, **ENVIRONMENT, "PYTHONPATH": str(ROOT), "SYNC_CONFIG": ""}


@dataclass(frozen=True, slots=True)
class Job:
    """A job for the sandbox's shop, with its own folder for state and errors files."""

    sandbox: Sandbox
    folder: Path
    name: str = "backfill"
    as_json: bool = True

    @property
    def state(self) -> Json:
        """The content of the state file."""
        content: Json = json.loads((self.folder / f"{self.name}-state.json").read_text(encoding="utf-8"))
        return content

    def error_lines(self, name: str = "") -> list[Json]:
        """The lines of an errors file; empty if there is none."""
        path = self.folder / (name or f"{self.name}-errors.jsonl")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def run(self, *arguments: str, **environment: str) -> JobResult:
        """Run the job to its end."""
        with self.started(*arguments, **environment) as process:
            return result_of(process)

    @contextmanager
    def started(self, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        """Start the job; kill it after the block if it is still running."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jobs",
                *self.name.split("-"),
                *(["--json"] if self.as_json else []),
                "--share",
                "1",
                *arguments,
            ],
            cwd=self.folder,
            env={**environment_of(self.sandbox), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def result_of(process: "subprocess.Popen[str]") -> JobResult:
    """Wait for a run to end; check that it printed no personal data and no traceback."""
    out, errors = process.communicate(timeout=2 * TIMEOUT)
    assert "@" not in out
    assert "Traceback" not in errors, errors
    return JobResult(process.returncode, [json.loads(line) for line in out.splitlines()], errors)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after TIMEOUT seconds."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"not met within {TIMEOUT:.0f} s"
        time.sleep(0.01)


def answered_calls(sandbox: Sandbox, operation: str) -> list[Json]:
    """Calls of an operation that Klaviyo has processed. With a `delay`, the answer may not have arrived yet."""
    return [call for call in sandbox.klaviyo.requests(kind="api") if call["operation"] == operation and call["status"]]


def operation_counts(sandbox: Sandbox) -> Counter[str]:
    """Number of requests to Klaviyo per operation."""
    return Counter(call["operation"] for call in sandbox.klaviyo.requests(kind="api"))
