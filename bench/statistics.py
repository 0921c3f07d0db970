"""Statistics: percentiles, medians and fitted lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression, median
from typing import Any


def percentile(values: Iterable[float], share: float) -> float:
    """The percentile by nearest rank, with `share` from 0 to 1; 0 if there are no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, rank - 1)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99, rounded."""
    return {name: round(percentile(values, share), 1) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted straight line; `fit` is r squared, 1 if all points are on the line."""

    slope: float
    intercept: float
    fit: float

    def as_json(self) -> dict[str, float]:
        """The rounded values."""
        return {"slope": round(self.slope, 4), "intercept": round(self.intercept, 3), "fit": round(self.fit, 4)}


def line(points: Sequence[tuple[float, float]]) -> Line:
    """Fit a line through two or more points by least squares."""
    xs, ys = zip(*points, strict=True)
    slope, intercept = linear_regression(xs, ys)
    mean = sum(ys) / len(ys)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in points)
    total = sum((y - mean) ** 2 for y in ys)
    return Line(slope, intercept, 1 - residual / total if total else 1.0)


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of every number in the runs, by name at any depth; other values come from the first run."""
    result: dict[str, Any] = {}
    for name, value in runs[0].items():
        values = [run[name] for run in runs if name in run]
        if isinstance(value, Mapping):
            result[name] = medians(values)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            result[name] = round(median(values), 3)
        else:
            result[name] = value
    return result
