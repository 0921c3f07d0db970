"""The documents of the mix: the samples' own, made into as many as are needed.

A document's size and number stand in its id, so the backends answer for any of them without holding them. Every text
with a number in it has twelve digits for it: `numbered` puts another number into a document that was encoded once.
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
"""Of every document, and in every message: a read that is older than its message is not copied."""
SHOP_PRODUCTS = 200
"""Products that orders are about."""
ORDER_GROUPS = 40
"""Orders differ in their products; those whose numbers are equal modulo this have the same ones."""

_DIGITS = 12
_NUMBER = "9" * _DIGITS
_SUBSCRIBER = b"%08d" % ((10**_DIGITS + 11_111_110) % 10**8)
_CATEGORY_EXPANSION = ("categories[*].ancestors[*]",)


def identity(size: int, number: int) -> str:
    """An id that looks like one of commercetools'; `size` counts line items or variants."""
    return f"{size:08d}-0000-4000-8000-{number:0{_DIGITS}d}"


def size_and_number(own_id: str) -> tuple[int, int]:
    """What `identity` made an id of."""
    return int(own_id[:8]), int(own_id[-_DIGITS:])


def sku(number: int, variant: int) -> str:
    """SKU of a product's variant."""
    return f"SKU-{number:0{_DIGITS}d}-{variant:03d}"


def numbered(encoded: bytes, number: int) -> bytes:
    """An encoded document with this number in the place of the one it was made with."""
    return encoded.replace(_NUMBER.encode(), b"%0*d" % (_DIGITS, number))


def customer(number: int) -> Json:
    """A customer with a phone number of their own: two with the same one are one person to Klaviyo."""
    document = _sample("customers", 1)
    for address in document["addresses"]:
        address["mobile"] = f"0151 {_subscriber(number)}"
    own = {"id": identity(0, number), "version": VERSION, "email": f"c{number:0{_DIGITS}d}@shop.example"}
    return document | own


def encoded_customer(number: int) -> bytes:
    """A customer as commercetools sends them."""
    return numbered(_customer_template(), number).replace(_SUBSCRIBER, _subscriber(number).encode())


@cache
def _customer_template() -> bytes:
    return encoded(customer(int(_NUMBER)))


def _subscriber(number: int) -> str:
    """Eight digits of a phone number; no id has them in a row."""
    return f"{(number + 11_111_111) % 10**8:08d}"


@cache
def order_template(lines: int, group: int, state: str = "Open") -> bytes:
    """An order of so many line items, of the shop's own products."""
    return encoded(_order(lines, group, state))


def order(lines: int, number: int) -> Json:
    """An order by its number."""
    found: Json = json.loads(numbered(order_template(lines, number % ORDER_GROUPS), number))
    return found


def _order(lines: int, group: int, state: str) -> Json:
    order = _sample("orders", 1)
    samples = order["lineItems"]
    line_items = []
    for index in range(lines):
        product = (group * 5 + index) % SHOP_PRODUCTS
        line = copy.deepcopy(samples[index % len(samples)])
        line |= {"id": f"{index:08d}-0000-4000-9000-{_NUMBER}", "productId": identity(10, product)}
        line["variant"]["sku"] = sku(product, 1 + index % 10)
        line_items.append(line)
    cents = sum(line["totalPrice"]["centAmount"] for line in line_items)
    total = {**order["totalPrice"], "centAmount": cents}
    own_id = identity(lines, int(_NUMBER))
    return order | {"id": own_id, "version": VERSION, "orderNumber": f"S-{_NUMBER}", "orderState": state,
                    "totalPrice": total, "lineItems": line_items, "customerId": identity(0, int(_NUMBER)),
                    "customerEmail": f"c{_NUMBER}@shop.example"}  # fmt: skip


@cache
def projection_template(variants: int) -> bytes:
    """What shoppers see of a product of so many variants, with its categories expanded."""
    return encoded(projection(variants))


def projection(variants: int, *, changed: bool = True, expanded: bool = True) -> Json:
    """A published projection; `changed`: as it is after the change that its message is about."""
    documents = Documents()
    for category in categories():
        documents.put("categories", category)
    documents.put("products", product(variants, int(_NUMBER), changed=changed))
    (found,) = documents.projections(staged=False)
    return documents.expanded(found, _CATEGORY_EXPANSION if expanded else ())


def product(variants: int, number: int, *, changed: bool = True) -> Json:
    """A product; with `changed` its last three variants (of one variant: that one) have other prices than without."""
    document = _sample("products", 1)
    data = document["masterData"]["current"]
    known = [data["masterVariant"], *data["variants"]]
    own = []
    for index in range(variants):
        variant = copy.deepcopy(known[index % len(known)])
        variant |= {"id": index + 1, "sku": sku(number, index + 1), "key": f"v{number}-{index + 1}"}
        variant.pop("availability", None)  # the sandbox makes it from the inventory entries
        if changed and index >= variants - CHANGED_VARIANTS:
            for price in variant["prices"]:
                price["value"]["centAmount"] += 100
        own.append(variant)
    current = data | {"masterVariant": own[0], "variants": own[1:]}
    return document | {
        "id": identity(variants, number),
        "version": VERSION,
        "masterData": {"published": True, "hasStagedChanges": False, "current": current, "staged": current},
    }


def categories() -> list[Json]:
    """The shop's categories."""
    return [_sample("categories", number) for number in (1, 2, 3, 4)]


def inventory_entry(number: int, variant: int = 0) -> Json:
    """Stock of a variant. No product of the mix has variant 0: stock and product messages don't wait for each other."""
    own = {"id": identity(variant, number), "version": VERSION, "sku": sku(number, variant)}
    return _sample("inventory", 1) | own | {"quantityOnStock": 20 + variant, "availableQuantity": 20 + variant}


def stock_by_sku(product: Any) -> Any:
    """The inventory entries of a projection template's variants, by SKU."""
    variants = (product["masterVariant"], *product["variants"])
    return {variant["sku"]: [inventory_entry(int(_NUMBER), variant["id"])] for variant in variants}


@cache
def inventory_template(variant: int) -> bytes:
    """An inventory entry of a variant."""
    return encoded(inventory_entry(int(_NUMBER), variant))


def encoded(document: object) -> bytes:
    """JSON as commercetools sends it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@cache
def _files(collection: str) -> list[Path]:
    return sorted((DOCUMENTS / collection).glob("*.json"))


def _sample(collection: str, number: int) -> Json:
    document: Json = json.loads(_files(collection)[number - 1].read_text(encoding="utf-8"))
    return document
