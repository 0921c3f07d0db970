"""Look up resources of the shop by the names people use, and build notifications about them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import click

from clients.commercetools import Commercetools
from clients.retrying import message_budget
from core.errors import Refused, SyncError
from core.settings import Settings

KINDS = ("order", "customer", "product", "category")

Document = Mapping[str, Any]

_COLLECTIONS = {
    "order": "orders",
    "customer": "customers",
    "product": "product-projections",
    "category": "categories",
}
_SEARCHED = {
    "order": "order number, e-mail and id",
    "customer": "e-mail, number, key and id",
    "product": "key, SKU and id",
    "category": "key, slug and id",
}
_PREDICATES = {
    "order": "orderNumber={0} or customerEmail in ({0},{1})",
    "customer": "lowercaseEmail={1} or customerNumber={0} or key={0}",
    "product": "key={0} or masterVariant(sku={0}) or variants(sku={0})",
    "category": "key={0}",
}
"""Query predicates per kind. {0} is the name, {1} the name in lower case."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RESOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MAX_LISTED = 10
"""Resources listed when several have the name."""


@dataclass(frozen=True, slots=True)
class ShopResource:
    """A resource of the shop. `name` is what it was looked up by."""

    kind: str
    name: str
    document: Document

    @property
    def id(self) -> str:
        """Its id in commercetools."""
        return str(self.document["id"])

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name == self.id else f"{self.kind} {self.name} ({self.id})"

    def notification(self, project_key: str) -> bytes:
        """The notification that commercetools would send about it, in the Platform format, with its current version.

        It has no time, so it counts as old, and no handler waits for the resource to appear.
        """
        notification: dict[str, Any] = {"projectKey": project_key, "resource": {"typeId": self.kind, "id": self.id}}
        version = self.document["version"]
        match self.kind:
            case "order":
                notification |= _message("OrderCreated", version) | {"order": self.document}
            case "product":
                name = "ProductPublished" if self.document.get("published", True) else "ProductUnpublished"
                notification |= _message(name, version)
            case _:
                notification |= {"notificationType": "ResourceUpdated", "version": version}
        return json.dumps(notification, ensure_ascii=False, indent=2).encode()


def _message(name: str, version: int) -> dict[str, Any]:
    return {"notificationType": "Message", "type": name, "version": 1, "resourceVersion": version}


class ShopLookup:
    """Looks up one resource at a time. Every failure is a click.ClickException of one line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queries = _Queries(settings)

    def close(self) -> None:
        """Close the connections."""
        self._queries.close()

    def find(self, kind: str, name: str) -> ShopResource:
        """The resource with this id, number, e-mail, key, SKU or slug, whichever its kind has.

        Raises click.ClickException if there is none or more than one.
        """
        with self._as_click_error(), message_budget(self._settings.sync.limits):
            found = self._queries.search(kind, name)
        if not found:
            raise click.ClickException(
                f"There is no {kind} {name} in commercetools project {self._settings.ct_project_id} "
                f"({self._settings.ct_api_url}); searched by {_SEARCHED[kind]}."
            )
        if len(found) > 1:
            several = ", ".join(_short_name(document) for document in found[:_MAX_LISTED])
            more = ", …" if len(found) > _MAX_LISTED else ""
            raise click.ClickException(f"{name} matches more than one {kind}. Use one of {several}{more}")
        return ShopResource(kind, name, found[0])

    def find_each(self, kind: str, names: Sequence[str]) -> Iterator[ShopResource | None]:
        """The resource of each name; None, after an error message, for one that can't be found."""
        for name in names:
            try:
                found = self.find(kind, name)
            except click.ClickException as error:
                error.show()
                yield None
            else:
                yield found

    @contextmanager
    def _as_click_error(self) -> Iterator[None]:
        try:
            yield
        except SyncError as error:
            raise click.ClickException(
                f"commercetools does not answer ({error}). Next: python3 manage.py check"
            ) from None


class _Queries(Commercetools):
    """Queries that find a resource by the names people use."""

    def search(self, kind: str, name: str) -> list[Document]:
        """The resources with this name, at most one more than are listed."""
        looks_like_id = bool(_ID.fullmatch(name))
        found = self._by_id(kind, name) if looks_like_id else []
        found = found or self._by_name(kind, name)
        if not found and kind == "category":
            found = self._by_slug(name)
        if not found and not looks_like_id and _RESOURCE_ID.fullmatch(name):
            with suppress(Refused):  # commercetools may refuse a malformed id
                found = self._by_id(kind, name)
        return found

    def _by_id(self, kind: str, name: str) -> list[Document]:
        documents = (self._get(_COLLECTIONS[kind], name, params) for params in _param_sets(kind))
        return list(filter(None, documents))[:1]

    def _by_name(self, kind: str, name: str) -> list[Document]:
        where = _PREDICATES[kind].format(_literal(name), _literal(name.lower()))
        for params in _param_sets(kind):
            query = [("where", where), ("sort", "createdAt desc"), ("limit", str(_MAX_LISTED + 1)), *params]
            if found := self._query(_COLLECTIONS[kind], query):
                return found
        return []

    def _by_slug(self, name: str) -> list[Document]:
        """The category with this slug in any locale. Reads all categories, as a predicate would need the locale."""
        for category in self._pages("categories", "slug is defined"):
            if name in category["slug"].values():
                return [category]
        return []


def _param_sets(kind: str) -> list[list[tuple[str, str]]]:
    """Query parameters to try in turn: for a product the published version, then the draft."""
    return [[("staged", side)] for side in ("false", "true")] if kind == "product" else [[]]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _short_name(document: Document) -> str:
    number = document.get("orderNumber") or document.get("customerNumber") or document.get("key")
    return f"{number} ({document['id']})" if number else str(document["id"])
