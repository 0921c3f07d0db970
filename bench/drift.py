"""A reconcile run over a catalog without drift: its calls, its minutes at a share of Klaviyo's limits, its memory."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import click

from bench import documents
from bench.backfill import put_documents, run_job
from bench.documents import Json
from bench.limits import THROTTLED, counting_statuses
from bench.progress import Bars
from bench.report import Sheet
from commands.processes import Sandbox, running_sandbox
from core.settings import Settings, load_settings
from mappers.catalog_documents import InventoryEntry, ProductProjection
from mappers.catalog_jobs import MAX_RECORDS, items_job, variants_job
from mappers.category import catalog_category
from mappers.item import catalog_item
from mappers.mapped import JsonObject
from mappers.variant import catalog_variants, variant_create
from sandbox.calls import Calls, klaviyo
from sandbox.documents import Documents
from sandbox.samples import ENVIRONMENT

VARIANTS = 10
_PRODUCTS_PER_CATEGORY = 10
_FIRST = 1000
_CHUNK = 500
"""Products mapped and written per chunk."""
_LAG = 2.0


def comparison(products: int, share: float, bars: Bars) -> dict[str, Any]:
    """Measure a reconcile run over a catalog without drift. Raises ClickException if it finds drift."""
    shop = _Shop(products)
    with running_sandbox() as sandbox:
        shop.fill_commercetools(sandbox, bars)
        shop.fill_klaviyo(sandbox, bars)
        sandbox.klaviyo.forget_requests()
        sandbox.klaviyo.limits()
        sandbox.klaviyo.lag(_LAG)
        with counting_statuses(sandbox.klaviyo) as statuses, bars.task("comparing", 1):
            result = run_job(
                sandbox, ["reconcile", "--only", "categories", "--only", "items", "--only", "variants"], share
            )
    report = result["report"]
    if report["drift"]:
        raise click.ClickException(f"The run found drift: {report['kinds']}")
    return {
        "sizes": {kind: found["same"] for kind, found in report["kinds"].items()},
        "calls": report["calls"],
        "seconds": report["seconds"],
        "requests": sum(statuses.values()),
        "throttled": statuses[THROTTLED],
        "peak_megabytes": result["peak"],
    }


class _Shop:
    """Products with ten variants in stock, spread over a category tree with two levels, ten per category."""

    def __init__(self, products: int) -> None:
        self._products = range(_FIRST, _FIRST + products)
        sample = documents.categories()[0]
        count = max(2, products // _PRODUCTS_PER_CATEGORY)
        self._categories = [_category(sample, number, count) for number in range(count)]

    def fill_commercetools(self, sandbox: Sandbox, bars: Bars) -> None:
        """Put categories, products and stock into commercetools."""
        sandbox.commercetools.put_all({"categories": self._categories})
        make: Callable[[int], Json] = self._product
        put_documents(sandbox, {"products": (len(self._products), make)}, "products", bars)
        for number in range(0, len(self._products), _CHUNK):
            entries = [entry for own in self._products[number : number + _CHUNK] for entry in _entries(own)]
            sandbox.commercetools.put_all({"inventory": entries})

    def fill_klaviyo(self, sandbox: Sandbox, bars: Bars) -> None:
        """Write to Klaviyo what the function would write, with bulk jobs."""
        settings = _settings(sandbox)
        sandbox.klaviyo.limits(enforce=False)
        sandbox.klaviyo.jobs(0)
        with klaviyo(sandbox.klaviyo.url) as call, bars.task("Klaviyo's catalog", len(self._products)) as task:
            for category in self._categories:
                expanded = cast("Any", _expanded(category, self._categories))
                _post(call, "catalog-categories", catalog_category(expanded, settings))
            for start in range(0, len(self._products), _CHUNK):
                part = self._products[start : start + _CHUNK]
                items, variants = self._bodies(part, settings)
                for bodies, job, path in (
                    (items, items_job, "catalog-item-bulk-create-jobs"),
                    (variants, variants_job, "catalog-variant-bulk-create-jobs"),
                ):
                    for first in range(0, len(bodies), MAX_RECORDS):
                        _post(call, path, job(bodies[first : first + MAX_RECORDS]))
                task.advance(len(part))
            _require_completed_jobs(call)

    def _bodies(self, numbers: range, settings: Settings) -> tuple[list[JsonObject], list[JsonObject]]:
        items, variants = [], []
        for product in self._projections(numbers):
            now = datetime.now(UTC)
            number = int(product["id"][-6:])
            stock = cast("dict[str, list[InventoryEntry]]", {entry["sku"]: [entry] for entry in _entries(number)})
            items.append(catalog_item(product, settings, now, {}).body)
            mapped = catalog_variants(product, settings, now, {}, stock)
            variants += [variant_create(sku, variant.body, product["id"]) for sku, variant in mapped.items()]
        return items, variants

    def _projections(self, numbers: range) -> Iterator[ProductProjection]:
        shop = Documents()
        for category in self._categories:
            shop.put("categories", category)
        for number in numbers:
            shop.put("products", self._product(number))
        for found in shop.projections(staged=False):
            expanded = shop.expanded(found, ["categories[*].ancestors[*]"])
            yield cast("ProductProjection", expanded)

    def _product(self, number: int) -> Json:
        document = documents.product(VARIANTS, number)
        category = self._categories[number % len(self._categories)]
        current = document["masterData"]["current"]
        current["categories"] = [{"typeId": "category", "id": category["id"]}]
        return document


def _category(sample: Json, number: int, count: int) -> Json:
    """A category in a tree with two levels."""
    own: Json = {**sample, "id": documents.resource_id(0, number), "key": f"category-{number}", "ancestors": []}
    own.pop("parent", None)
    top = number % max(1, count // _PRODUCTS_PER_CATEGORY)
    if number != top:
        parent = {"typeId": "category", "id": documents.resource_id(0, top)}
        own |= {"parent": parent, "ancestors": [parent]}
    return own


def _expanded(category: Json, categories: list[Json]) -> Json:
    by_id = {entry["id"]: entry for entry in categories}
    return {**category, "ancestors": [{**parent, "obj": by_id[parent["id"]]} for parent in category["ancestors"]]}


def _entries(number: int) -> list[Json]:
    return [documents.inventory_entry(number, variant) for variant in range(1, VARIANTS + 1)]


def _settings(sandbox: Sandbox) -> Settings:
    os.environ.update({**ENVIRONMENT, **sandbox.environment, "SYNC_CONFIG": ""})
    return load_settings()


def _post(call: Calls, path: str, body: JsonObject) -> None:
    answer = call("POST", f"/api/{path}", body)
    if answer.status not in (201, 202):
        raise click.ClickException(f"{path}: {answer.status} {answer.body}")


def _require_completed_jobs(call: Calls) -> None:
    """Raise ClickException unless all bulk jobs completed without errors: a failed row would look like drift."""
    for kind in ("item", "variant"):
        path = f"/api/catalog-{kind}-bulk-create-jobs"
        jobs = call("GET", path).body["data"]
        failed = [job for job in jobs if job["attributes"]["failed_count"] or job["attributes"]["status"] != "complete"]
        if failed:
            raise click.ClickException(f"{path}: {failed[0]}")


def drift_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `python -m bench drift`."""
    catalog = ", ".join(f"{count:,} {kind}" for kind, count in result["sizes"].items())
    calls = result["calls"]
    row = [
        catalog, f"{sum(calls.values()):,}", f"{calls['commercetools']:,}", f"{calls['klaviyo']:,}",
        f"{result['seconds'] / 60:.1f}", f"{result['throttled']} of {result['requests']}",
        f"{result['peak_megabytes']:.0f}",
    ]  # fmt: skip
    columns = ["catalog", "calls", "commercetools", "Klaviyo", "minutes", "answered 429", "peak MB"]
    return Sheet(f"A reconcile run without drift, at {result['share']:.0%} of Klaviyo's limits", columns, [row])
