"""Inventory entries set the stock of catalog variants."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.errors import Ignored, Unmappable
from core.notification import Notification
from handlers.current import Sharing, Source, copy_current, up_to_date
from handlers.registry import handles
from handlers.services import Services
from mappers.catalog_documents import InventoryEntry
from mappers.json_safe import encodable
from mappers.mapped import mapper
from mappers.stock import counting_entries, entry_stock


@dataclass(frozen=True, slots=True)
class Stock:
    """The inventory entries of a SKU. `named` is the entry that the message is about, None if it was deleted."""

    entries: Sequence[InventoryEntry]
    named: InventoryEntry | None


def sku_lock_key(sku: str) -> str:
    """Key of the lock of a SKU, which stock, price and product messages share as they write the same variants."""
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
    known_version, is_deleted = _version(named), False

    def read() -> Stock:
        """Query the SKU's entries. Queries lag: if the named entry is missing or too old there, read it by its id."""
        nonlocal known_version, is_deleted
        listed, others = _split_named(
            services.commercetools.entries_of_sku(sku, notification.resource.id), notification
        )
        if deletes or is_deleted:
            return Stock(others, None)
        if listed is None or _version(listed) < max(known_version, notification.version or 0):
            listed = _named_entry(notification, services)
            is_deleted = listed is None
        known_version = max(known_version, _version(listed))
        return Stock([*others, listed] if listed else others, listed)

    def write(stock: Stock) -> None:
        if not services.klaviyo.set_stock(sku, entry_stock(stock.entries, channels)):
            raise Ignored("no_variant")

    source: Source[Stock, None] = Source(
        read=read,
        lock_keys=lambda _stock: [sku_lock_key(sku)],
        state=lambda stock: entry_versions(stock.entries, channels),
        resource_version=lambda stock: _version(stock.named) or None,
    )
    copy_current(notification, services, source, write, sharing=None if deletes else Sharing())


@mapper
def entry_versions(entries: Sequence[InventoryEntry], channels: Collection[str]) -> object:
    """Ids and versions of the entries that count, to tell whether a SKU's stock has changed."""
    return sorted((entry["id"], entry["version"]) for entry in counting_entries(entries, channels))


def _named_entry(notification: Notification, services: Services) -> InventoryEntry | None:
    entry = services.commercetools.inventory_entry(notification.resource.id)
    return up_to_date(notification, entry, creates=notification.type == "ResourceCreated")


@mapper
def _split_named(
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
    """The SKU in the encoding that product messages write; empty if this is not a SKU."""
    return encodable(sku) if isinstance(sku, str) else ""
