"""Stock of a variant in Klaviyo: a quantity, and a policy that says if it is tracked."""

from collections.abc import Collection, Mapping, Sequence

from mappers.catalog_documents import InventoryEntry
from mappers.mapped import JsonObject, mapper

HIDDEN_WHEN_SOLD_OUT = 1
"""`inventory_policy` of a tracked variant: feeds and recommendations omit it at quantity 0."""
ALWAYS_SHOWN = 2
"""`inventory_policy` of a variant without tracked stock."""

EntriesBySku = Mapping[str, Sequence[InventoryEntry]]
"""Inventory entries by SKU."""


@mapper
def entry_stock(entries: Sequence[InventoryEntry], channels: Collection[str]) -> JsonObject:
    """`inventory_quantity` and `inventory_policy` of a SKU: the sum over its entries that count.

    See `counting_entries` for which entries count. If none does, the SKU is not tracked: quantity 0 and policy 2.
    """
    counting = counting_entries(entries, channels)
    if not counting:
        return {"inventory_quantity": 0, "inventory_policy": ALWAYS_SHOWN}
    quantity = sum(_available(entry) for entry in counting)
    return {"inventory_quantity": quantity, "inventory_policy": HIDDEN_WHEN_SOLD_OUT}


@mapper
def counting_entries(entries: Sequence[InventoryEntry], channels: Collection[str]) -> list[InventoryEntry]:
    """Entries of the configured channels.

    If no channel is configured: the entries without a channel, else those of all channels.
    """
    if channels:
        return [entry for entry in entries if _channel(entry) in channels]
    return [entry for entry in entries if not _channel(entry)] or list(entries)


def _channel(entry: InventoryEntry) -> str:
    return (entry.get("supplyChannel") or {}).get("id") or ""


def _available(entry: InventoryEntry) -> int:
    available = entry.get("availableQuantity")
    return (entry.get("quantityOnStock") or 0) if available is None else available
