"""The findings of a comparison: the share of records that drifted."""

import pytest

from handlers.comparison import ABSENT, Comparison, Difference, Problem
from jobs.drift.findings import Findings, Report


@pytest.mark.parametrize(
    ("total", "missing", "extra", "drift"), [(4, 1, 0, 0.25), (0, 0, 0, 0.0), (0, 7, 0, 1.0), (2, 0, 5, 1.0)]
)
def test_drift_is_a_share(total: int, missing: int, extra: int, drift: float) -> None:
    """It never exceeds 1, even if the shop's records were not counted or extra ones outnumber them."""
    report = Report()
    found = report.of("variants")
    found.total = total
    found.missing = {str(number) for number in range(missing)}
    found.extra = {f"x{number}" for number in range(extra)}
    assert report.drift == drift


@pytest.mark.parametrize(
    ("found", "same", "unknown"),
    [
        (Findings(total=5), 5, 0),
        (Findings(total=5, unknown={"a", "b"}), 3, 2),
        (Findings(total=5, differing_ids={"a"}, missing={"b"}, unknown={"a", "b", "c"}), 2, 1),
        (Findings(total=5, extra={"x"}, failed={"x"}), 5, 0),
        (Findings(total=5, differing_ids={"a", "hidden"}, unlisted={"hidden"}), 4, 0),
        (Findings(total=5, days={"2026-05-01": 2}, unknown={"order-1"}), 2, 1),
        (Findings(total=0, missing={"a"}, unknown={"b"}), 0, 1),
    ],
    ids=["all", "unknown", "drift after all", "extra", "not published", "events", "not counted"],
)
def test_every_record_of_the_shop_is_the_same_or_not(found: Findings, same: int, unknown: int) -> None:
    """A record that was not fully compared is unknown and not the same; one that drifted is only that."""
    report = found.as_report()
    assert (report["same"], report["unknown"]) == (same, unknown)
    assert Findings.restored(found.stored()) == found


@pytest.mark.parametrize(
    ("state", "problem", "unlisted"),
    [("s", "differing", set()), (ABSENT, "differing", {"p"}), (ABSENT, "extra", set())],
)
def test_only_published_products_are_listed(state: str, problem: Problem, unlisted: set[str]) -> None:
    """An item of an unpublished product may differ too, but the product is not among the shop's records."""
    report = Report()
    report.of("items")
    report.add(Comparison(state, (Difference("items", "p", problem, ("published",)),)))
    assert (report.of("items").drifted, report.of("items").unlisted) == (1, unlisted)
