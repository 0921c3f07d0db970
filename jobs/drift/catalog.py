"""Categories, items and variants: reads both sides as whole lists and finds what may have drifted."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from core.errors import SyncError, Unmappable
from handlers.catalog_product import StockAndPrices, is_standalone
from handlers.comparison import (
    ABSENT,
    ExpectedProduct,
    KlaviyoProduct,
    category_differences,
    category_shop_state,
    expected_product,
    product_differences,
)
from jobs.drift.confirmation import Candidates, note_uncompared
from jobs.drift.findings import Report
from jobs.drift.snapshot import PackedRecords, read_list
from jobs.drift.stock import Stock
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.reading import Page, PageSize
from mappers.catalog_documents import ProductProjection
from mappers.ids import external_id, variant_sku
from mappers.item import product_skus, variants_of
from mappers.mapped import mapper

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The form of commercetools' ids. A Klaviyo item or category with any other id is not ours."""
_CATEGORIES_PAGE, _PRODUCTS_PAGE = 500, 50
_EXPANDED = ("categories[*].ancestors[*]",)


class CatalogSweep:
    """Compares the whole catalogs of both sides. `shop_counts` holds how many records the shop has, by kind."""

    def __init__(self, pool: WorkerPool, report: Report, errors: ErrorsFile) -> None:
        self._pool = pool
        self._services = pool.services
        self._reader = pool.reader
        self._report = report
        self._errors = errors
        self._lists = pool.services.klaviyo.lists
        self._category_names: dict[str, str] = {}
        self._items, self._variants = PackedRecords(), PackedRecords()
        self._stock = Stock(pool.services, pool.reader)
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._candidates: Candidates = {}
        self._products: set[str] = set()
        self._skus: set[str] = set()
        self.shop_counts: dict[str, int] = {}
        self.klaviyo_counts: dict[str, int] = {}
        """How many records Klaviyo has, by kind."""

    def candidates(self, kinds: Collection[str]) -> Candidates:
        """Find the records of these kinds that may have drifted, with the state of the shop's side."""
        with_products = bool({"items", "variants"} & set(kinds))
        pool, lists = self._pool, self._lists
        reads: list[Callable[[], None]] = [
            partial(read_list, pool, "categories", lists.categories, self._take_category)
        ]
        if with_products:
            reads += [
                partial(read_list, pool, "variants", lists.variants, self._variants.put),
                partial(read_list, pool, "items", lists.items, self._items.put),
                self._stock.read,
            ]
        pool.begin("catalog: Klaviyo's lists")
        pool.call_all(reads)
        self.klaviyo_counts = {
            "categories": len(self._category_names),
            "items": len(self._items),
            "variants": len(self._variants),
        }
        if "categories" in kinds:
            pool.call(self._compare_categories)
        if with_products:
            pool.begin("catalog: items in categories", len(self._category_names))
            pool.map(self._read_members, list(self._category_names))
            pool.begin("catalog: products", pool.call(partial(self._reader.count, "product-projections", [])))
            self._compare_products()
            extra = pool.call(self._find_extra)
            pool.begin("catalog: extra variants", len(extra))
            self._set_foreign("variants", sum(pool.map(self._is_foreign_variant, extra)))
        return self._candidates

    def _take_category(self, record: dict[str, Any]) -> None:
        self._category_names[external_id(record["id"])] = record["attributes"]["name"]

    def _read_members(self, category_id: str) -> None:
        read = partial(self._services.klaviyo.products_in_category, category_id)
        members = self._pool.read("Klaviyo's list of a category's items", read)
        for product_id in members:
            self._members[product_id].add(category_id)

    def _compare_categories(self) -> None:
        seen: set[str] = set()
        findings = self._report.of("categories")
        for categories in self._reader.pages("categories", [], _CATEGORIES_PAGE, ("ancestors[*]",)):
            for category in categories:
                own_id = category["id"]
                seen.add(own_id)
                try:
                    if any(category_differences(own_id, category, self._category_names.get(own_id), self._services)):
                        self._candidates["category", own_id] = category_shop_state(category, self._services)
                except SyncError as error:
                    note_uncompared(("category", own_id), error, self._report, self._errors)
        findings.total = self.shop_counts["categories"] = len(seen)
        for own_id in self._category_names.keys() - seen:
            if _UUID.fullmatch(own_id):
                self._candidates["category", own_id] = ABSENT
            else:
                findings.foreign += 1

    def _compare_products(self) -> None:
        """Compare page by page. The next page is read while one is compared."""
        documents: list[ProductProjection] = []
        size, after, is_last = PageSize(_PRODUCTS_PAGE), "", False
        while documents or not is_last:
            works: list[Any] = [partial(self._compare_page, documents)] if documents else []
            works += [] if is_last else [partial(self._read_page, after, size)]
            found = self._pool.call_all(works)
            documents = []
            if not is_last:
                page: Page = found[-1]
                documents, is_last = list(page.documents), page.is_last
                after = documents[-1]["id"] if documents else after
        self.shop_counts |= {"items": len(self._products), "variants": len(self._skus)}
        for kind in {"items", "variants"} & self._report.kinds.keys():
            self._report.of(kind).total = self.shop_counts[kind]

    def _read_page(self, after: str, size: PageSize) -> Page:
        return self._reader.page("product-projections", [], after, size, expand=_EXPANDED)

    def _compare_page(self, documents: Sequence[ProductProjection]) -> None:
        published = [product for product in documents if product.get("published") is not False]
        stock, prices = self._stock_and_prices(published)
        for product in published:
            self._products.add(product["id"])
            try:
                standalone = is_standalone(product)
                expected = expected_product(
                    product, StockAndPrices(stock, prices if standalone else {}), self._services
                )
                self._compare(expected)
            except SyncError as error:
                skus = self._report.skus[product["id"]] = _skus_if_readable(product)
                self._skus.update(skus)
                note_uncompared(("product", product["id"]), error, self._report, self._errors)
        self._pool.step(len(documents))

    def _stock_and_prices(self, products: Sequence[ProductProjection]) -> tuple[Any, Any]:
        """The stock of the products' SKUs, and standalone prices of products that use them, as handlers read both."""
        skus = [sku for product in products for sku in product_skus(product)]
        stock = self._pool.read("The stock of products", partial(self._stock.of, skus))
        if not self._services.settings.sync.price.standalone:
            return stock, None
        priced = [sku for product in products if is_standalone(product) for sku in product_skus(product)]
        read = partial(self._services.commercetools.standalone_prices, priced)
        return stock, self._pool.read("commercetools' list of standalone prices", read) if priced else {}

    def _compare(self, expected: ExpectedProduct) -> None:
        product_id = expected.product_id
        self._skus.update(expected.variants)
        owners = self._variants.owners
        elsewhere = {sku for sku in expected.variants if owners.get(sku, product_id) != product_id}
        variants = {
            sku: attributes
            for sku in expected.variants
            if sku not in elsewhere and (attributes := self._variants.get(sku)) is not None
        }
        found = KlaviyoProduct(
            self._items.get(product_id), variants, frozenset(self._members.get(product_id, ())), elsewhere
        )
        if any(product_differences(expected, found, self._services)):
            self._candidates["product", product_id] = expected.shop_state
            self._report.skus[product_id] = tuple(expected.variants)

    def _find_extra(self) -> list[str]:
        """Add items that the shop does not have to the candidates. Returns the SKUs of variants it does not have."""
        unseen = [own_id for own_id in self._items if own_id not in self._products]
        ours = [own_id for own_id in unseen if _UUID.fullmatch(own_id)]
        self._set_foreign("items", len(unseen) - len(ours))
        for own_id in {*ours} - self._hidden_unpublished(ours):
            self._candidates["product", own_id] = ABSENT
        return [sku for sku in self._variants if sku not in self._skus]

    def _is_foreign_variant(self, sku: str) -> bool:
        """True if a variant that the shop does not have is not ours.

        If it belongs to one of the shop's published products, the product becomes a candidate.
        """
        owner = self._variants.owners.get(sku)
        if owner is None:
            owner = self._pool.read("A Klaviyo variant", partial(self._services.klaviyo.product_of, sku)) or ""
        if owner in self._products:
            self._candidates.setdefault(("product", owner), None)
            return False
        return not _UUID.fullmatch(owner)

    def _set_foreign(self, kind: str, count: int) -> None:
        if kind in self._report.kinds:
            self._report.of(kind).foreign = count

    def _hidden_unpublished(self, product_ids: Sequence[str]) -> set[str]:
        """The items that are rightly hidden: their products exist but are not published."""
        if self._services.settings.sync.product.unpublished != "hide":
            return set()
        hidden = [own for own in product_ids if (self._items.get(own) or {}).get("published") is False]
        return self._reader.existing("products", hidden)


def _skus_if_readable(product: ProductProjection) -> tuple[str, ...]:
    """The SKUs of a product's variants in Klaviyo; none if the product is too malformed to tell."""
    try:
        return _skus(product)
    except Unmappable:
        return ()


@mapper
def _skus(product: ProductProjection) -> tuple[str, ...]:
    return tuple(variant_sku(product["id"], variant) for variant in variants_of(product))
