"""Stock of a variant as Klaviyo has it: a quantity, and whether it counts."""

from collections.abc import Sequence

from mappers.documents import Availability, ChannelAvailability, InventoryEntry
from mappers.mapped import JsonObject, mapper

HIDDEN_WHEN_SOLD_OUT = 1
"""`inventory_policy` of a tracked variant: feeds and recommendations leave it out at quantity 0."""
ALWAYS_SHOWN = 2
"""`inventory_policy` of a variant whose stock is not tracked."""


@mapper
def stock(availability: Availability | None, channel: str) -> JsonObject:
    """`inventory_quantity` and `inventory_policy` of a variant, from its availability in the configured channel.

    Without a channel (`""`) the stock without supply channel counts. A variant that is tracked, but not here, has
    none here: quantity 0 and policy 1.
    """
    if not availability:
        return {"inventory_quantity": 0, "inventory_policy": ALWAYS_SHOWN}
    here: Availability | ChannelAvailability | None = availability
    if channel:
        here = (availability.get("channels") or {}).get(channel)
    quantity = (here or {}).get("availableQuantity")
    return {"inventory_quantity": quantity or 0, "inventory_policy": HIDDEN_WHEN_SOLD_OUT}


@mapper
def entry_stock(entries: Sequence[InventoryEntry], channel: str) -> JsonObject:
    """Stock that the entries of one SKU, of all channels, add up to.

    Entries make a SKU tracked, `inventory_policy` 1 (quantity 0 when none is of the configured channel); when there are
    none it is not tracked any more: quantity 0 and `inventory_policy` 2.
    """
    if not entries:
        return {"inventory_quantity": 0, "inventory_policy": ALWAYS_SHOWN}
    quantity = sum(_available(entry) for entry in entries if concerns_stock(entry, channel))
    return {"inventory_quantity": quantity, "inventory_policy": HIDDEN_WHEN_SOLD_OUT}


@mapper
def concerns_stock(entry: InventoryEntry, channel: str) -> bool:
    """Whether an entry is of the configured channel, or without supply channel when none is configured."""
    return ((entry.get("supplyChannel") or {}).get("id") or "") == channel


def _available(entry: InventoryEntry) -> int:
    available = entry.get("availableQuantity")
    return (entry.get("quantityOnStock") or 0) if available is None else available
