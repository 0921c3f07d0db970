"""The documents of the mix: any number of them, derived from the samples.

A document's id contains its size and number, so the backends can answer for any document without storing it. A template
is a document that is encoded only once, with twelve nines as its number. `with_number` replaces the nines.
"""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.documents import Documents
from sandbox.samples import DOCUMENTS

Json = dict[str, Any]

PROJECT = "shop"
CHANGED_VARIANTS = 3
VERSION = 2
"""Version in every document and message: a document older than its message would be a stale read."""
SHOP_PRODUCTS = 200
"""Number of products that orders refer to."""
ORDER_GROUPS = 40
"""Number of different sets of products in orders; an order's number modulo this selects one."""

_DIGITS = 12
_NUMBER = "9" * _DIGITS
_TEMPLATE_PHONE_DIGITS = b"%08d" % ((10**_DIGITS + 11_111_110) % 10**8)
_CATEGORY_EXPANSION = ("categories[*].ancestors[*]",)


def resource_id(size: int, number: int) -> str:
    """An id in the format of commercetools; `size` is the number of line items or variants."""
    return f"{size:08d}-0000-4000-8000-{number:0{_DIGITS}d}"


def size_and_number(own_id: str) -> tuple[int, int]:
    """The inverse of `resource_id`."""
    return int(own_id[:8]), int(own_id[-_DIGITS:])


def sku(number: int, variant: int) -> str:
    """The SKU of a product's variant."""
    return f"SKU-{number:0{_DIGITS}d}-{variant:03d}"


def with_number(encoded: bytes, number: int) -> bytes:
    """An encoded template with its number replaced by this one."""
    return encoded.replace(_NUMBER.encode(), b"%0*d" % (_DIGITS, number))


def customer(number: int) -> Json:
    """A customer with a unique phone number: Klaviyo matches customers with the same number to one profile."""
    document = _sample("customers", 1)
    for address in document["addresses"]:
        address["mobile"] = f"0151 {_phone_digits(number)}"
    own = {"id": resource_id(0, number), "version": VERSION, "email": f"c{number:0{_DIGITS}d}@shop.example"}
    return document | own


def encoded_customer(number: int) -> bytes:
    """A customer as encoded by commercetools."""
    return with_number(_customer_template(), number).replace(_TEMPLATE_PHONE_DIGITS, _phone_digits(number).encode())


@cache
def _customer_template() -> bytes:
    return encoded(customer(int(_NUMBER)))


def _phone_digits(number: int) -> str:
    """Eight digits of a phone number. The template's occur in none of its ids, so they can be replaced safely."""
    return f"{(number + 11_111_111) % 10**8:08d}"


@cache
def order_template(lines: int, group: int, state: str = "Open") -> bytes:
    """An encoded order template with this many line items, all of them products of the shop."""
    return encoded(_order(lines, group, state))


def order(lines: int, number: int) -> Json:
    """The order with this number."""
    found: Json = json.loads(with_number(order_template(lines, number % ORDER_GROUPS), number))
    return found


def _order(lines: int, group: int, state: str) -> Json:
    order = _sample("orders", 1)
    samples = order["lineItems"]
    line_items = []
    for index in range(lines):
        product = (group * 5 + index) % SHOP_PRODUCTS
        line = copy.deepcopy(samples[index % len(samples)])
        line |= {"id": f"{index:08d}-0000-4000-9000-{_NUMBER}", "productId": resource_id(10, product)}
        line["variant"]["sku"] = sku(product, 1 + index % 10)
        line_items.append(line)
    cents = sum(line["totalPrice"]["centAmount"] for line in line_items)
    total = {**order["totalPrice"], "centAmount": cents}
    own_id = resource_id(lines, int(_NUMBER))
    return order | {"id": own_id, "version": VERSION, "orderNumber": f"S-{_NUMBER}", "orderState": state,
                    "totalPrice": total, "lineItems": line_items, "customerId": resource_id(0, int(_NUMBER)),
                    "customerEmail": f"c{_NUMBER}@shop.example"}  # fmt: skip


@cache
def projection_template(variants: int) -> bytes:
    """An encoded template of a product projection with this many variants and expanded categories."""
    return encoded(projection(variants))


def projection(variants: int, *, changed: bool = True, expanded: bool = True) -> Json:
    """A published projection with the template's number. `changed` means after the change that its message reports."""
    documents = Documents()
    for category in categories():
        documents.put("categories", category)
    documents.put("products", product(variants, int(_NUMBER), changed=changed))
    (found,) = documents.projections(staged=False)
    return documents.expanded(found, _CATEGORY_EXPANSION if expanded else ())


def product(variants: int, number: int, *, changed: bool = True) -> Json:
    """A product. `changed` raises the prices of its last CHANGED_VARIANTS variants, or of all if it has fewer."""
    document = _sample("products", 1)
    data = document["masterData"]["current"]
    known = [data["masterVariant"], *data["variants"]]
    own = []
    for index in range(variants):
        variant = copy.deepcopy(known[index % len(known)])
        variant |= {"id": index + 1, "sku": sku(number, index + 1), "key": f"v{number}-{index + 1}"}
        variant.pop("availability", None)  # the sandbox computes it from the inventory entries
        if changed and index >= variants - CHANGED_VARIANTS:
            for price in variant["prices"]:
                price["value"]["centAmount"] += 100
        own.append(variant)
    current = data | {"masterVariant": own[0], "variants": own[1:]}
    return document | {
        "id": resource_id(variants, number),
        "version": VERSION,
        "masterData": {"published": True, "hasStagedChanges": False, "current": current, "staged": current},
    }


def categories() -> list[Json]:
    """The shop's categories."""
    return [_sample("categories", number) for number in (1, 2, 3, 4)]


def inventory_entry(number: int, variant: int = 0) -> Json:
    """Stock of a variant. Variant 0 is in no product of the mix, so stock and product messages don't share locks."""
    own = {"id": resource_id(variant, number), "version": VERSION, "sku": sku(number, variant)}
    return _sample("inventory", 1) | own | {"quantityOnStock": 20 + variant, "availableQuantity": 20 + variant}


def stock_by_sku(product: Any) -> Any:
    """The inventory entries for the variants of a projection template, by SKU."""
    variants = (product["masterVariant"], *product["variants"])
    return {variant["sku"]: [inventory_entry(int(_NUMBER), variant["id"])] for variant in variants}


@cache
def inventory_template(variant: int) -> bytes:
    """An encoded template of a variant's inventory entry."""
    return encoded(inventory_entry(int(_NUMBER), variant))


def encoded(document: object) -> bytes:
    """JSON as encoded by commercetools."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@cache
def _files(collection: str) -> list[Path]:
    return sorted((DOCUMENTS / collection).glob("*.json"))


def _sample(collection: str, number: int) -> Json:
    document: Json = json.loads(_files(collection)[number - 1].read_text(encoding="utf-8"))
    return document
