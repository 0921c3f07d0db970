"""What a comparison has found, as people and JSON have it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from handlers.comparison import Difference

KINDS = ("categories", "items", "variants", "profiles", "events")
"""In the order in which they are compared and mended: an item needs its categories, an event finds its profile."""
_MAX_IDS = 20


@dataclass(slots=True)
class Findings:
    """One kind. `total` is how many the shop has, `foreign` how many of Klaviyo's are not ours.

    `moved` are differences that the shop's own movement explains; `duplicates` are customers with several profiles.
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
    consent: dict[str, int] = field(default_factory=dict)
    """Of profiles alone: how many customers by what the shop and Klaviyo say of a channel. No drift, and never mended:
    consent has two masters."""
    consent_ids: set[str] = field(default_factory=set)
    days: dict[str, int] = field(default_factory=dict)
    """Of events alone: how many are missing by day. Klaviyo can't be asked which."""

    def add(self, one: Difference) -> None:
        """Note a difference; the same one again changes nothing."""
        if one.problem == "differing":
            if one.own_id not in self.differing_ids:
                self.differing_ids.add(one.own_id)
                self.differing.update(one.fields)
        else:
            (self.missing if one.problem == "missing" else self.extra).add(one.own_id)

    def add_consent(self, channel: str, wanted: str, found: str, customer_id: str) -> None:
        """Note a customer of whose consent the shop and Klaviyo say something else."""
        said = f"{channel}: {wanted} in the shop, {found} in Klaviyo"
        self.consent[said] = self.consent.get(said, 0) + 1
        self.consent_ids.add(customer_id)

    @property
    def drifted(self) -> int:
        """How many records are wrong."""
        return len(self.differing_ids) + len(self.missing) + len(self.extra) + sum(self.days.values())

    @property
    def same(self) -> int:
        """How many of the shop's are in Klaviyo as they should be, or will be shortly."""
        return max(0, self.total - len(self.differing_ids) - len(self.missing) - sum(self.days.values()))

    @property
    def left(self) -> int:
        """How many are still wrong."""
        return self.drifted - len(self.mended)

    def as_report(self) -> dict[str, Any]:
        """As JSON has it, with the first 20 ids each."""
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
            "foreign": self.foreign,
            "moved": len(self.moved),
            "mended": len(self.mended),
            "failed": len(self.failed),
            "duplicates": len(self.duplicates),
            "consent": self.consent,
            "ids": {name: sorted(ids)[:_MAX_IDS] for name, ids in named.items() if ids},
        }

    def stored(self) -> dict[str, Any]:
        """As JSON that `restored` takes."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Findings":
        """What was stored. Raises LookupError, TypeError or ValueError for anything else."""
        found = cls()
        for one in fields(found):
            setattr(found, one.name, type(getattr(found, one.name))(stored[one.name]))
        return found


class Report:
    """All kinds that were compared."""

    def __init__(self) -> None:
        self.kinds: dict[str, Findings] = {}

    def of(self, kind: str) -> Findings:
        """The findings of a kind."""
        return self.kinds.setdefault(kind, Findings())

    def add(self, differences: Iterable[Difference]) -> None:
        """Note differences of the kinds that are compared."""
        for one in differences:
            if one.kind in self.kinds:
                self.kinds[one.kind].add(one)

    @property
    def drift(self) -> float:
        """Part of the shop's records that were wrong."""
        total = sum(one.total for one in self.kinds.values())
        return sum(one.drifted for one in self.kinds.values()) / max(1, total)
