"""The current documents of a random shop, and notifications about them."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json

_PICK_LAST_CHANGED = 0.6
"""Probability of picking the document that was changed last."""
_DELIVERY_AGE = timedelta(seconds=45)
"""Age of a notification when it is published, so that rules for its first minute stop applying during a test."""
_MIN_DOCUMENTS = 3
"""No deletion leaves fewer documents in a collection."""
_OPENING_AGE = timedelta(minutes=10)
"""Age of documents and notifications created while the shop opens."""


class RandomDocuments:
    """The documents in the sandbox, and the random numbers that choose what happens to them."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        self._rng = rng
        self._commercetools = commercetools
        self._numbers = itertools.count(1)
        collections = ("customers", "categories", "products", "inventory", "standalone-prices", "orders", "payments")
        self._documents: dict[str, dict[str, Json]] = {name: {} for name in collections}
        self._last_changed: dict[str, str] = {}
        self._is_opening = True
        """True until the shop is open: what happens until then gets `_OPENING_AGE`."""

    def _pick(self, collection: str) -> Json:
        """A random document. Often the one changed last, so that one resource gets concurrent notifications."""
        last_changed = self._documents[collection].get(self._last_changed.get(collection, ""))
        if last_changed and self._rng.random() < _PICK_LAST_CHANGED:
            return last_changed
        return self._rng.choice(list(self._documents[collection].values()))

    def _pick_spare(self, collection: str) -> Json | None:
        """A random document to delete; None if too few would remain."""
        return self._pick(collection) if len(self._documents[collection]) > _MIN_DOCUMENTS else None

    def _store(self, collection: str, document: Json) -> Json:
        now = self._now()
        stored = {**document, "lastModifiedAt": now} | ({"createdAt": now} if document["version"] == 1 else {})
        self._last_changed[collection] = stored["id"]
        self._documents[collection][stored["id"]] = stored
        self._commercetools.put(collection, stored)
        return stored

    def _edit(self, collection: str, document: Json, **fields: Any) -> Json:
        """Change fields; None removes a field."""
        changed = {**document, "version": document["version"] + 1, **fields}
        return self._store(collection, {name: value for name, value in changed.items() if value is not None})

    def _delete(self, collection: str, document: Json) -> None:
        del self._documents[collection][document["id"]]
        self._commercetools.delete(collection, document["id"])

    def _message(self, name: str, type_id: str, document: Json, **payload: Any) -> Json:
        """A Message about the document's current version."""
        now = self._now()
        return make.message(
            name, type_id, document["id"], resourceVersion=document["version"], createdAt=now, lastModifiedAt=now
        ) | payload  # fmt: skip

    def _change(self, kind: str, type_id: str, document: Json, **fields: Any) -> Json:
        """A change notification about the document's current version."""
        return make.change(
            kind, type_id, document["id"], version=document["version"], modifiedAt=self._now()
        ) | fields  # fmt: skip

    def _now(self) -> str:
        now = datetime.now(UTC) - (_OPENING_AGE if self._is_opening else _DELIVERY_AGE)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
