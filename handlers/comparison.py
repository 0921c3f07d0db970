"""What Klaviyo has of a resource, beside what its handler would write: for jobs that look for drift.

Nothing is written here. What differs is the live handler's to mend, which reads both sides again.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from handlers.catalog_product import Supplies, is_standalone, state_of, supplies_of
from handlers.customer_profile import has_email
from handlers.services import Services
from mappers.catalog_documents import Category, ProductProjection
from mappers.category import category_name, category_state
from mappers.difference import differing
from mappers.documents import Customer
from mappers.item import catalog_item, item_category_ids, item_update, stocked_skus
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.metadata import item_metadata_names, variant_metadata_names
from mappers.profile import profile
from mappers.profile_difference import differing_in_profile
from mappers.variant import catalog_variants

Kind = Literal["categories", "items", "variants", "profiles"]
What = Literal["missing", "differing", "extra"]

GONE = "gone"
"""State of a resource that the shop does not have, or does not show."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong with one record of Klaviyo's, by our own id (a SKU of variants), and in which `fields`."""

    kind: Kind
    own_id: str
    what: What
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `shop` tells one state of the shop's side from the next."""

    shop: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a published product becomes: its item, and its variants by SKU. `shop` as in `Look`."""

    item: Mapped
    variants: Mapping[str, Mapped]
    shop: str

    @property
    def product_id(self) -> str:
        """Id of the product."""
        return str(self.item.body["data"]["attributes"]["external_id"])


@dataclass(frozen=True, slots=True)
class Found:
    """What Klaviyo has of a product: attributes of its item (None: no item) and of its variants by SKU.

    `categories` are those that the item is in, None: not known. `elsewhere` are SKUs that another item has.
    """

    item: Mapping[str, Any] | None
    variants: Mapping[str, Mapping[str, Any]]
    categories: frozenset[str] | None = None
    elsewhere: Collection[str] = ()


@mapper
def wanted_of(product: ProductProjection, supplies: Supplies, services: Services) -> Wanted:
    """What the live handler would write of a product now. Raises Unmappable."""
    settings, now = services.settings, datetime.now(UTC)
    item = catalog_item(product, settings, now, supplies.prices)
    variants = catalog_variants(product, settings, now, supplies.prices, supplies.entries)
    skus = stocked_skus(product)
    versions = [product["version"], state_of(supplies, skus, skus, services)]
    return Wanted(item, variants, _digest(versions, item.body, [one.body for one in variants.values()]))


def differences_of(wanted: Wanted, found: Found, services: Services) -> Iterator[Difference]:
    """What differs between the two sides of a product; a SKU that another item has differs in its `item`."""
    settings, product_id = services.settings, wanted.product_id
    if found.item is None:
        yield Difference("items", product_id, "missing")
    else:
        update = item_update(wanted.item.body)["data"]["attributes"]
        fields = list(differing(update, found.item, item_metadata_names(settings)))
        if found.categories is not None and found.categories != item_category_ids(wanted.item.body):
            fields.append("categories")
        if fields:
            yield Difference("items", product_id, "differing", tuple(fields))
    own = variant_metadata_names(settings)
    for sku, variant in wanted.variants.items():
        if sku in found.elsewhere:
            yield Difference("variants", sku, "differing", ("item",))
        elif sku not in found.variants:
            yield Difference("variants", sku, "missing")
        elif names := tuple(differing(variant.body, found.variants[sku], own)):
            yield Difference("variants", sku, "differing", names)
    for sku in found.variants:
        if sku not in wanted.variants:
            yield Difference("variants", sku, "extra")


def look_at_product(product_id: str, services: Services) -> Look:
    """Read both sides of a product by its id, and compare them."""
    klaviyo = services.klaviyo
    product = services.commercetools.product_projection(product_id)
    if product is None:
        return _look_at_unpublished(product_id, services)
    skus = stocked_skus(product)
    wanted = wanted_of(product, supplies_of(skus, skus, services, standalone=is_standalone(product)), services)
    item = klaviyo.item(product_id)
    variants = (klaviyo.variants(product_id) or {}) if item else {}
    elsewhere = [sku for sku in wanted.variants if sku not in variants and _has_other_item(sku, product_id, services)]
    found = Found(
        item.attributes if item else None,
        variants,
        klaviyo.categories_of_item(product_id) if item else None,
        elsewhere,
    )
    extra = [sku for sku in variants if sku not in wanted.variants]
    moved = services.commercetools.products_that_hold(extra, product_id) if extra else {}
    return Look(
        wanted.shop,
        tuple(
            Difference("variants", one.own_id, "differing", ("item",))
            if one.what == "extra" and one.own_id in moved
            else one
            for one in differences_of(wanted, found, services)
        ),
    )


def look_at_category(category_id: str, services: Services) -> Look:
    """Read both sides of a category by its id, and compare them."""
    category = services.commercetools.category(category_id)
    shown = services.klaviyo.category_name(category_id)
    return Look(category_shop(category, services), tuple(category_differences(category_id, category, shown, services)))


def category_differences(
    category_id: str, category: Category | None, shown: str | None, services: Services
) -> Iterator[Difference]:
    """What differs between a category and the name that Klaviyo shows; None: there is none."""
    if category is None:
        if shown is not None:
            yield Difference("categories", category_id, "extra")
    elif shown is None:
        yield Difference("categories", category_id, "missing")
    elif shown != category_name(category, services.settings):
        yield Difference("categories", category_id, "differing", ("name",))


def category_shop(category: Category | None, services: Services) -> str:
    """What tells one state of a category from the next."""
    return _digest(category_state(category), category_name(category, services.settings)) if category else GONE


def look_at_customer(customer_id: str, services: Services) -> Look:
    """Read both sides of a customer by the id, and compare them."""
    customer = services.commercetools.customer(customer_id, groups=True)
    found = services.klaviyo.lists.profiles([customer_id])
    return look_at_profiles(customer_id, customer, [one["attributes"] for one in found], services)


def look_at_profiles(
    customer_id: str, customer: Customer | None, found: Collection[JsonObject], services: Services
) -> Look:
    """Compare a customer with the profiles that have this id. Whoever is gone, or has no e-mail, has none to have."""
    if customer is None or not has_email(customer):
        return Look(GONE)
    wanted = profile(customer, services.settings).body["data"]["attributes"]
    shop = _digest(customer["version"], wanted)
    if not found:
        return Look(shop, (Difference("profiles", customer_id, "missing"),))
    fields = min((tuple(differing_in_profile(wanted, one)) for one in found), key=len)
    return Look(shop, (Difference("profiles", customer_id, "differing", fields),) if fields else ())


def _look_at_unpublished(product_id: str, services: Services) -> Look:
    """A product that is not published has no item, or a hidden one; what is deleted has none."""
    item = services.klaviyo.item(product_id)
    if item is None:
        return Look(GONE)
    hides = services.settings.sync.product.unpublished == "hide"
    if not hides or not services.commercetools.has_product(product_id):
        return Look(GONE, (Difference("items", product_id, "extra"),))
    is_shown = item.attributes.get("published") is not False
    return Look(GONE, (Difference("items", product_id, "differing", ("published",)),) if is_shown else ())


def _has_other_item(sku: str, product_id: str, services: Services) -> bool:
    return services.klaviyo.product_of(sku) not in (None, product_id)


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
