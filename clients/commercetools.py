"""Read commercetools: the documents that handlers need, and the queries that find them.

A document that does not exist is None. Every other failure raises a SyncError.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from cachetools import TTLCache

from clients.commercetools_reads import CommercetoolsReads
from clients.predicates import IDS_PER_QUERY, PREDICATE_CHARACTERS, any_of, chunks, literal, shown_prices
from clients.recent_prices import RecentPrices
from core.errors import TryAgain
from core.logs import log
from core.settings import Settings
from mappers.catalog_documents import Category, InventoryEntry, Price, ProductProjection
from mappers.documents import Customer
from mappers.item import product_skus
from mappers.order_documents import DiscountCode, Order, Payment, State

_FORBIDDEN = 403
_NO_SCOPE = "insufficient_scope"
CUSTOMER_GROUPS = ("customerGroup", "customerGroupAssignments[*].customerGroup")
"""What to expand to get a customer's groups with their keys."""
_GROUPS, _GROUP_SECONDS = 100, 300.0
"""How many ids of customer groups to cache, and for how long: a group can be deleted and created again with its key."""


class Commercetools(CommercetoolsReads):
    """The reads that handlers need. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._reported_scopes: set[str] = set()
        self._group_lock = threading.Lock()
        self._group_ids: TTLCache[str, str] = TTLCache(_GROUPS, _GROUP_SECONDS)
        self.recent_prices = RecentPrices(settings.sync.price)
        channels = settings.sync.inventory.channel
        self._channels = f"supplyChannel(id in {any_of(channels)})" if channels else ""
        """Predicate for the inventory entries of the configured channels; empty if none are configured."""

    def customer(self, customer_id: str, *, groups: bool = False) -> Customer | None:
        """The current customer. `groups` expands its customer groups, if the API client may read them."""
        expand = [("expand", path) for path in CUSTOMER_GROUPS] if groups else []
        return self._get("customers", customer_id, expand)

    def customer_by_email(self, email: str) -> Customer | None:
        """The oldest customer with this e-mail, in upper or lower case and in any store."""
        where = f"lowercaseEmail={literal(email.lower())}"
        found = self._query("customers", [("where", where), ("sort", "createdAt asc"), ("limit", "1")])
        return found[0] if found else None

    def customer_group_id(self, key: str) -> str | None:
        """Id of the customer group with this key, cached for five minutes; None if there is no such group."""
        with self._group_lock:
            cached = self._group_ids.get(key)
        if cached:
            return cached
        group = self.with_key("customer-groups", key)
        if not group:
            return None
        group_id = str(group["id"])
        with self._group_lock:
            self._group_ids[key] = group_id
        return group_id

    def order(self, order_id: str, *, with_state: bool = False) -> Order | None:
        """The current order. `with_state` expands its workflow state, if the API client may read that."""
        return self._get("orders", order_id, [("expand", "state")] if with_state else [])

    def state(self, state_id: str) -> State | None:
        """The current workflow state."""
        return self._get("states", state_id)

    def order_of_payment(self, payment_id: str) -> Order | None:
        """The oldest order whose `paymentInfo` contains the payment."""
        where = f"paymentInfo(payments(id={literal(payment_id)}))"
        found = self._query("orders", [("where", where), ("sort", "createdAt asc"), ("limit", "1")])
        return found[0] if found else None

    def payment(self, payment_id: str) -> Payment | None:
        """The current payment."""
        return self._get("payments", payment_id)

    def category(self, category_id: str) -> Category | None:
        """The category with its ancestors expanded."""
        return self._get("categories", category_id, [("expand", "ancestors[*]")])

    def descendants(self, category_id: str) -> list[Category]:
        """All descendants of the category, each with its ancestors expanded."""
        where = f"ancestors(id={literal(category_id)})"
        return list(self._pages("categories", where, [("expand", "ancestors[*]")]))

    def product_projection(self, product_id: str) -> ProductProjection | None:
        """Published projection, with categories and their ancestors expanded; None if the product is not published."""
        params = [("staged", "false"), ("expand", "categories[*].ancestors[*]")]
        product: ProductProjection | None = self._get("product-projections", product_id, params)
        return product if product and product.get("published") is not False else None

    def has_product(self, product_id: str) -> bool:
        """True if the product exists, published or not."""
        return self._get("products", product_id) is not None

    def published_products(self, category_ids: Iterable[str]) -> Iterator[ProductProjection]:
        """Published products in any of these categories, with categories and their ancestors expanded; read lazily."""
        params = [("staged", "false"), ("expand", "categories[*].ancestors[*]")]
        seen: set[str] = set()
        for ids in chunks(category_ids):
            where = f"categories(id in {any_of(ids)})"
            for product in self._pages("product-projections", where, params, size=IDS_PER_QUERY):
                if product["id"] not in seen:
                    seen.add(product["id"])
                    yield product

    def published_projections(self, product_ids: Sequence[str]) -> list[ProductProjection]:
        """Published projections of these products, with categories and their ancestors expanded."""
        found: list[ProductProjection] = []
        for ids in chunks(product_ids):
            params = [
                ("where", f"id in {any_of(ids)}"),
                ("expand", "categories[*].ancestors[*]"),
                ("staged", "false"),
                ("limit", str(IDS_PER_QUERY)),
            ]
            found += self._query("product-projections", params)
        return found

    def discount_codes(self, code_ids: Sequence[str]) -> list[DiscountCode] | None:
        """The discount codes that exist. None if the API client lacks the scope to read them, which is logged once."""
        try:
            return [code for ids in chunks(code_ids) for code in self._pages("discount-codes", f"id in {any_of(ids)}")]
        except TryAgain as error:
            self._require_missing_scope(error, "discount codes", "view_discount_codes")
            return None

    def inventory_entry(self, entry_id: str) -> InventoryEntry | None:
        """The current inventory entry."""
        return self._get("inventory", entry_id)

    def inventory_entries(self, skus: Sequence[str]) -> dict[str, list[InventoryEntry]]:
        """Inventory entries by SKU: only those that may count, as a SKU can have an entry for each of 500 stores.

        These are the entries of the configured channels. If none are configured, it is the entry without a channel, or
        for a SKU without one the entries of all channels.
        """
        if self._channels:
            return self._entries(skus, self._channels)
        found = self._entries(skus, "supplyChannel is not defined")
        missing = [sku for sku in skus if not found[sku]]
        return found | self._entries(missing, "supplyChannel is defined")

    def entries_of_sku(self, sku: str, entry_id: str) -> list[InventoryEntry]:
        """The inventory entries of a SKU that may count, and always the entry with this id, in one query."""
        where = f"sku={literal(sku)}"
        if self._channels:
            where += f" and ({self._channels} or id={literal(entry_id)})"
        return list(self._pages("inventory", where))

    def other_products_with(self, skus: Sequence[str], product_id: str) -> dict[str, str]:
        """Product id by SKU, for the SKUs that are now in a published product other than `product_id`.

        Queries lag, so each product found is confirmed by reading it by its id.
        """
        wanted = set(skus)
        holders: dict[str, str] = {}
        for chunk in chunks(skus, PREDICATE_CHARACTERS // 2):
            listed = any_of(chunk)
            where = f"(masterVariant(sku in {listed}) or variants(sku in {listed})) and id != {literal(product_id)}"
            for found in self._pages("product-projections", where, [("staged", "false")]):
                product = self.product_projection(found["id"])
                if product:
                    holders |= dict.fromkeys(wanted.intersection(product_skus(product)), product["id"])
        return holders

    def published_product_of(self, sku: str) -> ProductProjection | None:
        """Published projection of the product with this SKU, without expansion; None if there is none.

        It is found by a query, which may lag.
        """
        where = f"masterVariant(sku={literal(sku)}) or variants(sku={literal(sku)})"
        found = self._query("product-projections", [("where", where), ("staged", "false"), ("limit", "1")])
        return found[0] if found and found[0].get("published") is not False else None

    def standalone_price(self, price_id: str) -> Price | None:
        """The current standalone price."""
        price: Price | None = self._get("standalone-prices", price_id)
        self.recent_prices.remember(price_id, price)
        return price

    def standalone_prices(self, skus: Sequence[str], own_id: str = "") -> dict[str, list[Price]] | None:
        """Standalone prices by SKU: only those that may be shown now, as a SKU can have thousands.

        Queries lag, so the result is corrected by what this instance read in the last minute. If the query lacks a
        price that it should list, or lists a deleted one, that price is read by its id. `own_id` is a price that the
        caller reads itself. None if the API client lacks the scope to read prices, which is logged once.
        """
        shown = ("where", shown_prices(self._settings.sync.price, datetime.now(UTC)))
        listed: list[Price] = []
        try:
            for chunk in chunks(skus):
                listed += self._pages("standalone-prices", f"sku in {any_of(chunk)}", [shown])
        except TryAgain as error:
            self._require_missing_scope(error, "standalone prices", "view_standalone_prices")
            return None
        return self.recent_prices.corrected(listed, skus, own_id, self.standalone_price)

    def _require_missing_scope(self, error: TryAgain, what: str, scope: str) -> None:
        """Log once that something is left out because a scope is missing. Raise the error if it has another cause."""
        if error.status != _FORBIDDEN or error.code != _NO_SCOPE:
            raise error
        if scope not in self._reported_scopes:
            self._reported_scopes.add(scope)
            log.warning(f"{what} are left out", reason=f"no {scope} scope")

    def _entries(self, skus: Sequence[str], where: str) -> dict[str, list[InventoryEntry]]:
        found: dict[str, list[InventoryEntry]] = {sku: [] for sku in skus}
        for chunk in chunks(skus):
            for entry in self._pages("inventory", f"sku in {any_of(chunk)} and {where}"):
                found.setdefault(entry["sku"], []).append(entry)
        return found
