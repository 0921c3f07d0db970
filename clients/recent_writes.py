"""What this instance wrote to Klaviyo's catalog in the last minute, in case Klaviyo's reads lag behind its writes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from mappers.mapped import JsonObject

_SECONDS = 60.0
_VARIANTS = 20_000
"""More than Klaviyo takes in a minute, 750 each of created, updated and deleted ones, also where it takes more."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A variant as Klaviyo answered it, None for a deleted one; `updated` is Klaviyo's own time of it.

    `product_id` is the product it was written for; empty where only its stock or prices were written. `unsure`: the
    write failed, and may have taken effect.
    """

    attributes: JsonObject | None
    updated: str
    product_id: str = ""
    unsure: bool = False

    @classmethod
    def of(cls, attributes: JsonObject, product_id: str) -> "_Written":
        """A variant that was answered with these attributes."""
        return cls(attributes, str(attributes.get("updated") or ""), product_id)


class RecentWrites:
    """Variants by SKU, for a minute. Klaviyo's `updated` decides whether a read is older than a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._variants: TTLCache[str, _Written] = TTLCache(_VARIANTS, _SECONDS)
        self._skus: TTLCache[str, frozenset[str]] = TTLCache(_VARIANTS, _SECONDS)

    def wrote(self, sku: str, attributes: JsonObject, product_id: str) -> None:
        """Klaviyo answered a write of the product's variant with these attributes."""
        written = _Written.of(attributes, product_id)
        with self._lock:
            self._variants[sku] = written
            self._skus[product_id] = self._skus.get(product_id, frozenset()) | {sku}

    def may_have_written(self, sku: str, product_id: str) -> None:
        """A write or delete of the product's variant failed, and may have taken effect: no list tells for a while."""
        with self._lock:
            self._variants[sku] = _Written(None, "", product_id, unsure=True)
            self._skus[product_id] = self._skus.get(product_id, frozenset()) | {sku}

    def changed(self, sku: str, attributes: JsonObject) -> None:
        """Klaviyo answered a write of the variant's stock or prices with these attributes."""
        with self._lock:
            before = self._variants.get(sku)
            self._variants[sku] = _Written.of(attributes, before.product_id if before else "")

    def deleted(self, sku: str, updated: str) -> None:
        """The variant was deleted; `updated` is what Klaviyo last said of it."""
        with self._lock:
            self._variants[sku] = _Written(None, updated)

    def deleted_item(self, product_id: str) -> None:
        """The item was deleted, and its variants with it."""
        with self._lock:
            for sku in self._skus.pop(product_id, frozenset()):
                written = self._variants.get(sku)
                if written and not written.unsure and written.product_id == product_id:
                    self._variants[sku] = _Written(None, written.updated)

    def corrected(self, product_id: str, read: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
        """The variants of an item as Klaviyo has them: what was read, or what was written if that is newer.

        One that was written and is not shown has `updated` alone: the read may lag, or another instance deleted it. So
        has one whose write failed, whatever is shown: it is written again, or looked at by its id and deleted.
        """
        with self._lock:
            written = {
                sku: self._variants[sku] for sku in (*read, *self._skus.get(product_id, ())) if sku in self._variants
            }
        variants = dict(read)
        for sku, write in written.items():
            is_own = write.product_id in ("", product_id)
            if write.unsure or (is_own and sku in read and _ties(read[sku], write)):
                variants[sku] = _in_doubt(read.get(sku, {}))
                continue
            if sku in read and _is_newer(str(read[sku].get("updated") or ""), write):
                continue
            if write.attributes is None or not is_own:
                variants.pop(sku, None)
            else:
                variants[sku] = write.attributes if sku in read else {"updated": write.updated}
        return variants

    def corrected_one(self, sku: str, read: JsonObject) -> JsonObject | None:
        """A variant as Klaviyo has it, whatever item has it; None where this instance deleted it."""
        with self._lock:
            write = self._variants.get(sku)
        if write and (write.unsure or _ties(read, write)):
            return _in_doubt(read)
        return read if write is None or _is_newer(str(read.get("updated") or ""), write) else write.attributes


def _in_doubt(read: Mapping[str, Any]) -> JsonObject:
    """What is known of a variant where nobody can tell what became of this instance's last write: nothing."""
    return {"updated": str(read.get("updated") or "")}


def _ties(read: Mapping[str, Any], write: _Written) -> bool:
    """Whether a read shows something else at the time of the write: `updated` may have whole seconds."""
    ours = write.attributes
    return bool(
        ours is not None
        and write.updated != ""
        and str(read.get("updated") or "") == write.updated
        and any(ours.get(name) != value for name, value in read.items())
    )


def _is_newer(updated: str, write: _Written) -> bool:
    """Whether a read shows a state after the write; what was deleted was last seen with the `updated` of the read."""
    return updated > write.updated or (updated == write.updated != "" and write.attributes is not None)
