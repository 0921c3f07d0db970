"""Live edits of products and standalone prices, by chance. Few values, so that what was there before comes back."""

from typing import Any

from tests.functional.documents import Json, money, reference
from tests.functional.random_catalog import RandomCatalog

PRICES = (1000, 2000, 3000)
COUNTRIES = (None, "DE", "FR")
_SALE = reference("product-discount", "sale")
_COMING, _PAST = "2099-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"


class RandomPrices(RandomCatalog):
    """Changes that shoppers see without a publish: each is made in the sandbox and gives back its deliveries."""

    # live edits

    def edit_price_live(self) -> list[Json]:
        """A variant's embedded price changes, in one currency or another, or is discounted."""
        product = self._one("products")
        variants = self._variants(product)
        number = self._rng.randrange(len(variants))
        edits: list[tuple[str, Json]] = [
            ("ProductPriceChanged", {"variantId": number + 1, "staged": False}),
            ("ProductPricesSet", {"variantId": number + 1, "staged": False}),
            ("ProductPriceDiscountsSet", {"updatedPrices": [{"variantId": number + 1, "staged": False}]}),
        ]
        name, payload = self._rng.choice(edits)
        variants[number] = {**variants[number], "prices": [self._price(name == "ProductPriceDiscountsSet")]}
        return self._edit_live(product, self._current(product, variants), (name, payload))

    def stage_price(self) -> list[Json]:
        """A price is edited, and not published: the version moves on, and shoppers see nothing of it."""
        product = self._one("products")
        product = self._edit("products", product)
        return [self._message("ProductPriceChanged", "product", product, variantId=1, staged=True)]

    def move_product_live(self) -> list[Json]:
        """Into other categories, without a publish: a message for each that it left, and for each it came into."""
        product = self._one("products")
        current = product["masterData"]["current"]
        before = {found["id"] for found in current["categories"]}
        now = self._some_categories()
        told = [("ProductRemovedFromCategory", own) for own in sorted(before - set(now))]
        told += [("ProductAddedToCategory", own) for own in sorted(set(now) - before)]
        if not told:
            return []
        current = {**current, "categories": [reference("category", own) for own in now]}
        payloads = [(name, {"category": reference("category", own), "staged": False}) for name, own in told]
        return self._edit_live(product, current, *payloads)

    def switch_price_mode(self) -> list[Json]:
        """From embedded prices to standalone ones, or back; as now and then, SKUs get a standalone price before."""
        product = self._one("products")
        deliveries = [delivery for one in self._variants(product) for delivery in self._new_price(one["sku"])]
        mode = "Embedded" if product["priceMode"] == "Standalone" else "Standalone"
        product = self._edit("products", product, priceMode=mode)
        return [*deliveries, self._message("ProductPriceModeSet", "product", product, to=mode)]

    # standalone prices

    def add_standalone_price(self) -> list[Json]:
        """Another price of a SKU."""
        return self._new_price(self._rng.choice(self._variants(self._one("products")))["sku"])

    def edit_standalone_price(self) -> list[Json]:
        """Its value, discount, validity or tiers change; or it is switched off, or on again."""
        if not self._all["standalone-prices"]:
            return []
        price = self._one("standalone-prices")
        value = money(self._rng.choice(PRICES))
        active = not price["active"]
        changes: list[tuple[str, Json, Json]] = [
            ("StandalonePriceValueChanged", {"value": value}, {"value": value, "staged": False}),
            ("StandalonePriceDiscountSet", {"discounted": self._discount()}, {}),
            ("StandalonePriceActiveChanged", {"active": active}, {"active": active, "oldActive": price["active"]}),
            ("StandalonePriceValidFromSet", {"validFrom": self._rng.choice([None, _PAST, _COMING])}, {}),
            ("StandalonePriceValidUntilSet", {"validUntil": self._rng.choice([None, _PAST, _COMING])}, {}),
            ("StandalonePriceTiersSet", {"tiers": [{"minimumQuantity": 10, "value": value}]}, {"tiers": []}),
        ]
        name, fields, payload = self._rng.choice(changes)
        return [self._message(name, "standalone-price", self._edit("standalone-prices", price, **fields), **payload)]

    def stage_standalone_price(self) -> list[Json]:
        """A value is staged, and is applied by a later change."""
        if not self._all["standalone-prices"]:
            return []
        price = self._one("standalone-prices")
        if "staged" in price:
            applied = self._edit("standalone-prices", price, **price["staged"], staged=None)
            return [
                self._message(
                    "StandalonePriceStagedChangesApplied", "standalone-price", applied, stagedChanges=price["staged"]
                )
            ]
        value = money(self._rng.choice(PRICES))
        staged = self._edit("standalone-prices", price, staged={"value": value})
        return [self._message("StandalonePriceValueChanged", "standalone-price", staged, value=value, staged=True)]

    def delete_standalone_price(self) -> list[Json]:
        """A price goes, perhaps its SKU's last one."""
        price = self._any_to_spare("standalone-prices")
        if not price:
            return []
        self._delete("standalone-prices", price)
        return [self._message("StandalonePriceDeleted", "standalone-price", price, sku=price["sku"])]

    # what they are made of

    def _edit_live(self, product: Json, current: Json, *messages: tuple[str, Json]) -> list[Json]:
        """Change both sides of a product, and tell it without a publish."""
        master = {**product["masterData"], "current": current}
        product = self._edit("products", product, masterData=master)
        return [self._message(name, "product", product, **payload) for name, payload in messages]

    def _new_price(self, sku: str) -> list[Json]:
        given: dict[str, Any] = {"country": self._rng.choice(COUNTRIES), "discounted": self._discount()}
        price = {
            "id": f"standalone-{next(self._numbers)}", "version": 1, "sku": sku, "active": True,
            "value": money(self._rng.choice(PRICES)), **{name: value for name, value in given.items() if value},
        }  # fmt: skip
        price = self._put("standalone-prices", price)
        return [self._message("StandalonePriceCreated", "standalone-price", price, standalonePrice=price)]

    def _price(self, discounted: bool) -> Json:  # noqa: FBT001 - one of two kinds
        price = {"id": "price-1", "value": money(self._rng.choice(PRICES), self._rng.choice(["EUR", "EUR", "USD"]))}
        return price | {"discounted": {"value": money(900), "discount": _SALE}} if discounted else price

    def _discount(self) -> Json | None:
        return {"value": money(self._rng.choice([700, 900])), "discount": _SALE} if self._rng.random() < 0.3 else None

    def _variants(self, product: Json) -> list[Json]:
        current = product["masterData"]["current"]
        return [current["masterVariant"], *current["variants"]]

    def _current(self, product: Json, variants: list[Json]) -> Json:
        return {**product["masterData"]["current"], "masterVariant": variants[0], "variants": variants[1:]}
