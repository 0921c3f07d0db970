"""Standalone prices that this instance read in the last minute, as commercetools' queries lag."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cachetools import TTLCache

from core.rules import PriceRules
from mappers.catalog_documents import Price
from mappers.mapped import mapper
from mappers.price import may_be_shown

_SECONDS = 60.0
_PRICES = 2_000
"""Each is a whole document. Enough for twice the price messages that Klaviyo's limit on variants allows a minute."""
_READS = 10
"""Maximum reads by id for one query. If many prices are new, not every message may read all of them again. Beyond this
limit, the remembered state is used."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A price as it was last read; None if it was deleted."""

    price: Price | None


class RecentPrices:
    """Remembers standalone prices by id for a minute. Safe to share between threads."""

    def __init__(self, rules: PriceRules) -> None:
        self._rules = rules
        self._lock = threading.Lock()
        self._known: TTLCache[str, _Known] = TTLCache(_PRICES, _SECONDS)
        self._ids: TTLCache[str, frozenset[str]] = TTLCache(_PRICES, _SECONDS)

    @mapper
    def remember(self, price_id: str, price: Price | None) -> None:
        """Remember a price that was read, None if it was deleted. Of two versions the newer one is kept."""
        with self._lock:
            before = self._known.get(price_id)
            if price and before and before.price and before.price["version"] > price["version"]:
                return
            self._known[price_id] = _Known(price)
            if price:
                self._ids[price["sku"]] = self._ids.get(price["sku"], frozenset()) | {price_id}

    def corrected(
        self, listed: Iterable[Price], skus: Collection[str], own_id: str, read: Callable[[str], Price | None]
    ) -> dict[str, list[Price]]:
        """The prices that a query for these SKUs listed, corrected by the remembered ones; by SKU, in order of ids.

        A remembered newer version replaces the listed one. If the query lacks a remembered price, or lists one that is
        remembered as deleted, either may be right: the query may lag, or another instance may have handled a later
        change. Such prices are read by id with `read`, except `own_id`, which the caller handles. Prices that may not
        be shown are left out, as they are in the query.
        """
        by_id = self._newest(listed)
        for number, (price_id, known) in enumerate(self._in_doubt(by_id, skus, own_id)):
            by_id.pop(price_id, None)
            price = read(price_id) if number < _READS else known.price
            if price:
                by_id[price_id] = price
        now = datetime.now(UTC)
        return _by_sku((price for price in by_id.values() if may_be_shown(price, self._rules, now)), skus)

    @mapper
    def _newest(self, listed: Iterable[Price]) -> dict[str, Price]:
        by_id = {price["id"]: price for price in listed}
        known = self._known_of(by_id)
        return by_id | {
            price_id: found.price
            for price_id, found in known.items()
            if found.price and found.price["version"] > by_id[price_id]["version"]
        }

    @mapper
    def _in_doubt(self, by_id: Collection[str], skus: Iterable[str], own_id: str) -> Sequence[tuple[str, _Known]]:
        with self._lock:
            of_skus = frozenset[str]().union(*(self._ids.get(sku, ()) for sku in skus))
        now = datetime.now(UTC)
        return [
            (price_id, found)
            for price_id, found in sorted(
                self._known_of(of_skus.union(by_id) - {own_id}).items(), key=lambda known: known[0]
            )
            if (found.price is None if price_id in by_id else self._is_expected(found.price, now))
        ]

    def _known_of(self, ids: Iterable[str]) -> dict[str, _Known]:
        with self._lock:
            return {price_id: known for price_id in ids if (known := self._known.get(price_id))}

    def _is_expected(self, price: Price | None, now: datetime) -> bool:
        """True if a query should list the price."""
        return price is not None and may_be_shown(price, self._rules, now)


@mapper
def _by_sku(prices: Iterable[Price], skus: Collection[str]) -> dict[str, list[Price]]:
    found: dict[str, list[Price]] = {sku: [] for sku in skus}
    for price in sorted(prices, key=lambda price: price["id"]):
        found.setdefault(price["sku"], []).append(price)
    return found
