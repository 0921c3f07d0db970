"""Running `python -m jobs` against the sandbox, as the program that a Cloud Run job starts."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.processes import ROOT, Sandbox
from sandbox.samples import ENVIRONMENT

PATIENCE = 60.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a run ended, and what it said: the lines of its log, the last of them its report."""

    code: int
    lines: list[Json]
    errors: str

    @property
    def report(self) -> Json:
        """The report of `--json`."""
        return self.lines[-1]

    @property
    def stop_reasons(self) -> str:
        """Why it was stopped."""
        return " ".join(str(line["why"]) for line in self.lines if "why" in line)


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a backfill of the sandbox's shop, in whatever folder it runs."""
    return {**os.environ, **sandbox.environment, **ENVIRONMENT, "PYTHONPATH": str(ROOT), "SYNC_CONFIG": ""}


@dataclass(frozen=True, slots=True)
class Job:
    """A job of one shop, in a folder of its own."""

    sandbox: Sandbox
    folder: Path
    name: str = "backfill"
    as_json: bool = True

    @property
    def state(self) -> Json:
        """What is in the state file."""
        found: Json = json.loads((self.folder / f"{self.name}-state.json").read_text(encoding="utf-8"))
        return found

    def error_lines(self, name: str = "") -> list[Json]:
        """The lines of an errors file."""
        path = self.folder / (name or f"{self.name}-errors.jsonl")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def run(self, *arguments: str, **environment: str) -> JobResult:
        """Run it to its end."""
        with self.started(*arguments, **environment) as process:
            return result_of(process)

    @contextmanager
    def started(self, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        """A run under way; killed at the end, if it has not ended."""
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
    """Wait for a run to end. Nothing that it says is personal."""
    out, errors = process.communicate(timeout=2 * PATIENCE)
    assert "@" not in out
    assert "Traceback" not in errors, errors
    return JobResult(process.returncode, [json.loads(line) for line in out.splitlines()], errors)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.01)


def answered_calls(sandbox: Sandbox, operation: str) -> list[Json]:
    """The calls of an operation that Klaviyo has answered, or refused."""
    return [call for call in sandbox.klaviyo.requests(kind="api") if call["operation"] == operation and call["status"]]


def operation_counts(sandbox: Sandbox) -> Counter[str]:
    """How often each of Klaviyo's operations was asked for."""
    return Counter(call["operation"] for call in sandbox.klaviyo.requests(kind="api"))


_OF_THE_ACCOUNT = {"id", "created", "updated", "profile_id", "last_event_date"}


def klaviyo_records(sandbox: Sandbox) -> dict[str, Any]:
    """What Klaviyo holds, without what it gives out itself; events by metric, id and owner."""
    state = sandbox.klaviyo.state()
    owners = {one["id"]: one.get("external_id") or one.get("email") for one in state["profiles"]}
    return {
        "categories": state["categories"],
        "variants": _without(state["variants"], "updated", "created"),
        "items": {own: _sorted(one) for own, one in _without(state["items"], "updated", "created").items()},
        "profiles": {owners[one["id"]]: _left(one) for one in state["profiles"]},
        "events": {(one["metric"], one["unique_id"], owners[one["profile_id"]]): _left(one) for one in state["events"]},
        "count": len(state["events"]),
    }


def _left(one: Mapping[str, Any]) -> Json:
    return {name: value for name, value in one.items() if name not in _OF_THE_ACCOUNT}


def _sorted(item: Mapping[str, Any]) -> Json:
    return {**item, "categories": sorted(item["categories"])}


def _without(kind: Mapping[str, Any], *names: str) -> Json:
    """Records without these fields, and without metadata that are null: they are as good as none."""
    found = {own: {name: value for name, value in one.items() if name not in names} for own, one in kind.items()}
    for one in found.values():
        metadata = one.get("custom_metadata") or {}
        one["custom_metadata"] = {name: value for name, value in metadata.items() if value is not None}
    return found
