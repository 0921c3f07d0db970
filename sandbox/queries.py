"""commercetools query parameters: where, sort, limit and offset, and the fields that predicates may name."""

from collections.abc import Iterable
from typing import Any

from sandbox.predicates import Predicate, PredicateError, compile_predicate

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 500
LARGEST_OFFSET = 10_000

_COMMON = frozenset(
    {"id", "version", "key", "createdAt", "lastModifiedAt", "createdBy", "lastModifiedBy", "custom", "externalId"}
)
FIELDS: dict[str, frozenset[str]] = {
    "customers": _COMMON
    | {
        "customerNumber", "email", "lowercaseEmail", "firstName", "lastName", "middleName", "title", "salutation",
        "dateOfBirth", "companyName", "vatId", "addresses", "defaultShippingAddressId", "defaultBillingAddressId",
        "shippingAddressIds", "billingAddressIds", "isEmailVerified", "customerGroup", "customerGroupAssignments",
        "locale", "stores", "authenticationMode",
    },
    "orders": _COMMON
    | {
        "orderNumber", "purchaseOrderNumber", "customerId", "customerEmail", "anonymousId", "customerGroup", "store",
        "businessUnit", "lineItems", "customLineItems", "totalPrice", "taxedPrice", "taxedShippingPrice",
        "discountOnTotalPrice", "shippingAddress", "billingAddress", "shippingMode", "shipping", "shippingInfo",
        "itemShippingAddresses", "orderState", "shipmentState", "paymentState", "state", "paymentInfo", "returnInfo",
        "syncInfo", "discountCodes", "directDiscounts", "refusedGifts", "cart", "quote", "origin", "country",
        "locale", "taxMode", "inventoryMode", "completedAt", "recurringOrder", "deleteDaysAfterLastModification",
    },
    "customer-groups": _COMMON | {"name"},
    "types": _COMMON | {"name", "description", "resourceTypeIds", "fieldDefinitions"},
    "discount-codes": _COMMON
    | {
        "name", "description", "code", "cartDiscounts", "cartPredicate", "isActive", "references", "maxApplications",
        "maxApplicationsPerCustomer", "groups", "validFrom", "validUntil", "applicationVersion",
    },
    "payments": _COMMON
    | {
        "interfaceId", "customer", "anonymousId", "amountPlanned", "paymentMethodInfo", "paymentStatus",
        "transactions", "interfaceInteractions",
    },
    "categories": _COMMON
    | {
        "name", "slug", "description", "ancestors", "parent", "orderHint", "metaTitle", "metaDescription",
        "metaKeywords", "assets",
    },
    "products": _COMMON | {"productType", "masterData", "taxCategory", "state", "priceMode", "reviewRatingStatistics"},
    "product-projections": _COMMON
    | {
        "productType", "taxCategory", "state", "priceMode", "reviewRatingStatistics", "published", "hasStagedChanges",
        "name", "description", "slug", "categories", "categoryOrderHints", "metaTitle", "metaDescription",
        "metaKeywords", "searchKeywords", "attributes", "masterVariant", "variants",
    },
    "inventory": _COMMON
    | {
        "sku", "supplyChannel", "quantityOnStock", "availableQuantity", "restockableInDays", "expectedDelivery",
        "reservations", "minCartQuantity", "maxCartQuantity", "stockLevels",
    },
    "standalone-prices": _COMMON
    | {
        "sku", "value", "country", "customerGroup", "channel", "validFrom", "validUntil", "tiers", "discounted",
        "staged", "active", "recurrencePolicy",
    },
    "states": _COMMON | {"name", "description", "type", "roles", "builtIn", "initial", "transitions"},
    "channels": _COMMON | {"name", "description", "roles", "address", "geoLocation", "reviewRatingStatistics"},
    "stores": _COMMON
    | {"name", "languages", "countries", "distributionChannels", "supplyChannels", "productSelections"},
    "messages": _COMMON | {"sequenceNumber", "resource", "resourceVersion", "resourceUserProvidedIdentifiers", "type"},
    "subscriptions": _COMMON | {"destination", "messages", "changes", "events", "format", "status"},
}  # fmt: skip


class QueryError(ValueError):
    """An invalid query parameter; the text is commercetools' error message."""


def _number(query: dict[str, list[str]], name: str, default: int, largest: int, least: int = 0) -> int:
    text = query.get(name, [str(default)])[-1]
    try:
        number = int(text)
    except ValueError as error:
        raise QueryError(f"Malformed parameter: {name}: '{text}' is not a number.") from error
    if not least <= number <= largest:
        raise QueryError(f"Malformed parameter: {name}: must be between {least} and {largest} (was {number}).")
    return number


def flag(query: dict[str, list[str]], name: str, *, default: bool) -> bool:
    """The value of a `true` or `false` parameter; raises QueryError."""
    text = query.get(name, [str(default).lower()])[-1]
    if text not in ("true", "false"):
        raise QueryError(f"Malformed parameter: {name}: '{text}' is not true or false.")
    return text == "true"


def predicates(collection: str, query: dict[str, list[str]]) -> list[Predicate]:
    """The compiled `where` parameters; raises QueryError, also for fields that the collection does not have."""
    variables = tuple((name[4:], tuple(values)) for name, values in query.items() if name.startswith("var."))
    result = []
    for text in query.get("where", []):
        try:
            predicate = compile_predicate(text, variables)
        except (PredicateError, RecursionError) as error:
            raise QueryError(f"Malformed parameter: where: {error}") from error
        if unknown := sorted(predicate.fields - FIELDS[collection]):
            raise QueryError(f"Malformed parameter: where: The field '{unknown[0]}' does not exist.")
        result.append(predicate)
    return result


def page(collection: str, documents: Iterable[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    """One page of query results; raises QueryError."""
    limit = _number(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT)
    offset = _number(query, "offset", 0, LARGEST_OFFSET)
    with_total = flag(query, "withTotal", default=True)
    conditions = predicates(collection, query)
    found = [document for document in documents if all(condition.matches(document) for condition in conditions)]
    for order in reversed(query.get("sort", [])):
        path, _, direction = order.partition(" ")
        if direction not in ("", "asc", "desc") or path.split(".")[0] not in FIELDS[collection]:
            raise QueryError(f"Malformed parameter: sort: '{order}'.")
        found.sort(key=lambda document: _sort_key(document, path), reverse=direction == "desc")
    results = found[offset : offset + limit]
    answer = {"limit": limit, "offset": offset, "count": len(results), "results": results}
    return {**answer, "total": len(found)} if with_total else answer


def _sort_key(document: dict[str, Any], path: str) -> tuple[bool, float, str]:
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    is_number = isinstance(value, int | float)
    return value is not None, value if is_number else 0, "" if is_number or value is None else str(value)
