"""The answers of the lean stand-ins, by method and target. All are built from templates that are encoded only once."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

from bench.documents import (
    ORDER_GROUPS,
    Json,
    encoded,
    encoded_customer,
    inventory_template,
    order_template,
    projection,
    projection_template,
    size_and_number,
    stock_by_sku,
    with_number,
)
from commands.processes import sandbox_environment
from core.settings import Settings, load_settings
from mappers.ids import item_id, variant_id
from mappers.item import catalog_item
from mappers.variant import catalog_variants
from sandbox.samples import ENVIRONMENT

OperationAnswer = tuple[str, bytes]
"""The operation's name, and the complete HTTP answer."""

_UNKNOWN: OperationAnswer = ("unknown", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
_IDS = re.compile(rb'"(\d{8}-0000-4000-[89]000-\d{12})"')
_SKU = re.compile(rb"SKU-(\d{12})-(\d{3})")
_UPDATED = "2026-11-17T10:00:00+00:00"
_TOKEN = encoded({"access_token": "bench", "token_type": "Bearer", "expires_in": 172_800, "scope": "view_products"})
_LIMIT_HEADERS = b"RateLimit-Limit: 100000000\r\nRateLimit-Remaining: 99999999\r\nRateLimit-Reset: 60\r\n"
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\n%bContent-Length: 0\r\n\r\n" % _LIMIT_HEADERS


def commercetools_answer(method: bytes, target: bytes) -> OperationAnswer:
    """Answer for commercetools: a token, a document, or a page of product projections or inventory entries."""
    path, _, query = target.partition(b"?")
    match method, path.split(b"/")[1:]:
        case b"POST", [b"oauth", b"token"]:
            return "token", _commercetools(_TOKEN)
        case b"GET", [_, b"product-projections"]:
            results = [_projection(*size_and_number(own_id.decode())) for own_id in _IDS.findall(query)]
            return "product-projections.query", _commercetools(_page(results))
        case b"GET", [_, b"inventory"]:
            results = [
                with_number(inventory_template(int(variant)), int(number)) for number, variant in _SKU.findall(query)
            ]
            return "inventory.query", _commercetools(_page(results))
        case b"GET", [_, collection, own_id] if collection in _DOCUMENTS:
            document = _DOCUMENTS[collection](*size_and_number(own_id.decode()))
            return f"{collection.decode()}.get", _commercetools(document)
    return _UNKNOWN


def klaviyo_answer(method: bytes, target: bytes) -> OperationAnswer:
    """Answer for Klaviyo: the result of a write, or an item and its variants as they were before the change."""
    path, _, query = target.partition(b"?")
    segments = path.split(b"/")
    match method, segments[2:]:
        case b"POST", [b"events"]:
            return "create_event", _ACCEPTED
        case b"POST", [b"profile-import"]:
            return "create_or_update_profile", _profile_answer()
        case b"PATCH", [b"catalog-items", own_id]:
            size, number = size_and_number(own_id[-36:].decode())
            return "update_catalog_item", _klaviyo(with_number(_item(size), number))
        case b"PATCH", [b"catalog-variants", own_id]:
            found = _SKU.search(own_id)
            if found:
                return "update_catalog_variant", _klaviyo(with_number(_variant(), int(found[1])))
        case b"GET", [b"catalog-items", own_id, *rest]:
            return _item_answer(*size_and_number(own_id[-36:].decode()), rest, query)
    return _UNKNOWN


def _item_answer(size: int, number: int, rest: list[bytes], query: bytes) -> OperationAnswer:
    """An item as it was before the change, its variants, or the ids of its categories."""
    match rest:
        case []:
            return "get_catalog_item", _klaviyo(with_number(_item(size, changed=False), number))
        case [b"variants"]:
            return "get_variants_for_catalog_item", _klaviyo(with_number(_variants(size, query), number))
        case [b"relationships", b"categories"]:
            return "get_category_ids_for_catalog_item", _klaviyo(_categories(size))
    return _UNKNOWN


def _page(results: list[bytes]) -> bytes:
    return b'{"limit":100,"offset":0,"count":%d,"results":[%b]}' % (len(results), b",".join(results))


def _projection(size: int, number: int) -> bytes:
    return with_number(projection_template(size), number)


def _order(size: int, number: int) -> bytes:
    return with_number(order_template(size, number % ORDER_GROUPS, "Confirmed"), number)


_DOCUMENTS: Mapping[bytes, Callable[[int, int], bytes]] = {
    b"customers": lambda _, number: encoded_customer(number),
    b"orders": _order,
    b"product-projections": _projection,
    b"inventory": lambda variant, number: with_number(inventory_template(variant), number),
}


def _commercetools(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Correlation-ID: bench\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _klaviyo(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.api+json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (_LIMIT_HEADERS, len(body)) + body


@cache
def _settings() -> Settings:
    with patch.dict(os.environ, sandbox_environment("http://127.0.0.1", "http://127.0.0.1") | ENVIRONMENT):
        return load_settings()


@cache
def _profile_answer() -> bytes:
    attributes = dict.fromkeys(("email", "phone_number", "first_name", "last_name", "organization"), "as sent")
    location = dict.fromkeys(("address1", "address2", "city", "country", "region", "zip", "timezone", "ip"), "")
    return _klaviyo(
        encoded({"data": {"type": "profile", "id": "0" * 26, "attributes": {**attributes, "location": location}}})
    )


@cache
def _item(size: int, *, changed: bool = True) -> bytes:
    product = projection(size, changed=changed)
    body = catalog_item(product, _settings(), datetime.now(UTC)).body  # type: ignore[arg-type]
    data = body["data"]
    attributes = {**data["attributes"], "created": _UPDATED, "updated": _UPDATED}
    return encoded({"data": {"type": "catalog-item", "id": item_id(product["id"]), "attributes": attributes}})


@cache
def _categories(size: int) -> bytes:
    body = catalog_item(projection(size), _settings(), datetime.now(UTC)).body  # type: ignore[arg-type]
    return encoded({"data": body["data"]["relationships"]["categories"]["data"], "links": {"next": None}})


@cache
def _variant() -> bytes:
    return encoded({"data": _variant_resources(10)[0]})


@cache
def _variants(size: int, query: bytes) -> bytes:
    """A page of variants with the requested fields."""
    fields = parse_qs(query.decode()).get("fields[catalog-variant]")
    names = fields[0].split(",") if fields else None
    resources = [
        {**found, "attributes": {name: found["attributes"].get(name) for name in names or found["attributes"]}}
        for found in _variant_resources(size)
    ]
    return encoded({"data": resources, "links": {"self": "https://a.klaviyo.com/api/", "next": None, "prev": None}})


def _variant_resources(size: int) -> list[Json]:
    """A product's variants in Klaviyo before the change."""
    product: Any = projection(size, changed=False)
    before = catalog_variants(product, _settings(), datetime.now(UTC), entries_by_sku=stock_by_sku(product))
    return [
        {
            "type": "catalog-variant",
            "id": variant_id(own),
            "attributes": {**mapped.body, "external_id": own, "created": _UPDATED, "updated": _UPDATED},
            "links": {"self": f"https://a.klaviyo.com/api/catalog-variants/{own}/"},
        }
        for own, mapped in before.items()
    ]
