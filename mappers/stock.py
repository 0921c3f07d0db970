"""Stock of a variant as Klaviyo has it: a quantity, and whether it counts."""

from collections.abc import Collection, Mapping, Sequence

from mappers.catalog_documents import InventoryEntry
from mappers.mapped import JsonObject, mapper

HIDDEN_WHEN_SOLD_OUT = 1
"""`inventory_policy` of a tracked variant: feeds and recommendations leave it out at quantity 0."""
ALWAYS_SHOWN = 2
"""`inventory_policy` of a variant whose stock is not tracked."""

EntriesBySku = Mapping[str, Sequence[InventoryEntry]]
"""Inventory entries of a product's SKUs."""


@mapper
def entry_stock(entries: Sequence[InventoryEntry], channels: Collection[str]) -> JsonObject:
    """`inventory_quantity` and `inventory_policy` of a SKU: the sum of those of its entries that count.

    Without any the SKU is not tracked: quantity 0 and policy 2. `entries` may hold others that do not count.
    """
    counting = counting_entries(entries, channels)
    if not counting:
        return {"inventory_quantity": 0, "inventory_policy": ALWAYS_SHOWN}
    quantity = sum(_available(entry) for entry in counting)
    return {"inventory_quantity": quantity, "inventory_policy": HIDDEN_WHEN_SOLD_OUT}


@mapper
def counting_entries(entries: Sequence[InventoryEntry], channels: Collection[str]) -> list[InventoryEntry]:
    """Those of the configured channels; with none configured the one without channel, else those of all channels."""
    if channels:
        return [entry for entry in entries if _channel(entry) in channels]
    return [entry for entry in entries if not _channel(entry)] or list(entries)


def _channel(entry: InventoryEntry) -> str:
    return (entry.get("supplyChannel") or {}).get("id") or ""


def _available(entry: InventoryEntry) -> int:
    available = entry.get("availableQuantity")
    return (entry.get("quantityOnStock") or 0) if available is None else available
