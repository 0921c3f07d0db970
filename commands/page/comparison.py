"""What a message would write with another text or other settings: `manage.py preview` run twice, and the difference."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.processes import ROOT, TIMEOUT, Sandbox
from commands.write_diff import Difference, json_differences
from sandbox.samples import ENVIRONMENT

_EMPTY_KLAVIYO = {"KLAVIYO_AUTH_KEY": "", "KLAVIYO_API_URL": "", "ENV_FILE": "", "DEAD_LETTER_TOPIC": ""}
"""Set to nothing, which no file overrides: Klaviyo is taken to be empty, whoever has a key."""


@dataclass(frozen=True, slots=True)
class Side:
    """A message and the settings under which it is looked at."""

    data: bytes
    settings: str


@dataclass(frozen=True, slots=True)
class Part:
    """A request that only one side makes (`sign` + or -), or that both make differently (~)."""

    sign: str
    title: str
    lines: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both outcomes in words, and what differs of the requests."""

    before: str
    after: str
    parts: Sequence[Part]


def compare(sandbox: Sandbox, before: Side, after: Side) -> Comparison:
    """What each side would write into an empty Klaviyo, and how that differs. Nothing is written."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda side: _previewed(sandbox, side), (before, after))
    return Comparison(_outcome(first), _outcome(second), list(_parts(first, second)))


def _previewed(sandbox: Sandbox, side: Side) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        settings = Path(folder, "sync.toml")
        settings.write_text(side.settings, encoding="utf-8")
        environment = {**sandbox.environment, **ENVIRONMENT, **_EMPTY_KLAVIYO, "SYNC_CONFIG": str(settings)}
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "preview", "--json", "-"],
            input=side.data,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    try:
        (report,) = json.loads(done.stdout)
    except ValueError:
        return {"outcome": "not previewed", "reason": None, "requests": []}
    return dict(report)


def _outcome(report: Mapping[str, Any]) -> str:
    reason = str(report["reason"] or "").replace("_", " ")
    return f"{report['outcome']}: {reason}" if reason else str(report["outcome"])


def _parts(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Part]:
    before, after = (dict(_by_key(report["requests"])) for report in (first, second))
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        lines = json_differences(_attributes(old), _attributes(new)) if old and new else []
        if lines or not (old and new):
            yield Part("~" if old and new else "-" if old else "+", _title(old or new or {}), lines)


def _by_key(requests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    """Each request by what it is about, which is the same on both sides whatever it says."""
    seen: Counter[str] = Counter()
    for request in requests:
        attributes = _attributes(request)
        about = attributes.get("unique_id") or attributes.get("external_id") or ""
        key = f"{request['method']} {request['path']} {about}"
        seen[key] += 1
        yield (key, seen[key]), request


def _title(request: Mapping[str, Any]) -> str:
    attributes = _attributes(request)
    match attributes:
        case {"metric": {"data": {"attributes": {"name": name}}}}:
            return f"event {name}"
    return f"{request['method']} {request['path']} {attributes.get('external_id') or ''}".rstrip()


def _attributes(request: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = (request["body"] or {}).get("data", {}).get("attributes", {})
    return attributes
