"""What order events need of other resources: read from commercetools, remembered for a while."""

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


class OrderKnowledge:
    """Categories and images of products, discount codes and workflow states, with a time to live.

    An order need not wait for a renamed category. A code that can't be read is remembered too, so that it is not asked
    for with every order.
    """

    def __init__(self, commercetools: Commercetools, settings: Settings) -> None:
        self._commercetools = commercetools
        self._settings = settings
        seconds = settings.sync.limits.product_categories_ttl
        self._products: _Remembered[tuple[list[str], str]] = _Remembered(seconds)
        self._codes: _Remembered[str] = _Remembered(seconds)
        self._states: _Remembered[State] = _Remembered(seconds)

    def of(self, order: Order) -> OrderDetails:
        """What is known beside the order. Products that are not published have neither categories nor image."""
        products = self._products.get(_product_ids(order), self._read_products)
        return OrderDetails(
            categories={product_id: paths for product_id, (paths, _) in products.items()},
            images={product_id: image for product_id, (_, image) in products.items() if image},
            discount_codes={
                code_id: code for code_id, code in self._codes.get(_code_ids(order), self._read_codes).items() if code
            },
        )

    def known_state(self, state_id: str) -> State | None:
        """The workflow state, if it is remembered."""
        return self._states.get([state_id], lambda _: {}).get(state_id)

    def state(self, state_id: str, of_order: Reference | None) -> State | None:
        """A workflow state; None if it is gone. Read where it is not the one that the order holds, expanded."""
        held = (of_order or {}).get("obj") if (of_order or {}).get("id") == state_id else None

        def read(_: list[str]) -> dict[str, State]:
            state = cast("State | None", held) or self._commercetools.state(state_id)
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


class _Remembered(Generic[Value]):
    """Values by id, for a while."""

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._values: TTLCache[str, Value] = TTLCache(_ENTRIES, seconds)

    def get(self, ids: Iterable[str], read: Callable[[list[str]], Mapping[str, Value]]) -> dict[str, Value]:
        """The values by id; `read` is asked for the unknown ones, and may leave some out."""
        wanted = sorted(set(ids))
        with self._lock:
            found = {own_id: self._values[own_id] for own_id in wanted if own_id in self._values}
        unknown = [own_id for own_id in wanted if own_id not in found]
        if unknown:
            fresh = read(unknown)
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
