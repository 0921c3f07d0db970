"""Compare Klaviyo's state with what the shop's documents require.

Expected stock, category paths and item categories are worked out here, without the mappers.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from commands.processes import Sandbox
from core.settings import Settings
from mappers.difference import has_differences
from mappers.item import catalog_item, item_update
from mappers.metadata import item_metadata_names, variant_metadata_names
from mappers.profile import profile
from mappers.variant import catalog_variants
from sandbox.documents import Documents
from tests.functional.documents import Json
from tests.functional.random_shop import RandomShop


def problems(sandbox: Sandbox, settings: Settings, shop: RandomShop) -> list[str]:
    """All differences between Klaviyo's state and the required one."""
    documents = Documents()
    documents.collections |= sandbox.commercetools.state()["documents"]
    klaviyo = sandbox.klaviyo.state()
    return [
        *_profile_problems(documents, klaviyo, settings, shop),
        *_category_problems(documents, klaviyo),
        *_catalog_problems(documents, klaviyo, settings),
        *_event_problems(klaviyo, shop),
    ]


def catalog_problems(sandbox: Sandbox, settings: Settings) -> list[str]:
    """All differences in the catalog: categories, items and variants."""
    documents = Documents()
    documents.collections |= sandbox.commercetools.state()["documents"]
    klaviyo = sandbox.klaviyo.state()
    return [*_category_problems(documents, klaviyo), *_catalog_problems(documents, klaviyo, settings)]


def _profile_problems(documents: Documents, klaviyo: Json, settings: Settings, shop: RandomShop) -> Iterator[str]:
    profiles = {found["external_id"]: found for found in klaviyo["profiles"] if found.get("external_id")}
    for customer_id, customer in documents.collections["customers"].items():
        wanted = profile(customer, settings).body["data"]["attributes"]  # type: ignore[arg-type]
        yield from _differences(f"profile {customer_id}", wanted, profiles.get(customer_id))
    yield from (f"profile {erased} is not erased" for erased in shop.erased & profiles.keys())


def _category_problems(documents: Documents, klaviyo: Json) -> Iterator[str]:
    categories = documents.collections["categories"]
    names = {
        category_id: " > ".join(
            categories[above]["name"]["en-US"] for above in reversed(_upwards(category_id, categories))
        )
        for category_id in categories
    }
    yield from _differences("categories", names, klaviyo["categories"])
    yield from (f"category {extra} should not exist" for extra in klaviyo["categories"].keys() - names.keys())


def _catalog_problems(documents: Documents, klaviyo: Json, settings: Settings) -> Iterator[str]:
    items, variants = dict(klaviyo["items"]), dict(klaviyo["variants"])
    now = datetime.now(UTC)
    prices = _prices_by_sku(documents)
    for projection in documents.projections(staged=False):
        product: Any = documents.expanded(projection, ["categories[*].ancestors[*]"])
        found = items.pop(product["id"], None)
        attributes = item_update(catalog_item(product, settings, now, prices).body)["data"]["attributes"]
        yield from _differences(f"item {product['id']}", attributes, found, item_metadata_names(settings))
        expected_categories = {
            category_id
            for category in product["categories"]
            for category_id in _upwards(category["id"], documents.collections["categories"])
        }
        if found and expected_categories != set(found["categories"]):
            yield f"item {product['id']} is in {sorted(found['categories'])}, not in {sorted(expected_categories)}"
        for sku, mapped in catalog_variants(product, settings, now, prices).items():
            wanted = {**mapped.body, **_stock(sku, documents), "item": product["id"]}
            yield from _differences(f"variant {sku}", wanted, variants.pop(sku, None), variant_metadata_names(settings))
    yield from (f"item {extra} should not exist" for extra in items)
    yield from (f"variant {extra} should not exist" for extra in variants)


def _prices_by_sku(documents: Documents) -> dict[str, Any]:
    """Standalone prices by SKU, sorted by id."""
    prices: dict[str, Any] = {}
    for _, price in sorted(documents.collections["standalone-prices"].items()):
        prices.setdefault(price["sku"], []).append(price)
    return prices


def _upwards(category_id: str, categories: Mapping[str, Json]) -> list[str]:
    """A category and its ancestors, up to the root."""
    path = [category_id]
    while "parent" in categories[path[-1]]:
        path.append(categories[path[-1]]["parent"]["id"])
    return path


def _stock(sku: str, documents: Documents) -> Json:
    """A SKU's stock: the entry without a channel, else the sum over all channels. Not tracked if it has no entry."""
    entries = [entry for entry in documents.collections["inventory"].values() if entry["sku"] == sku]
    counted = [entry for entry in entries if "supplyChannel" not in entry] or entries
    quantity = sum(entry["availableQuantity"] for entry in counted)
    return {"inventory_quantity": quantity, "inventory_policy": 1 if entries else 2}


def _differences(
    name: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None, metadata_names: Collection[str] = ()
) -> Iterator[str]:
    if found is None:
        yield f"{name} is missing"
        return
    for field, value in wanted.items():
        if has_differences({field: value}, found, metadata_names):
            yield f"{name}: {field} is {found.get(field)!r}, not {value!r}"


def _event_problems(klaviyo: Json, shop: RandomShop) -> Iterator[str]:
    """Events that are missing, duplicate, unexpected, or have the wrong owner or value."""
    owners = {found["id"]: found.get("external_id") or found.get("email") for found in klaviyo["profiles"]}
    counts = Counter((event["metric"], event["unique_id"]) for event in klaviyo["events"])
    yield from (f"{key} exists {count} times" for key, count in counts.items() if count > 1)
    found = {
        (event["metric"], event["unique_id"]): (event["value"], owners.get(event["profile_id"]))
        for event in klaviyo["events"]
    }
    yield from (f"{key} is missing" for key in shop.events.keys() - found.keys())
    yield from (f"{key} should not exist" for key in found.keys() - shop.events.keys())
    for key, wanted in shop.events.items():
        if key in found and found[key] != wanted:
            yield f"{key} is {found[key]}, not {wanted}"
