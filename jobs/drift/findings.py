"""The results of a comparison, and their JSON."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from handlers.comparison import ABSENT, Comparison, Difference

KINDS = ("categories", "items", "variants", "profiles", "events")
"""In the order in which they are compared and fixed: items need their categories, events need their profiles."""
_MAX_IDS = 20


@dataclass(slots=True)
class Findings:
    """The results for one kind. `total` counts the shop's records, `foreign` Klaviyo's records that are not ours.

    `moved` are records that changed in the shop during the comparison, `duplicates` customers with several profiles.
    `failed` are resources that could not be compared or fixed. `unknown` are the shop's records that were not fully
    compared: they failed, or kept changing. `unlisted` are differing records that `total` does not count: products
    that are not published, but shown.
    """

    total: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    differing_ids: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    foreign: int = 0
    duplicates: list[str] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)
    mended: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    consent: dict[str, int] = field(default_factory=dict)
    """Profiles only: customers whose consent differs, counted by the answers of the shop and Klaviyo. That is not drift
    and is never fixed, because either side may be right."""
    consent_ids: set[str] = field(default_factory=set)
    days: dict[str, int] = field(default_factory=dict)
    """Events only: how many are missing, by day. Klaviyo does not say which."""

    def add(self, one: Difference) -> None:
        """Record a difference. Recording it again has no effect."""
        if one.problem == "differing":
            if one.own_id not in self.differing_ids:
                self.differing_ids.add(one.own_id)
                self.differing.update(one.fields)
        else:
            (self.missing if one.problem == "missing" else self.extra).add(one.own_id)

    def add_consent(self, channel: str, wanted: str, found: str, customer_id: str) -> None:
        """Record a customer whose consent differs between the shop and Klaviyo."""
        answers = f"{channel}: {wanted} in the shop, {found} in Klaviyo"
        self.consent[answers] = self.consent.get(answers, 0) + 1
        self.consent_ids.add(customer_id)

    @property
    def drifted(self) -> int:
        """How many records are wrong."""
        return len(self.differing_ids) + len(self.missing) + len(self.extra) + sum(self.days.values())

    @property
    def same(self) -> int:
        """How many of the shop's records were compared and found right."""
        others = (self.differing_ids - self.unlisted) | self.missing | self.unknown
        return max(0, self.total - len(others) - sum(self.days.values()))

    @property
    def left(self) -> int:
        """How many records are still wrong."""
        return self.drifted - len(self.mended)

    def as_report(self) -> dict[str, Any]:
        """The kind's part of the JSON report, with the first 20 ids of each list."""
        days = [f"{day}: {count}" for day, count in self.days.items()]
        named = {
            "missing": self.missing or days,
            "extra": self.extra,
            "differing": self.differing_ids,
            "failed": self.failed,
            "duplicates": self.duplicates,
            "consent": self.consent_ids,
        }
        return {
            "same": self.same,
            "differing": dict(self.differing),
            "differing_records": len(self.differing_ids),
            "missing": len(self.missing) + sum(self.days.values()),
            "extra": len(self.extra),
            "unknown": len(self.unknown - self.differing_ids - self.missing),
            "foreign": self.foreign,
            "moved": len(self.moved),
            "mended": len(self.mended),
            "failed": len(self.failed),
            "duplicates": len(self.duplicates),
            "consent": self.consent,
            "ids": {name: sorted(ids)[:_MAX_IDS] for name, ids in named.items() if ids},
        }

    def stored(self) -> dict[str, Any]:
        """All fields, as JSON that `restored` reads."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Findings":
        """Rebuild findings from `stored`. Raises LookupError, TypeError or ValueError if fields don't fit."""
        found = cls()
        for one in fields(found):
            setattr(found, one.name, type(getattr(found, one.name))(stored[one.name]))
        return found


class Report:
    """The findings of all compared kinds."""

    def __init__(self) -> None:
        self.kinds: dict[str, Findings] = {}
        self.skus: dict[str, Collection[str]] = {}
        """SKUs by product id, of products that differ in the lists or can't be mapped."""

    def of(self, kind: str) -> Findings:
        """The findings of a kind, created if needed."""
        return self.kinds.setdefault(kind, Findings())

    def add(self, comparison: Comparison) -> None:
        """Record the differences of a comparison, in the compared kinds only."""
        for one in comparison.differences:
            if one.kind in self.kinds:
                self.kinds[one.kind].add(one)
                if comparison.shop_state == ABSENT and one.problem == "differing":
                    self.kinds[one.kind].unlisted.add(one.own_id)

    def add_unknown(self, kind: str, ids: Iterable[str]) -> None:
        """Record records of the shop that were not fully compared, if the kind is compared."""
        if kind in self.kinds:
            self.kinds[kind].unknown.update(ids)

    @property
    def drift(self) -> float:
        """The share of wrong records among the shop's records, before any fix; at most 1.

        With `--since` the shop's variants are not counted, and extra records may outnumber the shop's.
        """
        total = sum(one.total for one in self.kinds.values())
        return min(1.0, sum(one.drifted for one in self.kinds.values()) / max(1, total))
