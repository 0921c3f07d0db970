"""docs/flows.md: the properties that it names are those of the samples' events, no fewer and no more."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from commands.processes import ROOT, Sandbox
from sandbox.samples import samples
from tests.functional.conftest import ACKNOWLEDGED, Serve
from tests.functional.test_samples import load_documents

SYNC = """
[metrics]
paid_order = "Paid Order"
[order]
transitions = { "follow-up" = "workflow states" }
[shipment]
tracking_urls = { DHL = "https://carrier.example/{{trackingId}}" }
"""
"""With every metric of the page on; that of workflow states has the name of its row."""


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table whose first heading this is, below its head."""
    text = (ROOT / "docs/flows.md").read_text(encoding="utf-8")
    table = text.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def _named(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", cell))


def test_the_properties_of_the_page_are_those_of_events(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """Each that a table names is in an event of that metric, or in a list's entry; and each that is there is named.

    Of a metric but for what *Placed Order* has as well, which the page does not repeat.
    """
    function = serve(SYNC_CONFIG=settings_file(SYNC))
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
    wrong, shared = {}, {"metric": found["Placed Order"], "list": set[str]()}
    for heading, others in shared.items():
        for row in _rows(heading):
            names = _named(row[1].removeprefix("those of `Items`"))
            for subject in re.findall(r"[*`]([\w ]+)[*`]", row[0]) or [row[0]]:
                wrong[subject] = (names - found[subject], _ours(found[subject]) - others - names)
    assert len(wrong) == 11
    assert {subject: names for subject, names in wrong.items() if any(names)} == {}


def _ours(names: set[str]) -> set[str]:
    """Without the order's fields under commercetools' own names, in lower case: the page leaves them to mapping.md."""
    return {name for name in names if name[0].isupper()}


def _names(entry: Any) -> set[str]:
    """Names in an entry of a list, and in the entries of its own lists."""
    if not isinstance(entry, dict):
        return set()
    inner = (_names(one) for value in entry.values() if isinstance(value, list) for one in value)
    return set(entry).union(*inner)
