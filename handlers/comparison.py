"""Compare what Klaviyo has for a resource with what its handler would write, for jobs that look for drift.

Nothing is written here. The live handlers fix what differs, after they have read both sides again.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from handlers.catalog_product import StockAndPrices, is_standalone, read_stock_and_prices, stock_and_price_state
from handlers.customer_profile import has_email
from handlers.services import Services
from mappers.catalog_documents import Category, ProductProjection
from mappers.category import category_name, category_state
from mappers.difference import differing_fields
from mappers.documents import Customer
from mappers.item import catalog_item, item_category_ids, item_update, product_skus
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import item_metadata_names, variant_metadata_names
from mappers.profile import profile
from mappers.profile_difference import differing_profile_fields
from mappers.variant import catalog_variants

Kind = Literal["categories", "items", "variants", "profiles"]
Problem = Literal["missing", "differing", "extra"]

ABSENT = "gone"
"""State of a resource that needs no record in Klaviyo: the shop does not have or publish it, or it has no e-mail."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong with one record in Klaviyo, and in which `fields`.

    `own_id` is commercetools' id of the resource; for a variant it is the SKU.
    """

    kind: Kind
    own_id: str
    problem: Problem
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of one comparison. If a later one has another `shop_state`, the shop has changed in between."""

    shop_state: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedProduct:
    """What Klaviyo should have for a published product. `variants` are by SKU, `shop_state` is as in `Comparison`."""

    item: Mapped
    variants: Mapping[str, Mapped]
    shop_state: str

    @property
    def product_id(self) -> str:
        """The product's id in commercetools."""
        return str(self.item.body["data"]["attributes"]["external_id"])


@dataclass(frozen=True, slots=True)
class KlaviyoProduct:
    """What Klaviyo has for a product: the attributes of its item and, by SKU, of its variants.

    `item` is None if there is no item. `categories` are the ids of the categories it is in, None if unknown.
    `elsewhere` are SKUs whose variants belong to another item.
    """

    item: Mapping[str, Any] | None
    variants: Mapping[str, Mapping[str, Any]]
    categories: frozenset[str] | None = None
    elsewhere: Collection[str] = ()


@mapper
def expected_product(
    product: ProductProjection, stock_and_prices: StockAndPrices, services: Services
) -> ExpectedProduct:
    """What the live handler would write for a product now. Raises Unmappable."""
    settings, now = services.settings, datetime.now(UTC)
    item = catalog_item(product, settings, now, stock_and_prices.prices)
    variants = catalog_variants(product, settings, now, stock_and_prices.prices, stock_and_prices.entries)
    skus = product_skus(product)
    versions = [product["version"], stock_and_price_state(stock_and_prices, skus, skus, services)]
    return ExpectedProduct(item, variants, _digest(versions, item.body, [one.body for one in variants.values()]))


def product_differences(expected: ExpectedProduct, actual: KlaviyoProduct, services: Services) -> Iterator[Difference]:
    """What differs between the two sides of a product. A variant that belongs to another item differs in `item`."""
    settings, product_id = services.settings, expected.product_id
    if actual.item is None:
        yield Difference("items", product_id, "missing")
    else:
        update = item_update(expected.item.body)["data"]["attributes"]
        fields = list(differing_fields(update, actual.item, item_metadata_names(settings)))
        if actual.categories is not None and actual.categories != item_category_ids(expected.item.body):
            fields.append("categories")
        if fields:
            yield Difference("items", product_id, "differing", tuple(fields))
    own_keys = variant_metadata_names(settings)
    for sku, variant in expected.variants.items():
        if sku in actual.elsewhere:
            yield Difference("variants", sku, "differing", ("item",))
        elif sku not in actual.variants:
            yield Difference("variants", sku, "missing")
        elif names := tuple(differing_fields(variant.body, actual.variants[sku], own_keys)):
            yield Difference("variants", sku, "differing", names)
    for sku in actual.variants:
        if sku not in expected.variants:
            yield Difference("variants", sku, "extra")


