"""Look up what order events need from other resources, and cache it for a few minutes."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar, cast

from cachetools import TTLCache

from clients.commercetools import Commercetools
from core.settings import Settings
from mappers.catalog_documents import ProductProjection
from mappers.category import category_paths
from mappers.documents import Reference
from mappers.item import product_images, variants_of
from mappers.localized import text
from mappers.mapped import mapper
from mappers.order_documents import Order, State
from mappers.order_properties import OrderDetails, discount_code_ids

_ENTRIES = 20_000

Value = TypeVar("Value")


class OrderLookups:
    """Cached categories and images of products, discount codes and workflow states.

    An order may show the old name of a category that was just renamed. A discount code that can't be read is cached as
    well, so that not every order tries to read it.
    """

    def __init__(self, commercetools: Commercetools, settings: Settings) -> None:
        self._commercetools = commercetools
        self._settings = settings
        seconds = settings.sync.limits.product_categories_ttl
        self._products: _Cache[tuple[list[str], str]] = _Cache(seconds)
        self._codes: _Cache[str] = _Cache(seconds)
        self._states: _Cache[State] = _Cache(seconds)

    def details_of(self, order: Order) -> OrderDetails:
        """What other resources say about an order. Unpublished products have neither categories nor images."""
        products = self._products.get(_product_ids(order), self._read_products)
        return OrderDetails(
            categories={product_id: paths for product_id, (paths, _) in products.items()},
            images={product_id: image for product_id, (_, image) in products.items() if image},
            discount_codes={
                code_id: code for code_id, code in self._codes.get(_code_ids(order), self._read_codes).items() if code
            },
        )

    def cached_state(self, state_id: str) -> State | None:
        """The workflow state, if it is cached."""
        return self._states.get([state_id], lambda _: {}).get(state_id)

    def state(self, state_id: str, of_order: Reference | None) -> State | None:
        """A workflow state, from the cache, else as expanded in the order, else read; None if it was deleted."""
        expanded = (of_order or {}).get("obj") if (of_order or {}).get("id") == state_id else None

        def read(_: list[str]) -> dict[str, State]:
            state = cast("State | None", expanded) or self._commercetools.state(state_id)
            return {state_id: state} if state else {}

        return self._states.get([state_id], read).get(state_id)

    def _read_products(self, product_ids: list[str]) -> dict[str, tuple[list[str], str]]:
        products = self._commercetools.published_projections(product_ids)
        return {
            product["id"]: (category_paths(product.get("categories") or [], self._settings), _first_image(product))
            for product in products
        }

    def _read_codes(self, code_ids: list[str]) -> dict[str, str]:
        found = self._commercetools.discount_codes(code_ids) or []
        return dict.fromkeys(code_ids, "") | {code["id"]: text(code.get("code")) or "" for code in found}


class _Cache(Generic[Value]):
    """Values by id, with a time to live."""

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._values: TTLCache[str, Value] = TTLCache(_ENTRIES, seconds)

    def get(self, ids: Iterable[str], read: Callable[[list[str]], Mapping[str, Value]]) -> dict[str, Value]:
        """The values by id. `read` is called for those that are not cached, and may leave some out."""
        wanted = sorted(set(ids))
        with self._lock:
            found = {own_id: self._values[own_id] for own_id in wanted if own_id in self._values}
        missing = [own_id for own_id in wanted if own_id not in found]
        if missing:
            fresh = read(missing)
            with self._lock:
                self._values.update(fresh)
            found |= fresh
        return found


@mapper
def _first_image(product: ProductProjection) -> str:
    return next(iter(product_images(variants_of(product))), "")


@mapper
def _product_ids(order: Order) -> set[str]:
    return {line["productId"] for line in order.get("lineItems") or [] if line.get("productId")}


@mapper
def _code_ids(order: Order) -> list[str]:
    return discount_code_ids(order)
