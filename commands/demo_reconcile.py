"""A part of the demo: change Klaviyo by hand, and let reconcile find and fix the differences."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from commands.demo_jobs import run_sandbox_job
from commands.processes import Sandbox
from sandbox.calls import klaviyo
from sandbox.catalog import PREFIX

_NO_CONFIRMATION_DELAY = "[reconcile]\nsecond_look = 0\n"
"""No messages are in flight here, so there is nothing to wait for before a difference is confirmed."""


def show_reconcile(sandbox: Sandbox, console: Console) -> list[str]:
    """Change Klaviyo's catalog by hand, reconcile it, and print what was found. Returns problems, a line each."""
    console.print("\n[bold]And if somebody changes Klaviyo by hand[/]")
    console.print(
        "A colleague deletes one product from Klaviyo's catalog and renames another. No message reports that."
        " `manage.py reconcile` compares Klaviyo with the shop, and `--fix` fixes what differs, with the same handlers:"
    )
    before = sandbox.klaviyo.state()
    deleted, renamed = _change_by_hand(sandbox, before)
    _, found = run_sandbox_job(sandbox, "reconcile", rules=_NO_CONFIRMATION_DELAY)
    code, fixed = run_sandbox_job(sandbox, "reconcile", "--fix", rules=_NO_CONFIRMATION_DELAY)
    for line in _kind_lines(found, "found"):
        console.print(Text.assemble(("! ", "yellow"), line))
    for line in _kind_lines(fixed, "fixed"):
        console.print(Text.assemble(("✓ ", "green"), line))
    console.print(f"The other {_unchanged(found)} records matched the shop.", style="dim")
    problems = [f"the comparison ended with {code}"] if code else []
    ids = found.get("kinds", {}).get("items", {}).get("ids", {})
    if ids != {"missing": [deleted], "differing": [renamed]}:
        problems.append(f"the comparison found {ids} instead of {deleted} and {renamed}")
    if _visible_fields(sandbox.klaviyo.state()) != _visible_fields(before):
        problems.append("the comparison did not fix what it found")
    return problems


def _change_by_hand(sandbox: Sandbox, state: dict[str, Any]) -> tuple[str, str]:
    """Delete one item and rename another. Returns their ids."""
    deleted, renamed = sorted(state["items"])[:2]
    attributes = {"title": "Sale!!!"}
    data = {"type": "catalog-item", "id": PREFIX + renamed, "attributes": attributes}
    with klaviyo(sandbox.klaviyo.url, "a-colleague") as call:
        call("DELETE", f"/api/catalog-items/{quote(PREFIX + deleted, safe='')}")
        call("PATCH", f"/api/catalog-items/{quote(PREFIX + renamed, safe='')}", {"data": data})
    return deleted, renamed


def _kind_lines(report: dict[str, Any], what: str) -> Iterator[str]:
    """A line per kind with differences: `items        1 missing, 1 differing (title)`, or `items        2 fixed`."""
    for kind, found in report.get("kinds", {}).items():
        counts = [f"{found['missing']} missing"] if found["missing"] else []
        if found["differing"]:
            counts.append(f"{found['differing_records']} differing ({', '.join(found['differing'])})")
        counts = [f"{found['mended']} fixed"] if what == "fixed" and found["mended"] else counts
        if counts:
            yield f"{kind:<12} {', '.join(counts)}"


def _unchanged(report: dict[str, Any]) -> int:
    return sum(found["same"] for found in report.get("kinds", {}).values())


def _visible_fields(state: dict[str, Any]) -> Any:
    """The fields of items and variants that a shopper sees."""
    names = ("title", "price", "inventory_quantity", "item")
    return [
        {own: {name: one.get(name) for name in names} for own, one in state[kind].items()}
        for kind in ("items", "variants")
    ]