def compare_product(product_id: str, services: Services) -> Comparison:
    """Read both sides of a product and compare them."""
    klaviyo = services.klaviyo
    product = services.commercetools.product_projection(product_id)
    if product is None:
        return _compare_unpublished(product_id, services)
    skus = product_skus(product)
    expected = expected_product(
        product, read_stock_and_prices(skus, skus, services, standalone=is_standalone(product)), services
    )
    item = klaviyo.item(product_id)
    variants = (klaviyo.variants(product_id) or {}) if item else {}
    elsewhere = [sku for sku in expected.variants if sku not in variants and _has_other_item(sku, product_id, services)]
    actual = KlaviyoProduct(
        item.attributes if item else None,
        variants,
        klaviyo.categories_of_item(product_id) if item else None,
        elsewhere,
    )
    extra = [sku for sku in variants if sku not in expected.variants]
    # A SKU that another product has now is not extra: its variant has to move to that product's item.
    moved = services.commercetools.other_products_with(extra, product_id) if extra else {}
    return Comparison(
        expected.shop_state,
        tuple(
            Difference("variants", one.own_id, "differing", ("item",))
            if one.problem == "extra" and one.own_id in moved
            else one
            for one in product_differences(expected, actual, services)
        ),
    )


def compare_category(category_id: str, services: Services) -> Comparison:
    """Read both sides of a category and compare them."""
    category = services.commercetools.category(category_id)
    shown = services.klaviyo.category_name(category_id)
    return Comparison(
        category_shop_state(category, services), tuple(category_differences(category_id, category, shown, services))
    )


def category_differences(
    category_id: str, category: Category | None, shown: str | None, services: Services
) -> Iterator[Difference]:
    """What differs between a category and its name in Klaviyo, which is None if Klaviyo lacks the category."""
    if category is None:
        if shown is not None:
            yield Difference("categories", category_id, "extra")
    elif shown is None:
        yield Difference("categories", category_id, "missing")
    elif shown != category_name(category, services.settings):
        yield Difference("categories", category_id, "differing", ("name",))


def category_shop_state(category: Category | None, services: Services) -> str:
    """State of a category in the shop, as in `Comparison.shop_state`."""
    return _digest(category_state(category), category_name(category, services.settings)) if category else ABSENT


def compare_customer(customer_id: str, services: Services) -> Comparison:
    """Read both sides of a customer and compare them."""
    customer = services.commercetools.customer(customer_id, groups=True)
    found = services.klaviyo.lists.profiles([customer_id])
    return compare_profiles(customer_id, customer, [one["attributes"] for one in found], services)


def compare_profiles(
    customer_id: str, customer: Customer | None, found: Collection[JsonObject], services: Services
) -> Comparison:
    """Compare a customer with the profiles that have the customer's id as `external_id`.

    If several do, the one that differs least counts. A customer who was deleted or has no e-mail needs no profile, so
    nothing differs.
    """
    if customer is None or not has_email(customer):
        return Comparison(ABSENT)
    wanted = profile(customer, services.settings).body["data"]["attributes"]
    shop = _digest(customer["version"], wanted)
    if not found:
        return Comparison(shop, (Difference("profiles", customer_id, "missing"),))
    fields = min((tuple(differing_profile_fields(wanted, one)) for one in found), key=len)
    return Comparison(shop, (Difference("profiles", customer_id, "differing", fields),) if fields else ())


def _compare_unpublished(product_id: str, services: Services) -> Comparison:
    """Compare a product that is not published: it should have no item or, with `unpublished = "hide"`, a hidden one.

    A deleted product should have no item.
    """
    item = services.klaviyo.item(product_id)
    if item is None:
        return Comparison(ABSENT)
    hides = services.settings.sync.product.unpublished == "hide"
    if not hides or not services.commercetools.has_product(product_id):
        return Comparison(ABSENT, (Difference("items", product_id, "extra"),))
    is_shown = item.attributes.get("published") is not False
    return Comparison(ABSENT, (Difference("items", product_id, "differing", ("published",)),) if is_shown else ())


def _has_other_item(sku: str, product_id: str, services: Services) -> bool:
    return services.klaviyo.product_of(sku) not in (None, product_id)


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
