"""The inventory of a whole shop, in compact form."""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from clients.predicates import any_of
from handlers.services import Services
from jobs.reading import COUNT_LIMIT, Reader
from mappers.catalog_documents import InventoryEntry
from mappers.json_safe import encodable

_PAGE = 500
_Packed = tuple[str, int, str, int | None]
"""Id, version, channel, quantity."""


class Stock:
    """The inventory entries that may count, by SKU, as `Commercetools.inventory_entries` returns them.

    If channels are configured, their entries are listed. Otherwise the entries without a channel are listed. Those with
    a channel are listed too if they are fewer than 10,000; there may be far more, as a SKU can have one in each of 500
    stores. Then SKUs without a listed entry are looked up when their product is compared.
    """

    def __init__(self, services: Services, reader: Reader) -> None:
        self._services = services
        self._reader = reader
        self._channels = services.settings.sync.inventory.channel
        self._entries: defaultdict[str, list[_Packed]] = defaultdict(list)
        self._reads_missing = False

    def read(self) -> None:
        """Read the inventory. Raises StoppedError."""
        if self._channels:
            self._list(f"supplyChannel(id in {any_of(self._channels)})")
            return
        self._list("supplyChannel is not defined")
        elsewhere = "supplyChannel is defined"
        count = self._reader.count("inventory", [elsewhere])
        self._reads_missing = count is None or count >= COUNT_LIMIT
        if not self._reads_missing and count:
            self._list(elsewhere)

    def of(self, skus: Sequence[str]) -> dict[str, list[InventoryEntry]]:
        """The entries of some SKUs."""
        found = {sku: [_unpacked(one) for one in self._entries.get(sku, ())] for sku in skus}
        unknown = [sku for sku in skus if not found[sku]] if self._reads_missing else []
        return found | (self._services.commercetools.inventory_entries(unknown) if unknown else {})

    def _list(self, where: str) -> None:
        for entries in self._reader.pages("inventory", [where], _PAGE):
            for entry in entries:
                channel = (entry.get("supplyChannel") or {}).get("id") or ""
                available = entry.get("availableQuantity")
                quantity = entry.get("quantityOnStock") if available is None else available
                self._entries[encodable(entry["sku"])].append((entry["id"], entry["version"], channel, quantity))


def _unpacked(entry: _Packed) -> InventoryEntry:
    own_id, version, channel, quantity = entry
    unpacked = {"id": own_id, "version": version, "availableQuantity": quantity}
    return cast("InventoryEntry", {**unpacked, **({"supplyChannel": {"id": channel}} if channel else {})})
