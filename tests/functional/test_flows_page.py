"""docs/flows.md names exactly the properties that the samples' events have."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from commands.processes import ROOT, Sandbox
from sandbox.samples import samples
from tests.functional.conftest import ACKNOWLEDGED, Serve
from tests.functional.test_samples import load_documents

SYNC_TOML = """
[metrics]
paid_order = "Paid Order"
[order]
transitions = { "follow-up" = "workflow states" }
[shipment]
tracking_urls = { DHL = "https://carrier.example/{{trackingId}}" }
"""
"""Switches on every metric of the page. The metric for workflow states is named like its row."""


def _rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is this, without the header rows."""
    text = (ROOT / "docs/flows.md").read_text(encoding="utf-8")
    table = text.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def _property_names(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", cell))


def test_the_page_names_exactly_the_properties_of_events(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """Each property in a table is in an event of that metric or in an entry of that list, and vice versa.

    For other metrics the page leaves out the properties that *Placed Order* has too.
    """
    function = serve(SYNC_CONFIG=settings_file(SYNC_TOML))
    load_documents(sandbox)
    for sample in samples():
        sample.prepare(sandbox.commercetools)
        assert function.deliver(sample.data).status == ACKNOWLEDGED
    found: dict[str, set[str]] = defaultdict(set)
    for event in sandbox.klaviyo.state()["events"]:
        for name, value in event["properties"].items():
            found[event["metric"]].add(name)
            entries: list[Any] = value if isinstance(value, list) else []
            for entry in entries:
                found[name].update(_names(entry))
    not_repeated = {"metric": found["Placed Order"], "list": set[str]()}
    differences = {}
    for heading, omitted in not_repeated.items():
        for row in _rows(heading):
            names = _property_names(row[1].removeprefix("those of `Items`"))
            for subject in re.findall(r"[*`]([\w ]+)[*`]", row[0]) or [row[0]]:
                differences[subject] = (
                    names - found[subject],
                    _without_order_fields(found[subject]) - omitted - names,
                )
    assert len(differences) == 11
    assert {subject: names for subject, names in differences.items() if any(names)} == {}


def _without_order_fields(names: set[str]) -> set[str]:
    """Names without the order's own fields. They have commercetools' lower-case names, and mapping.md lists them."""
    return {name for name in names if name[0].isupper()}


def _names(entry: Any) -> set[str]:
    """Names in an entry of a list, and in the entries of its own lists."""
    if not isinstance(entry, dict):
        return set()
    inner = (_names(one) for value in entry.values() if isinstance(value, list) for one in value)
    return set(entry).union(*inner)
