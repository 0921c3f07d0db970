"""The findings of a comparison: the share of records that drifted."""

import pytest

from jobs.drift.findings import Report


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
