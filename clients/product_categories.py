"""Categories of products for order events: read from commercetools, remembered for a while."""

import threading
from collections.abc import Iterable

from cachetools import TTLCache

from clients.commercetools import Commercetools
from core.settings import Settings
from mappers.category import category_paths

_PRODUCTS = 20_000


class ProductCategories:
    """Paths of the categories of products, with a time to live: an order need not wait for a renamed category."""

    def __init__(self, commercetools: Commercetools, settings: Settings) -> None:
        self._commercetools = commercetools
        self._settings = settings
        self._lock = threading.Lock()
        self._paths: TTLCache[str, list[str]] = TTLCache(_PRODUCTS, settings.sync.limits.product_categories_ttl)

    def of(self, product_ids: Iterable[str]) -> dict[str, list[str]]:
        """Paths by product id, each category's and its ancestors'; products that are not published have none."""
        wanted = set(product_ids)
        with self._lock:
            known = {product_id: self._paths[product_id] for product_id in wanted if product_id in self._paths}
        missing = sorted(wanted - known.keys())
        if missing:
            references = self._commercetools.product_category_references(missing)
            read = {product_id: category_paths(refs, self._settings) for product_id, refs in references.items()}
            with self._lock:
                self._paths.update(read)
            known |= read
        return known
