"""Inventory entries become the stock of catalog variants."""

from core.errors import Ignored, Unmappable
from core.notification import Notification
from handlers.current import Source, copy_current
from handlers.registry import handles
from handlers.services import Services
from mappers.documents import InventoryEntry
from mappers.json_safe import encodable
from mappers.mapped import JsonObject, mapper
from mappers.stock import concerns_stock, entry_stock


def stock_key(sku: str) -> str:
    """The lock of a SKU: stock messages and product messages write the same variants."""
    return f"sku/{sku}"


@handles("inventory-entry", "ResourceCreated", "ResourceUpdated")
def sync_stock(notification: Notification, services: Services) -> None:
    """Set the stock of the entry's variant."""
    channel = services.settings.sync.inventory.channel
    written = _encodable_sku(notification.identifiers.get("sku"))

    def write(entry: InventoryEntry | None) -> None:
        nonlocal written
        if entry is None:
            if written:  # its deletion may have been handled before an earlier attempt at this message, or its write
                _set_stock(services, written, entry_stock(services.commercetools.inventory_entries(written), channel))
            raise Ignored("deleted_meanwhile")
        if not concerns_stock(entry, channel):
            raise Ignored("other_channel")
        _set_stock(services, _sku(entry), entry_stock([entry], channel))
        written = _sku(entry)

    def keys(entry: InventoryEntry | None) -> list[str]:
        sku = _sku(entry) if entry else written
        return [stock_key(sku)] if sku else []

    copy_current(
        notification,
        services,
        Source(read=lambda: services.commercetools.inventory_entry(notification.resource.id), keys=keys),
        write,
    )


@handles("inventory-entry", "ResourceDeleted")
def sync_remaining_stock(notification: Notification, services: Services) -> None:
    """Set the stock to what the remaining entries of the SKU say; not tracked any more when there are none."""
    sku = _encodable_sku(notification.identifiers.get("sku"))
    if not sku:
        raise Unmappable("no_sku", "resourceUserProvidedIdentifiers.sku")
    channel = services.settings.sync.inventory.channel
    copy_current(
        notification,
        services,
        Source(
            read=lambda: services.commercetools.inventory_entries(sku),
            keys=lambda _entries: [stock_key(sku)],
            state=lambda entries: [(entry["id"], entry["version"]) for entry in entries],
        ),
        lambda entries: _set_stock(services, sku, entry_stock(entries, channel)),
    )


@mapper
def _sku(entry: InventoryEntry) -> str:
    sku = _encodable_sku(entry["sku"])
    if not sku:
        raise TypeError
    return sku


def _encodable_sku(sku: object) -> str:
    """A SKU as product messages write it; empty for what is none."""
    return encodable(sku) if isinstance(sku, str) else ""


def _set_stock(services: Services, sku: str, stock: JsonObject) -> None:
    if not services.klaviyo.set_stock(sku, stock):
        raise Ignored("no_variant")
