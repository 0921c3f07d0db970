"""What can be done to the account beside messages: load the shop's past, damage it and mend it, empty it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from commands.demo_backfill import backfilled, in_lines
from commands.demo_jobs import ran_job
from commands.outcome_words import counted
from commands.page.outcome_text import times
from commands.processes import Sandbox
from sandbox.calls import Calls, klaviyo
from sandbox.catalog import PREFIX

_OK = 300
_TOO_LONG = "It did not end in time. Is a failure switched on?"


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of the account's menu.

    `run` takes the sandbox and the sync.toml in force, and says what it did, a line each. `restarts`: the function has
    to forget what it wrote.
    """

    label: str
    shows: str
    told: str
    run: Callable[[Sandbox, str], Sequence[str]]
    restarts: bool = False


def _empty(sandbox: Sandbox, _rules: str) -> Sequence[str]:
    sandbox.klaviyo.reset()
    return []


def _past(sandbox: Sandbox, rules: str) -> Sequence[str]:
    sandbox.klaviyo.reset()
    try:
        code, report = backfilled(sandbox, rules)
    except subprocess.TimeoutExpired:
        return [_TOO_LONG]
    events = sandbox.klaviyo.state()["events"]
    flows = sum(not event["backfill"] for event in events)
    told = f"{counted(len(events), 'event')} with historical times (some estimated); {flows or 'none'} starts a flow."
    lines = [times(" ".join(line.split())) for line in in_lines(report, events)]
    return [*lines, told if not code else f"The backfill ended with {code}."]


def _damage(sandbox: Sandbox, _rules: str) -> Sequence[str]:
    """What somebody may do in Klaviyo's own pages: a price, a name and an address are wrong, a variant is gone."""
    state = sandbox.klaviyo.state()
    done: list[str] = []
    with klaviyo(sandbox.klaviyo.url) as call:
        for own_id, item in list(state["items"].items())[:1]:
            body = _resource("catalog-item", own_id, {"title": f"{item['title']} (old)", "price": 1.0})
            done += _did(call, "PATCH", f"/api/catalog-items/{_id(own_id)}", body, f"{item['title']}: title and price")
            for sku in [sku for sku, one in state["variants"].items() if one["item"] == own_id][:1]:
                done += _did(call, "DELETE", f"/api/catalog-variants/{_id(sku)}", None, f"{sku}: variant deleted")
        for profile in state["profiles"][:1]:
            body = {"data": {"type": "profile", "id": profile["id"], "attributes": {"first_name": "Nobody"}}}
            name = profile.get("email") or profile["id"]
            done += _did(call, "PATCH", f"/api/profiles/{profile['id']}", body, f"{name}: first name Nobody")
    return done or ["There is nothing to damage yet: send something first."]


def _reconcile(sandbox: Sandbox, rules: str) -> Sequence[str]:
    try:
        _, report = ran_job(sandbox, "reconcile", "--fix", rules=rules)
    except subprocess.TimeoutExpired:
        return [_TOO_LONG]
    kinds: Mapping[str, Any] = report.get("kinds", {})
    lines = [f"{kind}: {_found(one)}; {one['mended']} mended" for kind, one in kinds.items() if _found(one)]
    return lines or ["Nothing differs: Klaviyo is true to the shop."]


def _found(one: Mapping[str, Any]) -> str:
    """`1 differed (title, price), 4 were missing` of what was compared; empty when nothing did."""
    fields = ", ".join(one["differing"])
    return ", ".join(
        told
        for count, told in (
            (one["differing_records"], f"{one['differing_records']} differed" + (f" ({fields})" if fields else "")),
            (one["missing"], f"{one['missing']} {'was' if one['missing'] == 1 else 'were'} missing"),
        )
        if count
    )


def _did(call: Calls, method: str, path: str, body: object, told: str) -> list[str]:
    return [told] if call(method, path, body).status < _OK else []


def _id(own_id: str) -> str:
    """As a path names it."""
    return quote(PREFIX + own_id, safe="")


def _resource(kind: str, own_id: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": {"type": kind, "id": PREFIX + own_id, "attributes": attributes}}


JOBS: Mapping[str, Job] = {
    "past": Job(
        "Load the shop's past",
        "Empties Klaviyo, then runs the backfill: customers, orders and refunds.",
        "Klaviyo was emptied, and the backfill loaded what happened before. Old events start no flow.",
        _past,
        restarts=True,
    ),
    "damage": Job(
        "Damage something",
        "Changes a price, a title and a name in Klaviyo, and deletes a variant, as somebody might by hand.",
        "Klaviyo is not true to the shop any more: somebody changed it by hand.",
        _damage,
    ),
    "reconcile": Job(
        "Reconcile",
        "Compares all that Klaviyo holds with the shop, and mends what differs by the same handlers.",
        "Klaviyo was compared with the shop, and what differed was mended by the same handlers.",
        _reconcile,
        restarts=True,
    ),
    "empty": Job(
        "Empty the account",
        "Klaviyo forgets everything; the shop does not.",
        "Klaviyo holds nothing now. Send something, or load the shop's past.",
        _empty,
        restarts=True,
    ),
}
