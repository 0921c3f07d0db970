"""What is read of commercetools: which documents, and the queries that find them.

What does not exist is None, every other failure one of `errors`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from clients.commercetools_reads import CommercetoolsReads
from clients.predicates import IDS_PER_QUERY, PREDICATE_CHARACTERS, any_of, chunks, literal, shown_prices
from clients.recent_prices import RecentPrices
from core.errors import TryAgain
from core.logs import log
from core.settings import Settings
from mappers.catalog_documents import Category, InventoryEntry, Price, ProductProjection
from mappers.documents import Customer
from mappers.item import stocked_skus
from mappers.order_documents import DiscountCode, Order, Payment, State

_FORBIDDEN = 403
_NO_SCOPE = "insufficient_scope"
CUSTOMER_GROUPS = ("customerGroup", "customerGroupAssignments[*].customerGroup")


class Commercetools(CommercetoolsReads):
    """The reads that handlers need. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._denied: set[str] = set()
        self.recent_prices = RecentPrices(settings.sync.price)
        channels = settings.sync.inventory.channel
        self._channels = f"supplyChannel(id in {any_of(channels)})" if channels else ""
        """Predicate of the inventory entries of the configured channels; empty with none configured."""

    def customer(self, customer_id: str, *, groups: bool = False) -> Customer | None:
        """The customer as it is now; with its `groups` expanded, where the API client may read them."""
        expand = [("expand", path) for path in CUSTOMER_GROUPS] if groups else []
        return self._get("customers", customer_id, expand)

    def customer_with(self, email: str) -> Customer | None:
        """A customer who has this e-mail, in any spelling and any store."""
        where = f"lowercaseEmail={literal(email.lower())}"
        found = self._query("customers", [("where", where), ("sort", "createdAt asc"), ("limit", "1")])
        return found[0] if found else None

    def order(self, order_id: str, *, with_state: bool = False) -> Order | None:
        """The order as it is now; with its workflow state expanded, where the API client may read that."""
        return self._get("orders", order_id, [("expand", "state")] if with_state else [])

    def state(self, state_id: str) -> State | None:
        """The workflow state as it is now."""
        return self._get("states", state_id)

    def order_of_payment(self, payment_id: str) -> Order | None:
        """The first order whose `paymentInfo` holds the payment."""
        where = f"paymentInfo(payments(id={literal(payment_id)}))"
        found = self._query("orders", [("where", where), ("sort", "createdAt asc"), ("limit", "1")])
        return found[0] if found else None

    def payment(self, payment_id: str) -> Payment | None:
        """The payment as it is now."""
        return self._get("payments", payment_id)

    def category(self, category_id: str) -> Category | None:
        """The category with its ancestors expanded."""
        return self._get("categories", category_id, [("expand", "ancestors[*]")])

    def descendants(self, category_id: str) -> list[Category]:
        """All descendants of the category, each with its ancestors expanded."""
        where = f"ancestors(id={literal(category_id)})"
        return list(self._pages("categories", where, [("expand", "ancestors[*]")]))

    def product_projection(self, product_id: str) -> ProductProjection | None:
        """What shoppers see of the product, with its categories and their ancestors; None while it is not published."""
        params = [("staged", "false"), ("expand", "categories[*].ancestors[*]")]
        product: ProductProjection | None = self._get("product-projections", product_id, params)
        return product if product and product.get("published") is not False else None

    def has_product(self, product_id: str) -> bool:
        """Whether the product exists, published or not."""
        return self._get("products", product_id) is not None

    def published_products(self, category_ids: Iterable[str]) -> Iterator[ProductProjection]:
        """The published products that are in any of the categories, with these and their ancestors; read as needed."""
        params = [("staged", "false"), ("expand", "categories[*].ancestors[*]")]
        seen: set[str] = set()
        for ids in chunks(category_ids):
            where = f"categories(id in {any_of(ids)})"
            for product in self._pages("product-projections", where, params, size=IDS_PER_QUERY):
                if product["id"] not in seen:
                    seen.add(product["id"])
                    yield product

    def published_projections(self, product_ids: Sequence[str]) -> list[ProductProjection]:
        """What shoppers see of those of the products that are published, with categories and ancestors."""
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
        """Those of the discount codes that exist; None when the API client has no scope to read them (said once)."""
        try:
            return [code for ids in chunks(code_ids) for code in self._pages("discount-codes", f"id in {any_of(ids)}")]
        except TryAgain as error:
            self._require_denied(error, "discount codes", "view_discount_codes")
            return None

    def inventory_entry(self, entry_id: str) -> InventoryEntry | None:
        """The inventory entry as it is now."""
        return self._get("inventory", entry_id)

    def inventory_entries(self, skus: Sequence[str]) -> dict[str, list[InventoryEntry]]:
        """The inventory entries by SKU, of those alone that may count: a SKU can have one in each of 500 stores.

        Those of the configured channels; with none configured the one without channel, and for SKUs that have none
        those of all channels.
        """
        if self._channels:
            return self._entries(skus, self._channels)
        found = self._entries(skus, "supplyChannel is not defined")
        missing = [sku for sku in skus if not found[sku]]
        return found | self._entries(missing, "supplyChannel is defined")

    def entries_beside(self, sku: str, entry_id: str) -> list[InventoryEntry]:
        """The inventory entries of a SKU that may count, and in any case the one with this id, with one query."""
        where = f"sku={literal(sku)}"
        if self._channels:
            where += f" and ({self._channels} or id={literal(entry_id)})"
        return list(self._pages("inventory", where))

    def products_that_hold(self, skus: Sequence[str], but_not: str) -> dict[str, str]:
        """Id of the published product by SKU, of those SKUs that another product than `but_not` holds now.

        Queries lag, so what one says is confirmed by reading the product itself.
        """
        wanted = set(skus)
        holders: dict[str, str] = {}
        for chunk in chunks(skus, PREDICATE_CHARACTERS // 2):
            listed = any_of(chunk)
            where = f"(masterVariant(sku in {listed}) or variants(sku in {listed})) and id != {literal(but_not)}"
            for found in self._pages("product-projections", where, [("staged", "false")]):
                product = self.product_projection(found["id"])
                if product:
                    holders |= dict.fromkeys(wanted.intersection(stocked_skus(product)), product["id"])
        return holders

    def published_product_of(self, sku: str) -> ProductProjection | None:
        """What shoppers see of the product that has this SKU, by a query, which may lag; None: none that is published.

        Its categories are not expanded.
        """
        where = f"masterVariant(sku={literal(sku)}) or variants(sku={literal(sku)})"
        found = self._query("product-projections", [("where", where), ("staged", "false"), ("limit", "1")])
        return found[0] if found and found[0].get("published") is not False else None

    def standalone_price(self, price_id: str) -> Price | None:
        """The standalone price as it is now."""
        price: Price | None = self._get("standalone-prices", price_id)
        self.recent_prices.saw(price_id, price)
        return price

    def standalone_prices(self, skus: Sequence[str], own_id: str = "") -> dict[str, list[Price]] | None:
        """The standalone prices by SKU, of those alone that may be shown now: a SKU can have thousands.

        Corrected by what this instance learned in the last minute, as queries lag. A price that is known and not
        listed, or gone and listed, is read by its id, but for `own_id`. None when the API client has no scope to read
        them (said once).
        """
        shown = ("where", shown_prices(self._settings.sync.price, datetime.now(UTC)))
        listed: list[Price] = []
        try:
            for chunk in chunks(skus):
                listed += self._pages("standalone-prices", f"sku in {any_of(chunk)}", [shown])
        except TryAgain as error:
            self._require_denied(error, "standalone prices", "view_standalone_prices")
            return None
        return self.recent_prices.corrected(listed, skus, own_id, self.standalone_price)

    def _require_denied(self, error: TryAgain, what: str, scope: str) -> None:
        """Say once that something is left out for lack of a scope; raise the error if that is not the reason."""
        if error.status != _FORBIDDEN or error.code != _NO_SCOPE:
            raise error
        if scope not in self._denied:
            self._denied.add(scope)
            log.warning(f"{what} are left out", reason=f"no {scope} scope")

    def _entries(self, skus: Sequence[str], where: str) -> dict[str, list[InventoryEntry]]:
        found: dict[str, list[InventoryEntry]] = {sku: [] for sku in skus}
        for chunk in chunks(skus):
            for entry in self._pages("inventory", f"sku in {any_of(chunk)} and {where}"):
                found.setdefault(entry["sku"], []).append(entry)
        return found
