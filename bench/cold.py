"""Cold start: time from starting the process to the first answered push, and import time by module."""

import http.client
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

import click

from bench.mix import Message, mix_messages, push_body
from bench.processes import PYTHON, Backends, Function, Progress, await_port, running_backends, running_function
from commands.processes import ROOT, TIMEOUT
from sandbox.samples import ENVIRONMENT

FIRST_MESSAGES = {"customer": "customer updated", "order": "order created", "product": "product published"}
"""The kinds of first message, by their name in the tables."""

_POLL_SECONDS = 0.004
_TOP_MODULES = 15
_MIN_MS = 3
_SDK_GROUPS = {"customer": "Profiles", "order": "Events", "product": "Catalogs"}
"""The group of Klaviyo's SDK that the first message needs."""


def cold_starts(repeat: int, progress: Progress) -> dict[str, Any]:
    """Seconds to the first answer, by kind of the first message: median, minimum and maximum."""
    result: dict[str, Any] = {}
    with running_backends() as backends:
        for name, kind in FIRST_MESSAGES.items():
            message = next(message for message in mix_messages(100) if message.kind == kind)
            seconds = []
            for _ in range(repeat):
                seconds.append(_cold_start(backends, message))
                progress(1)
            result[name] = {
                "median": round(median(seconds), 3),
                "least": round(min(seconds), 3),
                "most": round(max(seconds), 3),
            }
    return result


def _cold_start(backends: Backends, message: Message) -> float:
    body = push_body(message, "first")
    started = time.perf_counter()
    with running_function(backends.environment, wait=False) as function:
        await_port(function, _POLL_SECONDS)
        _push(function, body)
        return time.perf_counter() - started


def _push(function: Function, body: bytes) -> None:
    connection = http.client.HTTPConnection(function.host, timeout=TIMEOUT)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.NO_CONTENT:
        raise click.ClickException(f"The first message was answered {status}.")


def import_times() -> dict[str, Any]:
    """Import time for the first message of each kind, in milliseconds: total, by package, and the slowest modules.

    Counts each module's own time, without the modules that it imports. `-X importtime` itself slows imports down.
    """
    with running_backends() as backends:
        return {name: _import_time(backends, group) for name, group in _SDK_GROUPS.items()}


def _import_time(backends: Backends, group: str) -> dict[str, Any]:
    code = "import functions_framework._cli, functions_framework._http.gunicorn, main"
    code += f"; main.SERVICES.commercetools.prepare(); main.SERVICES.klaviyo.prepare({group!r})"
    done = subprocess.run(
        [PYTHON, "-X", "importtime", "-c", code],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, **backends.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = parse_import_times(done.stderr)
    packages: defaultdict[str, float] = defaultdict(float)
    for name, milliseconds in modules.items():
        packages[name.split(".")[0]] += milliseconds
    return {
        "total_ms": round(sum(modules.values()), 1),
        "modules": len(modules),
        "by_package_ms": {name: round(own, 1) for name, own in _slowest_first(packages) if own >= _MIN_MS},
        "top_modules_ms": {name: round(own, 1) for name, own in _slowest_first(modules)[:_TOP_MODULES]},
    }


def parse_import_times(report: str) -> dict[str, float]:
    """Parse the output of `-X importtime`: each module's own milliseconds."""
    modules: dict[str, float] = {}
    for line in report.splitlines():
        if line.startswith("import time:") and "|" in line:
            own, _, name = line.removeprefix("import time:").split("|")
            if own.strip().isdigit():
                modules[name.strip()] = int(own) / 1000
    return modules


def _slowest_first(times: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(times.items(), key=lambda pair: -pair[1])
