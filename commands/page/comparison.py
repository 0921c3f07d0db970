"""Compare what a message would write after an edit of its text or of the settings: two runs of `manage.py preview`."""

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
from commands.reason_words import reason_text
from commands.write_diff import Difference, json_differences
from sandbox.samples import ENVIRONMENT

_EMPTY_KLAVIYO = {"KLAVIYO_AUTH_KEY": "", "KLAVIYO_API_URL": "", "ENV_FILE": "", "DEAD_LETTER_TOPIC": ""}
"""Without a key, `preview` assumes an empty Klaviyo. Set to empty texts, so that no env file can fill in a real key."""


@dataclass(frozen=True, slots=True)
class PreviewInput:
    """A message's data, and the text of the sync.toml to preview it with."""

    data: bytes
    settings: str


@dataclass(frozen=True, slots=True)
class ChangedRequest:
    """A request that only one preview makes (`sign` is + or -), or that differs between both (~)."""

    sign: str
    title: str
    lines: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both outcomes in words, and the requests that differ."""

    before: str
    after: str
    requests: Sequence[ChangedRequest]


def compare(sandbox: Sandbox, before: PreviewInput, after: PreviewInput) -> Comparison:
    """Compare what two inputs would write to an empty Klaviyo. Writes nothing."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda preview: _preview(sandbox, preview), (before, after))
    return Comparison(_outcome(first), _outcome(second), list(_changed_requests(first, second)))


def _preview(sandbox: Sandbox, preview: PreviewInput) -> Mapping[str, Any]:
    """The JSON report of `manage.py preview`."""
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        settings = Path(folder, "sync.toml")
        settings.write_text(preview.settings, encoding="utf-8")
        environment = {**sandbox.environment, **ENVIRONMENT, **_EMPTY_KLAVIYO, "SYNC_CONFIG": str(settings)}
        process = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "preview", "--json", "-"],
            input=preview.data,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    try:
        (report,) = json.loads(process.stdout)
    except ValueError:
        return {"outcome": "not previewed", "reason": None, "requests": []}
    return dict(report)


def _outcome(report: Mapping[str, Any]) -> str:
    outcome, reason = str(report["outcome"]), report["reason"]
    return f"{outcome}: {reason_text(reason)}" if reason else outcome


def _changed_requests(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[ChangedRequest]:
    before, after = (dict(_by_target(report["requests"])) for report in (first, second))
    for target in {**before, **after}:
        old, new = before.get(target), after.get(target)
        lines = json_differences(_attributes(old), _attributes(new)) if old and new else []
        if lines or not (old and new):
            yield ChangedRequest("~" if old and new else "-" if old else "+", _title(old or new or {}), lines)


def _by_target(requests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    """Each request with a key to find its counterpart in the other preview: method, path, id and a counter."""
    seen: Counter[str] = Counter()
    for request in requests:
        attributes = _attributes(request)
        own_id = attributes.get("unique_id") or attributes.get("external_id") or ""
        target = f"{request['method']} {request['path']} {own_id}"
        seen[target] += 1
        yield (target, seen[target]), request


def _title(request: Mapping[str, Any]) -> str:
    attributes = _attributes(request)
    match attributes:
        case {"metric": {"data": {"attributes": {"name": name}}}}:
            return f"event {name}"
    return f"{request['method']} {request['path']} {attributes.get('external_id') or ''}".rstrip()


def _attributes(request: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = (request["body"] or {}).get("data", {}).get("attributes", {})
    return attributes
