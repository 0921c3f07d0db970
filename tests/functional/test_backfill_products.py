"""A backfill creates missing products with Klaviyo's bulk jobs; what they can't do, it writes one by one."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from tests.functional.documents import category, product, reference, variant
from tests.functional.expected_state import catalog_problems
from tests.functional.job_runs import Job, answered_calls, operation_counts
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.races import create_item, create_variant
from tests.functional.random_shop import RandomShop

CATALOG = ("--only", "categories", "--only", "products")
PRODUCTS = ("--only", "products")
ITEM_JOBS, VARIANT_JOBS = "^/api/catalog-item-bulk-create-jobs", "^/api/catalog-variant-bulk-create-jobs"
BULK_CREATES = {"bulk_create_catalog_items", "bulk_create_catalog_variants"}
SINGLE_WRITES = ("create_catalog_item", "create_catalog_variant", "update_catalog_item", "update_catalog_variant")
ACCEPTED = (200, 201)


@pytest.mark.timeout(240)
def test_bulk_jobs_write_what_live_messages_write(
    sandbox: Sandbox, job: Job, settings: Settings, serve: Callable[..., Any]
) -> None:
    """A random shop is created within the rate limits, equal to one synced by live messages, without single writes."""
    seed = random.randrange(2**32)
    shop = RandomShop(random.Random(seed), sandbox.commercetools)
    shop.open(70)
    for _ in range(60):
        shop.change()
    function = serve(SYNC_CONFIG="")
    documents = sandbox.commercetools.state()["documents"]
    for kind, name, collection in (
        ("category", "ResourceUpdated", "categories"),
        ("product", "ProductPublished", "products"),
    ):
        for own_id in documents[collection]:
            common = {"resource": reference(kind, own_id), "projectKey": "shop", "version": 1}
            function.deliver(
                {**common, "notificationType": name}
                if kind == "category"
                else {**common, "notificationType": "Message", "type": name, "resourceVersion": 1}
            )
    live = klaviyo_records(sandbox)
    assert len(live["items"]) + len(live["variants"]) > 100

    sandbox.klaviyo.reset()
    sandbox.klaviyo.limits()
    sandbox.klaviyo.lag(2)
    sandbox.klaviyo.jobs(1)
    done = job.run(*CATALOG)
    backfilled = klaviyo_records(sandbox)
    assert (done.code, job.error_lines()) == (0, []), f"seed {seed}"
    for kind in ("categories", "items", "variants"):
        assert backfilled[kind] == live[kind], f"seed {seed}"
    assert catalog_problems(sandbox, settings) == [], f"seed {seed}"
    assert not operation_counts(sandbox).keys() & {*SINGLE_WRITES}, f"seed {seed}"
    assert 429 not in {call["status"] for call in sandbox.klaviyo.requests(kind="api")}, f"seed {seed}"
    assert done.report["passes"]["products"]["sent"] == len(live["items"])


def _nothing(_: Sandbox) -> None:
    """Nothing goes wrong."""


def _item_exists(shop: Sandbox) -> None:
    create_item(shop, "product-1")


def _item_exists_and_lists_lag(shop: Sandbox) -> None:
    shop.klaviyo.lag(30)
    create_item(shop, "product-1")


def _sku_belongs_to_another_item(shop: Sandbox) -> None:
    create_item(shop, "product-0")
    create_variant(shop, "3/5", "product-0")


def _job_is_refused(shop: Sandbox) -> None:
    shop.klaviyo.fail(VARIANT_JOBS, method="POST", status=400, count=1)


def _jobs_are_denied(shop: Sandbox) -> None:
    shop.klaviyo.fail(ITEM_JOBS, method="POST", status=403)


def _job_is_cancelled(shop: Sandbox) -> None:
    job = {"data": {"attributes": {"status": "cancelled", "total_count": 100, "completed_count": 0}}}
    shop.klaviyo.fail(VARIANT_JOBS, method="GET", status=200, body=job, count=1)


def _answer_is_lost(shop: Sandbox) -> None:
    shop.klaviyo.jobs(8)
    shop.klaviyo.fail(ITEM_JOBS, method="POST", reset="answering", apply=True, count=1)


def _job_reads_fail(shop: Sandbox) -> None:
    shop.klaviyo.jobs(1)
    shop.klaviyo.fail(ITEM_JOBS, method="GET", status=503, count=4)
    shop.klaviyo.fail(VARIANT_JOBS, method="GET", status=429, headers={"Retry-After": "1"}, count=2)


def _new_job_is_not_found(shop: Sandbox) -> None:
    shop.klaviyo.fail(ITEM_JOBS, method="GET", status=404, count=1)


def _item_list_fails(shop: Sandbox) -> None:
    shop.klaviyo.fail("^/api/catalog-items", method="GET", status=400, count=1)


NONE = ((0, 0, 0, 0),)
FALLBACKS: Mapping[Callable[[Sandbox], None], tuple[tuple[int, ...], ...]] = {
    _nothing: NONE,
    _item_exists: ((0, 10, 1, 0),),
    _item_exists_and_lists_lag: ((0, 120, 12, 0),),  # the failed job had all twelve items
    _sku_belongs_to_another_item: ((0, 1, 10, 100),),
    _job_is_refused: ((0, 100, 10, 0), (0, 20, 2, 0)),  # either of two concurrent jobs is refused
    _jobs_are_denied: ((12, 120, 0, 0),),
    _job_is_cancelled: ((0, 0, 10, 100),),  # the sandbox has created the variants anyway
    _answer_is_lost: ((0, 120, 0, 0),),  # the job has created the items
    _job_reads_fail: NONE,
    _new_job_is_not_found: NONE,
    _item_list_fails: ((12, 120, 0, 0),),
}
"""Obstacles, and the accepted single writes they lead to, in the order of SINGLE_WRITES. One has two outcomes."""


@pytest.mark.parametrize("obstruct", FALLBACKS, ids=lambda one: one.__name__[1:])
def test_products_of_failed_jobs_are_written_one_by_one(
    bulk_shop: Sandbox, job: Job, settings: Settings, obstruct: Callable[[Sandbox], None]
) -> None:
    """In the end the catalog is complete, and only products of the failed job were written one by one."""
    obstruct(bulk_shop)
    bulk_shop.klaviyo.forget_requests()
    done = job.run(*PRODUCTS)
    assert (done.code, job.error_lines()) == (0, [])
    has_foreign_item = "product-0" in bulk_shop.klaviyo.state()["items"]
    found = [one for one in catalog_problems(bulk_shop, settings) if not (has_foreign_item and "item product-0" in one)]
    assert found == []
    assert done.report["passes"]["products"]["sent"] == 12
    writes = Counter(call["operation"] for call in bulk_shop.klaviyo.requests(kind="api") if call["status"] in ACCEPTED)
    assert tuple(writes[operation] for operation in SINGLE_WRITES) in FALLBACKS[obstruct]


def test_few_products_use_no_job(sandbox: Sandbox, job: Job, settings: Settings) -> None:
    """Fewer than a hundred items and variants in total are written one by one."""
    for number in range(1, 20):
        sandbox.commercetools.put("products", product(f"product-{number}"))
    assert job.run(*PRODUCTS).code == 0
    assert catalog_problems(sandbox, settings) == []
    assert not BULK_CREATES & operation_counts(sandbox).keys()


def test_an_unmappable_product_is_an_error_and_the_others_are_created(
    bulk_shop: Sandbox, job: Job, settings: Settings
) -> None:
    """An unmappable product goes into the errors file, and jobs create the others."""
    bulk_shop.commercetools.put("products", product("product-13", [variant("13/1", images="none")]))
    done = job.run(*PRODUCTS)
    assert done.code == 0
    assert [(one["resource"], one["reason"]) for one in job.error_lines()] == [("product/product-13", "unmappable")]
    bulk_shop.commercetools.delete("products", "product-13")
    assert catalog_problems(bulk_shop, settings) == []
    assert not operation_counts(bulk_shop).keys() & {*SINGLE_WRITES}


def test_a_deleted_category_is_left_out(bulk_shop: Sandbox, job: Job) -> None:
    """A product may still refer to a deleted category: it is left out. A category that Klaviyo lacks is created."""
    bulk_shop.commercetools.put("categories", category("sale", "Sale"))
    for number in range(1, 13):
        current = bulk_shop.commercetools.document("products", f"product-{number}")["masterData"]["current"]
        current["categories"].append(reference("category", "sale"))
        bulk_shop.commercetools.patch(
            "products", f"product-{number}", {"masterData": {"published": True, "current": current}}
        )
    bulk_shop.commercetools.delete("categories", "bags")
    assert job.run(*PRODUCTS).code == 0
    state = bulk_shop.klaviyo.state()
    assert state["categories"] == {"sale": "Sale"}
    assert [one["categories"] for one in state["items"].values()] == [["sale"]] * 12
    assert not operation_counts(bulk_shop).keys() & {*SINGLE_WRITES}


@pytest.mark.timeout(180)
def test_a_batch_is_finished_before_the_next_is_read(sandbox: Sandbox, job: Job, settings: Settings) -> None:
    """The next products are read only after the jobs of a batch, so memory does not grow with the shop."""
    for number in range(10, 40):
        variants = [variant(f"{number}/{own}", own) for own in range(1, 100)]
        sandbox.commercetools.put("products", product(f"product-{number}", variants))
    done = job.run(*PRODUCTS, "--page", "5")
    assert done.code == 0
    assert catalog_problems(sandbox, settings) == []
    pages = [
        call["at"]
        for call in sandbox.commercetools.requests(kind="api")
        if call["operation"] == "product-projections.query" and call["query"].get("limit") == ["5"]
    ]
    created_at = [call["at"] for operation in sorted(BULK_CREATES) for call in answered_calls(sandbox, operation)]
    assert len(pages) == 7  # the last one is empty
    first, second = [at for at in created_at if at < pages[4]], [at for at in created_at if at > pages[4]]
    assert min(first) > pages[3]
    assert len(first) == 1 + 20  # 20 items and 1,980 variants
    assert len(second) == 1 + 10
    assert not operation_counts(sandbox).keys() & {*SINGLE_WRITES}
