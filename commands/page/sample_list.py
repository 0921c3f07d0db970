"""The samples as the page lists them: grouped by resource, each with a readable title."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.samples import Sample

_SHIPMENTS = "Shipments and returns"
_GROUPS = (
    ("Customers", ("customer-",)),
    ("Orders", ("order-",)),
    (_SHIPMENTS, ("parcel-", "return-")),
    ("Payments", ("payment-",)),
    ("Products", ("product-",)),
    ("Prices", ("price-",)),
    ("Stock", ("inventory-",)),
    ("Categories", ("category-",)),
)
"""Group names, and the sample names that belong to them by prefix."""
_SHIPPED_ORDERS = ("order-shipped", "order-delivered")
"""Prefixes of the order samples that are listed under shipments."""
_OTHERS = "Other messages"


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One sample in the list."""

    number: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """The samples of one kind of resource."""

    name: str
    entries: Sequence[SampleEntry]

    @property
    def id(self) -> str:
        """The name as an HTML id."""
        return self.name.lower().replace(" ", "-")


def sample_groups(samples: Mapping[str, Sample]) -> list[SampleGroup]:
    """All samples by group; within a group in the order of samples.toml."""
    entries: dict[str, list[SampleEntry]] = {name: [] for name in [*(name for name, _ in _GROUPS), _OTHERS]}
    for number, sample in samples.items():
        title = sample.name.replace("-", " ").capitalize()
        entries[_group(sample.name)].append(SampleEntry(number, title, sample.shows))
    return list(_without_empty(entries))


def _group(name: str) -> str:
    if name.startswith(_SHIPPED_ORDERS):
        return _SHIPMENTS
    return next((group for group, prefixes in _GROUPS if name.startswith(prefixes)), _OTHERS)


def _without_empty(groups: Mapping[str, Sequence[SampleEntry]]) -> Iterator[SampleGroup]:
    return (SampleGroup(name, entries) for name, entries in groups.items() if entries)
