"""Variants that this instance wrote to Klaviyo in the last minute, as Klaviyo's reads may lag behind writes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from mappers.mapped import JsonObject

_SECONDS = 60.0
_VARIANTS = 20_000
"""More than Klaviyo accepts in a minute: 750 each of creates, updates and deletes, and several times that for accounts
with a higher limit."""


@dataclass(frozen=True, slots=True)
class _Written:
    """The last write of a variant: the attributes in Klaviyo's answer (None: deleted) and their `updated`.

    `product_id` is the product that the variant was written for, empty if only its stock or prices were written.
    `in_doubt`: the write failed, but may have taken effect.
    """

    attributes: JsonObject | None
    updated: str
    product_id: str = ""
    in_doubt: bool = False

    @classmethod
    def of(cls, attributes: JsonObject, product_id: str) -> "_Written":
        """A write that Klaviyo answered with these attributes."""
        return cls(attributes, str(attributes.get("updated") or ""), product_id)


class RecentVariants:
    """Remembers written variants by SKU for a minute. Klaviyo's `updated` shows if a read is older than a write."""

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
        """A write or delete of the variant failed, but may have taken effect. No list can be trusted for a while."""
        with self._lock:
            self._variants[sku] = _Written(None, "", product_id, in_doubt=True)
            self._skus[product_id] = self._skus.get(product_id, frozenset()) | {sku}

    def changed(self, sku: str, attributes: JsonObject) -> None:
        """Klaviyo answered a write of the variant's stock or prices with these attributes."""
        with self._lock:
            before = self._variants.get(sku)
            self._variants[sku] = _Written.of(attributes, before.product_id if before else "")

    def deleted(self, sku: str, updated: str) -> None:
        """The variant was deleted; `updated` is what Klaviyo last showed."""
        with self._lock:
            self._variants[sku] = _Written(None, updated)

    def deleted_item(self, product_id: str) -> None:
        """The item was deleted, and its variants with it."""
        with self._lock:
            for sku in self._skus.pop(product_id, frozenset()):
                written = self._variants.get(sku)
                if written and not written.in_doubt and written.product_id == product_id:
                    self._variants[sku] = _Written(None, written.updated)

    def corrected(self, product_id: str, read: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
        """The variants of an item as they were read, or as they were written if that is newer.

        A variant of unknown state has only `updated`, so that the caller writes it again, or reads it by its id before
        it deletes it. That is one whose write failed, one that differs from a write with the same `updated`, and one
        that was written but is not shown: the read may lag, or another instance may have deleted it.
        """
        with self._lock:
            written = {
                sku: self._variants[sku] for sku in (*read, *self._skus.get(product_id, ())) if sku in self._variants
            }
        variants = dict(read)
        for sku, write in written.items():
            is_own = write.product_id in ("", product_id)
            if write.in_doubt or (is_own and sku in read and _is_ambiguous(read[sku], write)):
                variants[sku] = _unknown_state(read.get(sku, {}))
                continue
            if sku in read and _is_newer(str(read[sku].get("updated") or ""), write):
                continue
            if write.attributes is None or not is_own:
                variants.pop(sku, None)
            else:
                variants[sku] = write.attributes if sku in read else {"updated": write.updated}
        return variants

    def corrected_one(self, sku: str, read: JsonObject) -> JsonObject | None:
        """A variant as it was read, or as it was written if that is newer; None if this instance deleted it."""
        with self._lock:
            write = self._variants.get(sku)
        if write and (write.in_doubt or _is_ambiguous(read, write)):
            return _unknown_state(read)
        return read if write is None or _is_newer(str(read.get("updated") or ""), write) else write.attributes


def _unknown_state(read: Mapping[str, Any]) -> JsonObject:
    """The attributes of a variant whose state is unknown: only `updated`."""
    return {"updated": str(read.get("updated") or "")}


def _is_ambiguous(read: Mapping[str, Any], write: _Written) -> bool:
    """True if a read differs from the write at the same `updated`: in whole seconds, either may be newer."""
    ours = write.attributes
    return bool(
        ours is not None
        and write.updated != ""
        and str(read.get("updated") or "") == write.updated
        and any(ours.get(name) != value for name, value in read.items())
    )


def _is_newer(updated: str, write: _Written) -> bool:
    """True if a read is newer than the write. A deleted variant's last `updated` is from before its deletion."""
    return updated > write.updated or (updated == write.updated != "" and write.attributes is not None)
