"""Inventory entries become the stock of catalog variants."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.errors import Ignored, Unmappable
from core.notification import Notification
from handlers.current import Sharing, Source, as_told, copy_current
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import InventoryEntry
from mappers.json_safe import encodable
from mappers.mapped import mapper
from mappers.stock import counting_entries, entry_stock


@dataclass(frozen=True, slots=True)
class Stock:
    """The inventory entries of a SKU; `named` is the one that the message is about, None where it is gone."""

    entries: Sequence[InventoryEntry]
    named: InventoryEntry | None


def stock_key(sku: str) -> str:
    """The lock of a SKU: stock messages and product messages write the same variants."""
    return f"sku/{sku}"


@handles("inventory-entry", "ResourceCreated", "ResourceUpdated", "ResourceDeleted")
def sync_stock(notification: Notification, services: Services) -> None:
    """Set the stock of a variant from all inventory entries of its SKU."""
    deletes = notification.type == "ResourceDeleted"
    channels = services.settings.sync.inventory.channel
    named: InventoryEntry | None = None
    sku = _encodable_sku(notification.identifiers.get("sku"))
    if not sku:
        if deletes:
            raise Unmappable("no_sku", "resourceUserProvidedIdentifiers.sku")
        named = _named_entry(notification, services)
        if named is None:
            raise Ignored("deleted_meanwhile")
        sku = _sku(named)
    seen, gone = _version(named), False

    def read() -> Stock:
        """Queries lag: an entry that one shows in an older version than is known, or not at all, is read by its id."""
        nonlocal seen, gone
        listed, others = _parted(services.commercetools.entries_beside(sku, notification.resource.id), notification)
        if deletes or gone:
            return Stock(others, None)
        if listed is None or _version(listed) < max(seen, notification.version or 0):
            listed = _named_entry(notification, services)
            gone = listed is None
        seen = max(seen, _version(listed))
        return Stock([*others, listed] if listed else others, listed)

    def write(stock: Stock) -> None:
        if not services.klaviyo.set_stock(sku, entry_stock(stock.entries, channels)):
            raise Ignored("no_variant")

    source: Source[Stock, None] = Source(
        read=read,
        keys=lambda _stock: [stock_key(sku)],
        state=lambda stock: entry_versions(stock.entries, channels),
        own_version=lambda stock: _version(stock.named) or None,
    )
    copy_current(notification, services, source, write, sharing=None if deletes else Sharing())


@mapper
def entry_versions(entries: Sequence[InventoryEntry], channels: Collection[str]) -> object:
    """What tells one state of a SKU's stock from the next."""
    return sorted((entry["id"], entry["version"]) for entry in counting_entries(entries, channels))


def _named_entry(notification: Notification, services: Services) -> InventoryEntry | None:
    entry = services.commercetools.inventory_entry(notification.resource.id)
    return as_told(notification, entry, creates=notification.type == "ResourceCreated")


@mapper
def _parted(
    entries: Sequence[InventoryEntry], notification: Notification
) -> tuple[InventoryEntry | None, list[InventoryEntry]]:
    """The entry that the message is about, and the others."""
    by_id = {entry["id"]: entry for entry in entries}
    return by_id.pop(notification.resource.id, None), list(by_id.values())


@mapper
def _version(entry: InventoryEntry | None) -> int:
    return entry["version"] if entry else 0


@mapper
def _sku(entry: InventoryEntry) -> str:
    sku = _encodable_sku(entry["sku"])
    if not sku:
        raise TypeError
    return sku


def _encodable_sku(sku: object) -> str:
    """A SKU as product messages write it; empty for what is none."""
    return encodable(sku) if isinstance(sku, str) else ""
