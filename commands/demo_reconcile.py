"""An act of the demo: somebody changes Klaviyo behind the function's back, and a comparison finds and mends it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from commands.demo_jobs import run_sandbox_job
from commands.processes import Sandbox
from sandbox.calls import klaviyo
from sandbox.catalog import PREFIX

_AT_ONCE = "[reconcile]\nsecond_look = 0\n"
"""Nothing else is under way here that a second look would have to wait for."""


def show_drift(sandbox: Sandbox, console: Console) -> list[str]:
    """Damage Klaviyo, compare, mend, and print what was found; what is wrong with that, a line each."""
    console.print("\n[bold]And if somebody changes Klaviyo[/]")
    console.print(
        "A colleague deletes one product from Klaviyo's catalog and renames another: no message will ever tell."
        " `manage.py reconcile` compares both sides, and `--fix` has the same handlers mend what differs:"
    )
    before = sandbox.klaviyo.state()
    deleted, renamed = _damage(sandbox, before)
    _, found = run_sandbox_job(sandbox, "reconcile", rules=_AT_ONCE)
    code, mended = run_sandbox_job(sandbox, "reconcile", "--fix", rules=_AT_ONCE)
    for line in _told(found, "found"):
        console.print(Text.assemble(("! ", "yellow"), line))
    for line in _told(mended, "mended"):
        console.print(Text.assemble(("✓ ", "green"), line))
    console.print(f"Everything else, {_same(found)} records, was right after all these messages.", style="dim")
    problems = [f"the comparison ended with {code}"] if code else []
    ids = found.get("kinds", {}).get("items", {}).get("ids", {})
    if ids != {"missing": [deleted], "differing": [renamed]}:
        problems.append(f"the comparison found {ids}, not {deleted} and {renamed}")
    if _shown(sandbox.klaviyo.state()) != _shown(before):
        problems.append("the comparison did not mend what it found")
    return problems


def _damage(sandbox: Sandbox, state: dict[str, Any]) -> tuple[str, str]:
    """Delete one item and rename another; their ids."""
    deleted, renamed = sorted(state["items"])[:2]
    attributes = {"title": "Sale!!!"}
    data = {"type": "catalog-item", "id": PREFIX + renamed, "attributes": attributes}
    with klaviyo(sandbox.klaviyo.url, "a-colleague") as call:
        call("DELETE", f"/api/catalog-items/{quote(PREFIX + deleted, safe='')}")
        call("PATCH", f"/api/catalog-items/{quote(PREFIX + renamed, safe='')}", {"data": data})
    return deleted, renamed


def _told(report: dict[str, Any], what: str) -> Iterator[str]:
    """`items        1 missing, 1 differs (title)`, or what was mended of them."""
    for kind, found in report.get("kinds", {}).items():
        counts = [f"{found['missing']} missing"] if found["missing"] else []
        if found["differing"]:
            counts.append(f"{found['differing_records']} differing ({', '.join(found['differing'])})")
        counts = [f"{found['mended']} mended"] if what == "mended" and found["mended"] else counts
        if counts:
            yield f"{kind:<12} {', '.join(counts)}"


def _same(report: dict[str, Any]) -> int:
    return sum(found["same"] for found in report.get("kinds", {}).values())


def _shown(state: dict[str, Any]) -> Any:
    """Titles, prices and stock: what a shopper sees."""
    names = ("title", "price", "inventory_quantity", "item")
    return [
        {own: {name: one.get(name) for name in names} for own, one in state[kind].items()}
        for kind in ("items", "variants")
    ]
