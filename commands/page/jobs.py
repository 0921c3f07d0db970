"""The Tools menu: jobs that load the shop's history into Klaviyo, change it by hand, reconcile it or empty it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from commands.demo_backfill import pass_results, run_small_backfill
from commands.demo_jobs import run_sandbox_job
from commands.outcome_words import counted
from commands.page.outcome_text import with_times_sign
from commands.processes import Sandbox
from sandbox.calls import Calls, klaviyo
from sandbox.catalog import PREFIX

_SUCCESS_BELOW = 300
_TIMED_OUT = "The job timed out. Is a failure switched on?"


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of the menu.

    `run` takes the sandbox and the text of the current sync.toml, and returns a report of one line per result.
    `empties` is True if Klaviyo is emptied first. `restarts` is True if the function must restart afterwards, to forget
    what it remembers of its writes.
    """

    label: str
    description: str
    summary: str
    run: Callable[[Sandbox, str], Sequence[str]]
    empties: bool = False
    restarts: bool = False


def _report_nothing(_sandbox: Sandbox, _rules: str) -> Sequence[str]:
    return []


def _backfill(sandbox: Sandbox, rules: str) -> Sequence[str]:
    try:
        code, report = run_small_backfill(sandbox, rules)
    except subprocess.TimeoutExpired:
        return [_TIMED_OUT]
    events = sandbox.klaviyo.state()["events"]
    flows = sum(not event["backfill"] for event in events)
    total = (
        f"{counted(len(events), 'event')} with their original times (some estimated). Flows started: {flows or 'none'}."
    )
    lines = [with_times_sign(f"{name} {result}") for name, result in pass_results(report, events)]
    return [*lines, total if not code else f"The backfill exited with code {code}."]


def _change_by_hand(sandbox: Sandbox, _rules: str) -> Sequence[str]:
    """Make edits that a user of Klaviyo might: a wrong title, price and first name, and a deleted variant."""
    state = sandbox.klaviyo.state()
    edits: list[str] = []
    with klaviyo(sandbox.klaviyo.url) as call:
        for own_id, item in list(state["items"].items())[:1]:
            body = _resource("catalog-item", own_id, {"title": f"{item['title']} (old)", "price": 1.0})
            edits += _edit(
                call,
                "PATCH",
                f"/api/catalog-items/{_path_id(own_id)}",
                body,
                f"{item['title']}: title and price changed",
            )
            for sku in [sku for sku, variant in state["variants"].items() if variant["item"] == own_id][:1]:
                edits += _edit(
                    call, "DELETE", f"/api/catalog-variants/{_path_id(sku)}", None, f"{sku}: variant deleted"
                )
        for profile in state["profiles"][:1]:
            body = {"data": {"type": "profile", "id": profile["id"], "attributes": {"first_name": "Nobody"}}}
            name = profile.get("email") or profile["id"]
            edits += _edit(
                call, "PATCH", f"/api/profiles/{profile['id']}", body, f"{name}: first name changed to Nobody"
            )
    return edits or ["Klaviyo is empty, so there is nothing to change. Send a message first."]


def _reconcile(sandbox: Sandbox, rules: str) -> Sequence[str]:
    try:
        _, report = run_sandbox_job(sandbox, "reconcile", "--fix", rules=rules)
    except subprocess.TimeoutExpired:
        return [_TIMED_OUT]
    kinds: Mapping[str, Any] = report.get("kinds", {})
    lines = [f"{kind}: {_drift(counts)}; {counts['mended']} fixed" for kind, counts in kinds.items() if _drift(counts)]
    return lines or ["No differences: Klaviyo matches the shop."]


def _drift(counts: Mapping[str, Any]) -> str:
    """`1 differed (title, price), 4 were missing`; empty if nothing differed."""
    fields = ", ".join(counts["differing"])
    return ", ".join(
        text
        for count, text in (
            (
                counts["differing_records"],
                f"{counts['differing_records']} differed" + (f" ({fields})" if fields else ""),
            ),
            (counts["missing"], f"{counts['missing']} {'was' if counts['missing'] == 1 else 'were'} missing"),
        )
        if count
    )


def _edit(call: Calls, method: str, path: str, body: object, description: str) -> list[str]:
    """Send an edit to Klaviyo; its description if Klaviyo accepted it."""
    return [description] if call(method, path, body).status < _SUCCESS_BELOW else []


def _path_id(own_id: str) -> str:
    """Klaviyo's id of a catalog resource, escaped for a URL path."""
    return quote(PREFIX + own_id, safe="")


def _resource(kind: str, own_id: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": {"type": kind, "id": PREFIX + own_id, "attributes": attributes}}


JOBS: Mapping[str, Job] = {
    "backfill": Job(
        "Load the shop's history",
        "Empties Klaviyo, then runs the backfill: customers, orders and refunds.",
        "Klaviyo was emptied, and the backfill loaded the shop's customers, orders and refunds. Old events start no "
        "flows.",
        _backfill,
        empties=True,
        restarts=True,
    ),
    "damage": Job(
        "Change Klaviyo by hand",
        "Changes a title, a price and a first name in Klaviyo and deletes a variant, as a user might by mistake.",
        "Someone edited Klaviyo by hand, so it no longer matches the shop.",
        _change_by_hand,
    ),
    "reconcile": Job(
        "Reconcile",
        "Compares everything in Klaviyo with the shop, and fixes the differences with the function's own handlers.",
        "Klaviyo was compared with the shop, and the function's own handlers fixed the differences.",
        _reconcile,
        restarts=True,
    ),
    "empty": Job(
        "Empty Klaviyo",
        "Deletes everything in Klaviyo. The shop keeps its data.",
        "Klaviyo is empty now. Send a message, or load the shop's history.",
        _report_nothing,
        empties=True,
        restarts=True,
    ),
}
