"""A comparison that finds nothing: its calls, its minutes at a share of Klaviyo's limits, and its memory."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import click

from bench import documents
from bench.backfill import put, ran_job
from bench.documents import Json
from bench.limits import THROTTLED, counting
from bench.progress import Bars
from bench.report import Sheet
from commands.processes import Sandbox, running_sandbox
from core.settings import Settings, load_settings
from mappers.catalog_documents import InventoryEntry, ProductProjection
from mappers.catalog_jobs import MOST_RECORDS, items_job, variants_job
from mappers.category import catalog_category
from mappers.item import catalog_item
from mappers.mapped import JsonObject
from mappers.variant import catalog_variants, variant_create
from sandbox.calls import Calls, klaviyo
from sandbox.documents import Documents
from sandbox.samples import ENVIRONMENT

VARIANTS = 10
_OF_A_CATEGORY = 10
_FIRST = 1000
_AT_ONCE = 500
"""Products that are mapped at a time."""
_LAG = 2.0


def comparison(products: int, share: float, bars: Bars) -> dict[str, Any]:
    """What a run takes that compares a catalog in which nothing differs."""
    shop = _Shop(products)
    with running_sandbox() as sandbox:
        shop.open(sandbox, bars)
        shop.fill(sandbox, bars)
        sandbox.klaviyo.forget_requests()
        sandbox.klaviyo.limits()
        sandbox.klaviyo.lag(_LAG)
        with counting(sandbox.klaviyo) as statuses, bars.task("comparing", 1):
            ran = ran_job(
                sandbox, ["reconcile", "--only", "categories", "--only", "items", "--only", "variants"], share
            )
    report = ran["report"]
    if report["drift"]:
        raise click.ClickException(f"Something differs: {report['kinds']}")
    return {
        "sizes": {kind: found["same"] for kind, found in report["kinds"].items()},
        "calls": report["calls"],
        "seconds": report["seconds"],
        "requests": sum(statuses.values()),
        "throttled": statuses[THROTTLED],
        "peak_megabytes": ran["peak"],
    }


class _Shop:
    """Products of ten variants with stock, in categories of ten products and their parents."""

    def __init__(self, products: int) -> None:
        self._products = range(_FIRST, _FIRST + products)
        sample = documents.categories()[0]
        count = max(2, products // _OF_A_CATEGORY)
        self._categories = [_category(sample, number, count) for number in range(count)]

    def open(self, sandbox: Sandbox, bars: Bars) -> None:
        """Put it into the sandbox."""
        sandbox.commercetools.put_all({"categories": self._categories})
        made: Callable[[int], Json] = self._product
        put(sandbox, {"products": (len(self._products), made)}, "products", bars)
        for number in range(0, len(self._products), _AT_ONCE):
            entries = [one for own in self._products[number : number + _AT_ONCE] for one in _entries(own)]
            sandbox.commercetools.put_all({"inventory": entries})

    def fill(self, sandbox: Sandbox, bars: Bars) -> None:
        """Have Klaviyo hold what the function would write, by its bulk jobs."""
        settings = _settings(sandbox)
        sandbox.klaviyo.limits(enforce=False)
        sandbox.klaviyo.jobs(0)
        with klaviyo(sandbox.klaviyo.url) as call, bars.task("Klaviyo's catalog", len(self._products)) as task:
            for category in self._categories:
                expanded = cast("Any", _expanded(category, self._categories))
                _posted(call, "catalog-categories", catalog_category(expanded, settings))
            for start in range(0, len(self._products), _AT_ONCE):
                part = self._products[start : start + _AT_ONCE]
                items, variants = self._bodies(part, settings)
                for bodies, job, path in (
                    (items, items_job, "catalog-item-bulk-create-jobs"),
                    (variants, variants_job, "catalog-variant-bulk-create-jobs"),
                ):
                    for first in range(0, len(bodies), MOST_RECORDS):
                        _posted(call, path, job(bodies[first : first + MOST_RECORDS]))
                task.advanced(len(part))
            _require_done(call)

    def _bodies(self, numbers: range, settings: Settings) -> tuple[list[JsonObject], list[JsonObject]]:
        items, variants = [], []
        for product in self._projections(numbers):
            now = datetime.now(UTC)
            number = int(product["id"][-6:])
            stock = cast("dict[str, list[InventoryEntry]]", {one["sku"]: [one] for one in _entries(number)})
            items.append(catalog_item(product, settings, now, {}).body)
            mapped = catalog_variants(product, settings, now, {}, stock)
            variants += [variant_create(sku, one.body, product["id"]) for sku, one in mapped.items()]
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
    """One of a tree of two levels."""
    own: Json = {**sample, "id": documents.identity(0, number), "key": f"category-{number}", "ancestors": []}
    own.pop("parent", None)
    top = number % max(1, count // _OF_A_CATEGORY)
    if number != top:
        parent = {"typeId": "category", "id": documents.identity(0, top)}
        own |= {"parent": parent, "ancestors": [parent]}
    return own


def _expanded(category: Json, categories: list[Json]) -> Json:
    by_id = {one["id"]: one for one in categories}
    return {**category, "ancestors": [{**one, "obj": by_id[one["id"]]} for one in category["ancestors"]]}


def _entries(number: int) -> list[Json]:
    return [documents.inventory_entry(number, variant) for variant in range(1, VARIANTS + 1)]


def _settings(sandbox: Sandbox) -> Settings:
    os.environ.update({**ENVIRONMENT, **sandbox.environment, "SYNC_CONFIG": ""})
    return load_settings()


def _posted(call: Calls, path: str, body: JsonObject) -> None:
    answer = call("POST", f"/api/{path}", body)
    if answer.status not in (201, 202):
        raise click.ClickException(f"{path}: {answer.status} {answer.body}")


def _require_done(call: Calls) -> None:
    """The jobs are done at once; a row that failed would pass for drift."""
    for kind in ("item", "variant"):
        path = f"/api/catalog-{kind}-bulk-create-jobs"
        jobs = call("GET", path).body["data"]
        failed = [one for one in jobs if one["attributes"]["failed_count"] or one["attributes"]["status"] != "complete"]
        if failed:
            raise click.ClickException(f"{path}: {failed[0]}")


def drift_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `python -m bench drift`."""
    sizes = ", ".join(f"{count:,} {kind}" for kind, count in result["sizes"].items())
    calls = result["calls"]
    row = [
        sizes, f"{sum(calls.values()):,}", f"{calls['commercetools']:,}", f"{calls['klaviyo']:,}",
        f"{result['seconds'] / 60:.1f}", f"{result['throttled']} of {result['requests']}",
        f"{result['peak_megabytes']:.0f}",
    ]  # fmt: skip
    columns = ["nothing differs", "calls", "commercetools", "Klaviyo", "minutes", "answered 429", "peak MB"]
    return Sheet(f"A comparison at a share of {result['share']:g} of Klaviyo's limits", columns, [row])
