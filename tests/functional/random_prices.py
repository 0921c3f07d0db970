"""Random live edits of products and prices. They choose from few values, so that earlier values often return."""

from typing import Any

from tests.functional.documents import Json, money, reference
from tests.functional.random_catalog import RandomCatalog

PRICES = (1000, 2000, 3000)
COUNTRIES = (None, "DE", "FR")
_SALE = reference("product-discount", "sale")
_COMING, _PAST = "2099-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"


class RandomPrices(RandomCatalog):
    """Changes that shoppers see without a publish. Each is applied to the sandbox and returns its notifications."""

    # live edits

    def edit_price_live(self) -> list[Json]:
        """Change or discount a variant's embedded price, sometimes in another currency."""
        product = self._pick("products")
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
        """Stage a price change: the product's version increases, but shoppers see no change."""
        product = self._pick("products")
        product = self._edit("products", product)
        return [self._message("ProductPriceChanged", "product", product, variantId=1, staged=True)]

    def move_product_live(self) -> list[Json]:
        """Move a product to other categories without a publish, with one Message per category it left or joined."""
        product = self._pick("products")
        current = product["masterData"]["current"]
        before = {found["id"] for found in current["categories"]}
        now = self._some_categories()
        moves = [("ProductRemovedFromCategory", own) for own in sorted(before - set(now))]
        moves += [("ProductAddedToCategory", own) for own in sorted(set(now) - before)]
        if not moves:
            return []
        current = {**current, "categories": [reference("category", own) for own in now]}
        payloads = [(name, {"category": reference("category", own), "staged": False}) for name, own in moves]
        return self._edit_live(product, current, *payloads)

    def switch_price_mode(self) -> list[Json]:
        """Switch a product between embedded and standalone prices. First each of its SKUs gets a standalone price."""
        product = self._pick("products")
        deliveries = [delivery for one in self._variants(product) for delivery in self._new_price(one["sku"])]
        mode = "Embedded" if product["priceMode"] == "Standalone" else "Standalone"
        product = self._edit("products", product, priceMode=mode)
        return [*deliveries, self._message("ProductPriceModeSet", "product", product, to=mode)]

    # standalone prices

    def add_standalone_price(self) -> list[Json]:
        """Add a standalone price to a SKU."""
        return self._new_price(self._rng.choice(self._variants(self._pick("products")))["sku"])

    def edit_standalone_price(self) -> list[Json]:
        """Change a standalone price's value, discount, validity or tiers, or switch it on or off."""
        if not self._documents["standalone-prices"]:
            return []
        price = self._pick("standalone-prices")
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
        """Stage a standalone price's value, or apply the staged value."""
        if not self._documents["standalone-prices"]:
            return []
        price = self._pick("standalone-prices")
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
        """Delete a standalone price, perhaps its SKU's last one."""
        price = self._pick_spare("standalone-prices")
        if not price:
            return []
        self._delete("standalone-prices", price)
        return [self._message("StandalonePriceDeleted", "standalone-price", price, sku=price["sku"])]

    # shared parts

    def _edit_live(self, product: Json, current: Json, *messages: tuple[str, Json]) -> list[Json]:
        """Change a product's current data, and return these Messages instead of a publish."""
        master = {**product["masterData"], "current": current}
        product = self._edit("products", product, masterData=master)
        return [self._message(name, "product", product, **payload) for name, payload in messages]

    def _new_price(self, sku: str) -> list[Json]:
        given: dict[str, Any] = {"country": self._rng.choice(COUNTRIES), "discounted": self._discount()}
        price = {
            "id": f"standalone-{next(self._numbers)}", "version": 1, "sku": sku, "active": True,
            "value": money(self._rng.choice(PRICES)), **{name: value for name, value in given.items() if value},
        }  # fmt: skip
        price = self._store("standalone-prices", price)
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
