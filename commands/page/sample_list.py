"""The samples as the page lists them: by resource, each with a name that people can read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.samples import Sample

_GROUPS = (
    ("Customers", ("customer-",)),
    ("Orders", ("order-",)),
    ("Shipments and returns", ("parcel-", "return-")),
    ("Payments", ("payment-",)),
    ("Products", ("product-",)),
    ("Prices", ("price-",)),
    ("Stock", ("inventory-",)),
    ("Categories", ("category-",)),
)
_SHIPPED = ("order-shipped", "order-delivered")
_OTHERS = "Other messages"


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of the list."""

    number: str
    title: str
    shows: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one kind of resource."""

    name: str
    entries: Sequence[Entry]

    @property
    def id(self) -> str:
        """Its name as an id."""
        return self.name.lower().replace(" ", "-")


def groups(samples: Mapping[str, Sample]) -> list[Group]:
    """All samples, in groups; in each in the order of the story."""
    found: dict[str, list[Entry]] = {name: [] for name in [*(name for name, _ in _GROUPS), _OTHERS]}
    for number, sample in samples.items():
        title = sample.name.replace("-", " ").capitalize()
        found[_group(sample.name)].append(Entry(number, title, sample.shows, sample.outcome))
    return list(_filled(found))


def _group(name: str) -> str:
    if name.startswith(_SHIPPED):
        return "Shipments and returns"
    return next((group for group, prefixes in _GROUPS if name.startswith(prefixes)), _OTHERS)


def _filled(found: Mapping[str, Sequence[Entry]]) -> Iterator[Group]:
    return (Group(name, entries) for name, entries in found.items() if entries)
