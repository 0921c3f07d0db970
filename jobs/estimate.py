"""What a dry run counts, and how long the real run would take."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any

from clients.klaviyo_quotas import QUOTAS
from jobs.passes import RecordLimits
from mappers.mapped import Mapped

_MINUTES_PER_HOUR = 60
_MINUTES_PER_BATCH = 1.0
"""For a batch's bulk jobs and the reads around them. An assumption: Klaviyo does not say how long jobs take."""
_MAX_IDS = 20


@dataclass(slots=True)
class PassEstimate:
    """What one pass would do.

    `events` are by metric, `values` in major units by metric and currency, `skipped` by reason, `writes` by Klaviyo's
    operation.
    """

    read: int = 0
    events: Counter[str] = field(default_factory=Counter)
    values: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    skipped: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    """Bodies that were shortened to fit Klaviyo's limits."""
    unmappable: list[str] = field(default_factory=list)
    """The first 20 resources that can't be mapped or that Klaviyo's SDK refuses; `failed` counts all of them."""
    failed: int = 0
    record_limits: RecordLimits | None = None
    """The records per batch, if the pass uses Klaviyo's bulk jobs."""

    def hours(self, share: float) -> float:
        """Hours at a share of Klaviyo's rate limits, if Klaviyo has none of the data yet and all of it is written."""
        minutes = max((count / (QUOTAS[name].steady * share) for name, count in self.writes.items()), default=0.0)
        records = sum(self.writes.values())
        if self.record_limits and records >= self.record_limits.min_records:
            minutes = min(minutes, ceil(records / self.record_limits.max_records) * _MINUTES_PER_BATCH)
        return minutes / _MINUTES_PER_HOUR

    def add_event(self, body: Mapping[str, Any]) -> None:
        """Count an event and its value, if it has one."""
        attributes = body["data"]["attributes"]
        metric = attributes["metric"]["data"]["attributes"]["name"]
        self.events[metric] += 1
        if "value" in attributes:
            self.values[metric][attributes["value_currency"]] += Decimal(str(attributes["value"]))

    def add_write(self, operation: str, mapped: Mapped | None = None) -> None:
        """Count a write, and a cut if its body was shortened."""
        self.writes[operation] += 1
        self.cuts += bool(mapped and mapped.cuts)

    def add_failure(self, resource: str) -> None:
        """Count a resource that would end up in the errors file."""
        self.failed += 1
        if len(self.unmappable) < _MAX_IDS:
            self.unmappable.append(resource)

    def as_report(self, share: float) -> dict[str, Any]:
        """The pass's part of the JSON report: times in hours, money in major units."""
        return {
            "read": self.read,
            "writes": sum(self.writes.values()),
            "skipped": dict(self.skipped),
            "events": {
                metric: {
                    "count": count,
                    "value": {currency: float(value) for currency, value in sorted(self.values[metric].items())},
                }
                for metric, count in self.events.items()
            },
            "cuts": self.cuts,
            "unmappable": self.failed,
            "unmappable_ids": self.unmappable,
            "hours": round(self.hours(share), 2),
        }


def estimates_report(estimates: Mapping[str, PassEstimate], share: float) -> dict[str, Any]:
    """The JSON report of a dry run: all passes, and the sum of their hours."""
    return {
        "dry_run": True,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "share": share,
        "hours": round(sum(estimate.hours(share) for estimate in estimates.values()), 2),
        "passes": {name: estimate.as_report(share) for name, estimate in estimates.items()},
    }
