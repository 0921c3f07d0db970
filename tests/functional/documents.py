"""Small commercetools documents and notifications for tests. Fields passed as arguments replace the defaults."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

CREATED = "2026-05-01T10:00:00.000Z"
PROJECT = "shop"


def money(cents: int, currency: str = "EUR") -> Json:
    """An amount in cent precision."""
    return {"type": "centPrecision", "currencyCode": currency, "centAmount": cents, "fractionDigits": 2}


def reference(type_id: str, resource_id: str) -> Json:
    """An unexpanded reference."""
    return {"typeId": type_id, "id": resource_id}


def customer(customer_id: str = "customer-1", **fields: Any) -> Json:
    """A customer with a name and an address in Berlin."""
    return _document(customer_id) | {
        "email": f"{customer_id}@example.com",
        "firstName": "Annika",
        "lastName": "Brandauer",
        "locale": "de-DE",
        "addresses": [address()],
        "defaultBillingAddressId": "address-1",
        "billingAddressIds": ["address-1"],
        "isEmailVerified": False,
    } | fields  # fmt: skip


def address(address_id: str = "address-1", **fields: Any) -> Json:
    """An address with a valid German mobile number."""
    return {
        "id": address_id,
        "streetName": "Lindenallee",
        "streetNumber": "12",
        "postalCode": "10115",
        "city": "Berlin",
        "country": "DE",
        "mobile": "0171 3920014",
    } | fields


def order(order_id: str = "order-1", *, lines: Iterable[Json] | None = None, **fields: Any) -> Json:
    """An open order of customer-1, by default with one line item. A field set to None is left out."""
    line_items = [line_item()] if lines is None else list(lines)
    total = sum(line["totalPrice"]["centAmount"] for line in line_items)
    document = _document(order_id) | {
        "orderNumber": f"number-of-{order_id}",
        "customerId": "customer-1",
        "customerEmail": "customer-1@example.com",
        "orderState": "Open",
        "paymentState": "Pending",
        "shipmentState": "Pending",
        "origin": "Customer",
        "lineItems": line_items,
        "customLineItems": [],
        "totalPrice": money(total),
        "billingAddress": address(firstName="Annika", lastName="Brandauer"),
        "shippingAddress": address(firstName="Annika", lastName="Brandauer"),
        "syncInfo": [],
    } | fields  # fmt: skip
    return {name: value for name, value in document.items() if value is not None}


def line_item(number: int = 1, product_id: str = "product-1", **fields: Any) -> Json:
    """A line item: two units at 10.00 EUR each."""
    return {
        "id": f"line-{number}",
        "productId": product_id,
        "name": {"en-US": f"Product {number}"},
        "productSlug": {"en-US": f"product-{number}"},
        "variant": variant(f"SKU-{number}"),
        "price": {"id": f"price-{number}", "value": money(1000)},
        "quantity": 2,
        "totalPrice": money(2000),
        "priceMode": "Platform",
        "state": [{"quantity": 2, "state": reference("state", "state-initial")}],
    } | fields


def variant(sku: str = "SKU-1", variant_id: int = 1, **fields: Any) -> Json:
    """A variant at 10.00 EUR with a brand and an image. Its stock is in inventory entries."""
    return {
        "id": variant_id,
        "sku": sku,
        "prices": [{"id": f"price-{variant_id}", "value": money(1000)}],
        "images": [{"url": f"https://cdn.example.com/{variant_id}.jpg", "dimensions": {"w": 800, "h": 800}}],
        "attributes": [{"name": "brand", "value": "Linden & Loom"}],
    } | fields


def product(
    product_id: str = "product-1",
    variants: Sequence[Json] | None = None,
    *,
    categories: Sequence[str] = (),
    published: bool = True,
    root: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Json:
    """A product. `fields` go into its current and staged data (None removes one), `root` next to `masterData`."""
    known = [variant(f"{product_id}-sku")] if variants is None else list(variants)
    data = {
        "name": {"en-US": f"Name of {product_id}", "de-DE": f"Name von {product_id}"},
        "description": {"en-US": f"What {product_id} is"},
        "slug": {"en-US": f"slug-of-{product_id}"},
        "categories": [reference("category", category_id) for category_id in categories],
        "categoryOrderHints": {},
        "masterVariant": known[0],
        "variants": known[1:],
    } | fields  # fmt: skip
    current = {name: value for name, value in data.items() if value is not None}
    return _document(product_id) | {
        "productType": reference("product-type", "type-1"),
        "priceMode": "Embedded",
        "masterData": {"published": published, "hasStagedChanges": False, "current": current, "staged": current},
    } | dict(root or {})  # fmt: skip


def category(category_id: str, name: str, *, ancestors: Sequence[str] = (), **fields: Any) -> Json:
    """A category. `ancestors` are ids, the root first."""
    document = _document(category_id) | {
        "name": {"en-US": name},
        "slug": {"en-US": f"slug-of-{category_id}"},
        "ancestors": [reference("category", ancestor) for ancestor in ancestors],
        "orderHint": "0.1",
    }
    if ancestors:
        document["parent"] = reference("category", ancestors[-1])
    return document | fields


def entry(entry_id: str = "entry-1", sku: str = "product-1-sku", quantity: int = 5, **fields: Any) -> Json:
    """An inventory entry of a SKU, without supply channel, all of it available."""
    return _document(entry_id) | {"sku": sku, "quantityOnStock": quantity, "availableQuantity": quantity} | fields


def payment(payment_id: str = "payment-1", transactions: Iterable[Json] | None = None, **fields: Any) -> Json:
    """A payment, by default with one refund."""
    known = [transaction()] if transactions is None else list(transactions)
    return _document(payment_id) | {"amountPlanned": money(2000), "transactions": known} | fields


def transaction(transaction_id: str = "refund-1", cents: int = 500, **fields: Any) -> Json:
    """A successful refund transaction."""
    return {
        "id": transaction_id,
        "timestamp": "2026-05-03T09:00:00.000Z",
        "type": "Refund",
        "amount": money(cents),
        "state": "Success",
    } | fields


def message(name: str, type_id: str, resource_id: str, **payload: Any) -> Json:
    """A Message in PlatformFormat."""
    return {
        "notificationType": "Message",
        "projectKey": PROJECT,
        "id": f"message-of-{resource_id}",
        "version": 1,
        "sequenceNumber": 1,
        "resource": reference(type_id, resource_id),
        "resourceVersion": 1,
        "type": name,
        "createdAt": "2026-05-02T08:00:00.000Z",
        "lastModifiedAt": "2026-05-02T08:00:00.000Z",
    } | payload


def too_large(name: str, type_id: str, resource_id: str, **payload: Any) -> Json:
    """The same Message as commercetools sends it when the payload is too large to include."""
    delivery = message(name, type_id, resource_id, **payload)
    del delivery["type"]
    return delivery | {"payloadNotIncluded": {"reason": "The payload is too large.", "payloadType": name}}


def change(kind: str, type_id: str, resource_id: str, **fields: Any) -> Json:
    """A change: ResourceCreated, ResourceUpdated or ResourceDeleted."""
    return {
        "notificationType": kind,
        "projectKey": PROJECT,
        "resource": reference(type_id, resource_id),
        "version": 1,
        "modifiedAt": "2026-05-02T08:00:00.000Z",
    } | fields


def recent(delivery: Mapping[str, Any]) -> Json:
    """The same notification, about something that happened just now."""
    name = "modifiedAt" if "modifiedAt" in delivery else "createdAt"
    return {**delivery, name: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _document(document_id: str) -> Json:
    return {"id": document_id, "version": 1, "createdAt": CREATED, "lastModifiedAt": CREATED}
