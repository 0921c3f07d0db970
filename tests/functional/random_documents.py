"""The documents of a random shop as they are now, and the deliveries that tell of them."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.control import Control
from tests.functional import documents as make
from tests.functional.documents import Json

_AGAIN = 0.6
_LATE = timedelta(seconds=45)
"""Age of a delivery when it is published: what is done differently in its first minute ends while a test runs."""
_FEWEST = 3
_OPENED = timedelta(minutes=10)


class RandomDocuments:
    """Documents as they are in the sandbox now."""

    def __init__(self, rng: random.Random, commercetools: Control) -> None:
        self._rng = rng
        self._commercetools = commercetools
        self._numbers = itertools.count(1)
        collections = ("customers", "categories", "products", "inventory", "standalone-prices", "orders", "payments")
        self._all: dict[str, dict[str, Json]] = {name: {} for name in collections}
        self._latest: dict[str, str] = {}
        self._opening = True
        """Whether what happens now happened long ago: its documents and deliveries are old."""

    def _one(self, collection: str) -> Json:
        """Any document; often the one that was changed last, so that deliveries of one resource meet."""
        latest = self._all[collection].get(self._latest.get(collection, ""))
        if latest and self._rng.random() < _AGAIN:
            return latest
        return self._rng.choice(list(self._all[collection].values()))

    def _any_to_spare(self, collection: str) -> Json | None:
        """Any document, if others would be left without it."""
        return self._one(collection) if len(self._all[collection]) > _FEWEST else None

    def _put(self, collection: str, document: Json) -> Json:
        now = self._now()
        stored = {**document, "lastModifiedAt": now} | ({"createdAt": now} if document["version"] == 1 else {})
        self._latest[collection] = stored["id"]
        self._all[collection][stored["id"]] = stored
        self._commercetools.put(collection, stored)
        return stored

    def _edit(self, collection: str, document: Json, **fields: Any) -> Json:
        """Change fields; None takes one out."""
        changed = {**document, "version": document["version"] + 1, **fields}
        return self._put(collection, {name: value for name, value in changed.items() if value is not None})

    def _delete(self, collection: str, document: Json) -> None:
        del self._all[collection][document["id"]]
        self._commercetools.delete(collection, document["id"])

    def _message(self, name: str, type_id: str, document: Json, **payload: Any) -> Json:
        """A Message about this version of a document."""
        now = self._now()
        return make.message(
            name, type_id, document["id"], resourceVersion=document["version"], createdAt=now, lastModifiedAt=now
        ) | payload  # fmt: skip

    def _change(self, kind: str, type_id: str, document: Json, **fields: Any) -> Json:
        """A change that made this version of a document."""
        return make.change(
            kind, type_id, document["id"], version=document["version"], modifiedAt=self._now()
        ) | fields  # fmt: skip

    def _now(self) -> str:
        now = datetime.now(UTC) - (_OPENED if self._opening else _LATE)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
