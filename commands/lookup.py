"""Notifications about resources of the shop as it is now, found by what people call them."""

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
_ASKED = {
    "order": "an order number, an e-mail and an id",
    "customer": "an e-mail, a number, a key and an id",
    "product": "a key, a SKU and an id",
    "category": "a key, a slug and an id",
}
_WHERE = {
    "order": "orderNumber={0} or customerEmail in ({0},{1})",
    "customer": "lowercaseEmail={1} or customerNumber={0} or key={0}",
    "product": "key={0} or masterVariant(sku={0}) or variants(sku={0})",
    "category": "key={0}",
}
"""Predicates of the names that each kind has; 1 is the name in lower case."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RESOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST = 10
"""Resources of one name that are listed, to choose from."""


@dataclass(frozen=True, slots=True)
class ShopResource:
    """A resource of the shop: `name` is what people called it."""

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
        """What commercetools would say of it, in the Platform format, with today's version.

        It has no time, so it counts as old: nothing waits for a resource to appear.
        """
        told: dict[str, Any] = {"projectKey": project_key, "resource": {"typeId": self.kind, "id": self.id}}
        version = self.document["version"]
        match self.kind:
            case "order":
                told |= _message("OrderCreated", version) | {"order": self.document}
            case "product":
                name = "ProductPublished" if self.document.get("published", True) else "ProductUnpublished"
                told |= _message(name, version)
            case _:
                told |= {"notificationType": "ResourceUpdated", "version": version}
        return json.dumps(told, ensure_ascii=False, indent=2).encode()


def _message(name: str, version: int) -> dict[str, Any]:
    return {"notificationType": "Message", "type": name, "version": 1, "resourceVersion": version}


class ShopLookup:
    """The shop, asked for one resource at a time. Everything that goes wrong is a click.ClickException of one line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reads = _Reads(settings)

    def close(self) -> None:
        """Close the connections."""
        self._reads.close()

    def find(self, kind: str, name: str) -> ShopResource:
        """The resource with this id, number, e-mail, key, SKU or slug, whichever such a resource has."""
        with self._told_in_a_line(), message_budget(self._settings.sync.limits):
            found = self._reads.named(kind, name)
        if not found:
            raise click.ClickException(
                f"There is no {kind} {name} in commercetools project {self._settings.ct_project_id} "
                f"({self._settings.ct_api_url}); looked for {_ASKED[kind]}."
            )
        if len(found) > 1:
            several = ", ".join(_shortly(document) for document in found[:_MOST])
            more = ", …" if len(found) > _MOST else ""
            raise click.ClickException(f"{name} is not the only {kind} of that name: name one of {several}{more}")
        return ShopResource(kind, name, found[0])

    def find_each(self, kind: str, names: Sequence[str]) -> Iterator[ShopResource | None]:
        """The resource of each name; None for one that is not to be had, after that was said."""
        for name in names:
            try:
                found = self.find(kind, name)
            except click.ClickException as error:
                error.show()
                yield None
            else:
                yield found

    @contextmanager
    def _told_in_a_line(self) -> Iterator[None]:
        try:
            yield
        except SyncError as error:
            raise click.ClickException(
                f"commercetools does not answer ({error}); python3 manage.py check says what is wrong."
            ) from None


class _Reads(Commercetools):
    """The reads that find a resource by what people call it."""

    def named(self, kind: str, name: str) -> list[Document]:
        """The resources of this name; none may be a few more than are listed."""
        looks_like_id = bool(_ID.fullmatch(name))
        found = self._of_id(kind, name) if looks_like_id else []
        found = found or self._of_name(kind, name)
        if not found and kind == "category":
            found = self._of_slug(name)
        if not found and not looks_like_id and _RESOURCE_ID.fullmatch(name):
            with suppress(Refused):  # commercetools may mind an id that is none
                found = self._of_id(kind, name)
        return found

    def _of_id(self, kind: str, name: str) -> list[Document]:
        documents = (self._get(_COLLECTIONS[kind], name, params) for params in _sides(kind))
        return list(filter(None, documents))[:1]

    def _of_name(self, kind: str, name: str) -> list[Document]:
        where = _WHERE[kind].format(_literal(name), _literal(name.lower()))
        for params in _sides(kind):
            asked = [("where", where), ("sort", "createdAt desc"), ("limit", str(_MOST + 1)), *params]
            if found := self._query(_COLLECTIONS[kind], asked):
                return found
        return []

    def _of_slug(self, name: str) -> list[Document]:
        """In whichever locale: a predicate would have to name it."""
        for category in self._pages("categories", "slug is defined"):
            if name in category["slug"].values():
                return [category]
        return []


def _sides(kind: str) -> list[list[tuple[str, str]]]:
    """Parameters of the reads to try: of a product first what shoppers see, then what is being worked on."""
    return [[("staged", side)] for side in ("false", "true")] if kind == "product" else [[]]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shortly(document: Document) -> str:
    number = document.get("orderNumber") or document.get("customerNumber") or document.get("key")
    return f"{number} ({document['id']})" if number else str(document["id"])
