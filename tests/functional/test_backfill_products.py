"""Products that Klaviyo lacks are created by its bulk jobs; whatever these can't do, the live handler does."""

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
BEGIN = {"bulk_create_catalog_items", "bulk_create_catalog_variants"}
SINGLE = ("create_catalog_item", "create_catalog_variant", "update_catalog_item", "update_catalog_variant")
TAKEN = (200, 201)


@pytest.mark.timeout(240)
def test_a_shop_created_by_jobs_is_the_one_that_was_delivered_live(
    sandbox: Sandbox, job: Job, settings: Settings, serve: Callable[..., Any]
) -> None:
    """A random shop with stock, prices and places of all kinds; nothing is written one by one, within the limits."""
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
        for own in documents[collection]:
            told = {"resource": reference(kind, own), "projectKey": "shop", "version": 1}
            function.deliver(
                {**told, "notificationType": name}
                if kind == "category"
                else {**told, "notificationType": "Message", "type": name, "resourceVersion": 1}
            )
    live = klaviyo_records(sandbox)
    assert len(live["items"]) + len(live["variants"]) > 100

    sandbox.klaviyo.reset()
    sandbox.klaviyo.limits()
    sandbox.klaviyo.lag(2)
    sandbox.klaviyo.jobs(1)
    done = job.run(*CATALOG)
    past = klaviyo_records(sandbox)
    assert (done.code, job.error_lines()) == (0, []), f"seed {seed}"
    for kind in ("categories", "items", "variants"):
        assert past[kind] == live[kind], f"seed {seed}"
    assert catalog_problems(sandbox, settings) == [], f"seed {seed}"
    assert not operation_counts(sandbox).keys() & {*SINGLE}, f"seed {seed}"
    assert 429 not in {call["status"] for call in sandbox.klaviyo.requests(kind="api")}, f"seed {seed}"
    assert done.report["passes"]["products"]["sent"] == len(live["items"])


def _nothing(_: Sandbox) -> None:
    """The jobs do it all."""


def _item_exists(shop: Sandbox) -> None:
    create_item(shop, "product-1")


def _item_exists_and_lists_lag(shop: Sandbox) -> None:
    shop.klaviyo.lag(30)
    create_item(shop, "product-1")


def _sku_is_anothers(shop: Sandbox) -> None:
    create_item(shop, "product-0")
    create_variant(shop, "3/5", "product-0")


def _jobs_are_refused(shop: Sandbox) -> None:
    shop.klaviyo.fail(VARIANT_JOBS, method="POST", status=400, count=1)


def _jobs_can_not_begin(shop: Sandbox) -> None:
    shop.klaviyo.fail(ITEM_JOBS, method="POST", status=403)


def _is_cancelled(shop: Sandbox) -> None:
    told = {"data": {"attributes": {"status": "cancelled", "total_count": 100, "completed_count": 0}}}
    shop.klaviyo.fail(VARIANT_JOBS, method="GET", status=200, body=told, count=1)


def _answer_is_lost(shop: Sandbox) -> None:
    shop.klaviyo.jobs(8)
    shop.klaviyo.fail(ITEM_JOBS, method="POST", reset="answering", apply=True, count=1)


def _jobs_are_hard_to_read(shop: Sandbox) -> None:
    shop.klaviyo.jobs(1)
    shop.klaviyo.fail(ITEM_JOBS, method="GET", status=503, count=4)
    shop.klaviyo.fail(VARIANT_JOBS, method="GET", status=429, headers={"Retry-After": "1"}, count=2)


def _job_is_not_shown_at_once(shop: Sandbox) -> None:
    shop.klaviyo.fail(ITEM_JOBS, method="GET", status=404, count=1)


def _items_are_not_listed(shop: Sandbox) -> None:
    shop.klaviyo.fail("^/api/catalog-items", method="GET", status=400, count=1)


NONE = ((0, 0, 0, 0),)
FALLBACKS: Mapping[Callable[[Sandbox], None], tuple[tuple[int, ...], ...]] = {
    _nothing: NONE,
    _item_exists: ((0, 10, 1, 0),),
    _item_exists_and_lists_lag: ((0, 120, 12, 0),),  # all twelve items were in the job that failed
    _sku_is_anothers: ((0, 1, 10, 100),),
    _jobs_are_refused: ((0, 100, 10, 0), (0, 20, 2, 0)),  # of two jobs that begin at once either is refused
    _jobs_can_not_begin: ((12, 120, 0, 0),),
    _is_cancelled: ((0, 0, 10, 100),),  # the sandbox has done it all the same
    _answer_is_lost: ((0, 120, 0, 0),),  # the job has made the items
    _jobs_are_hard_to_read: NONE,
    _job_is_not_shown_at_once: NONE,
    _items_are_not_listed: ((12, 120, 0, 0),),
}
"""What is in the way, and how many writes one by one Klaviyo then takes, in the order of SINGLE; or either of two."""


@pytest.mark.parametrize("happens", FALLBACKS, ids=lambda one: one.__name__[1:])
def test_what_jobs_can_not_do_the_handler_does(
    bulk_shop: Sandbox, job: Job, settings: Settings, happens: Callable[[Sandbox], None]
) -> None:
    """In the end everything is there; and no more than the products of the job that failed is written one by one."""
    happens(bulk_shop)
    bulk_shop.klaviyo.forget_requests()
    done = job.run(*PRODUCTS)
    assert (done.code, job.error_lines()) == (0, [])
    delete = "product-0" in bulk_shop.klaviyo.state()["items"]
    found = [one for one in catalog_problems(bulk_shop, settings) if not (delete and "item product-0" in one)]
    assert found == []
    assert done.report["passes"]["products"]["sent"] == 12
    taken = Counter(call["operation"] for call in bulk_shop.klaviyo.requests(kind="api") if call["status"] in TAKEN)
    assert tuple(taken[operation] for operation in SINGLE) in FALLBACKS[happens]


def test_few_are_not_worth_a_job(sandbox: Sandbox, job: Job, settings: Settings) -> None:
    """Fewer than a hundred items and variants, of however many products."""
    for number in range(1, 20):
        sandbox.commercetools.put("products", product(f"product-{number}"))
    assert job.run(*PRODUCTS).code == 0
    assert catalog_problems(sandbox, settings) == []
    assert not BEGIN & operation_counts(sandbox).keys()


def test_what_can_not_be_mapped_is_noted_and_the_others_are_created(
    bulk_shop: Sandbox, job: Job, settings: Settings
) -> None:
    """The errors file names it."""
    bulk_shop.commercetools.put("products", product("product-13", [variant("13/1", images="none")]))
    done = job.run(*PRODUCTS)
    assert done.code == 0
    assert [(one["resource"], one["reason"]) for one in job.error_lines()] == [("product/product-13", "unmappable")]
    bulk_shop.commercetools.delete("products", "product-13")
    assert catalog_problems(bulk_shop, settings) == []
    assert not operation_counts(bulk_shop).keys() & {*SINGLE}


def test_a_category_that_the_shop_lacks_is_left_out(bulk_shop: Sandbox, job: Job) -> None:
    """A product may name it for a while; one that Klaviyo lacks is created."""
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
    assert not operation_counts(bulk_shop).keys() & {*SINGLE}


@pytest.mark.timeout(180)
def test_a_batch_is_done_before_the_next_is_read(sandbox: Sandbox, job: Job, settings: Settings) -> None:
    """So memory does not grow with the shop; the cursor moves behind a batch when all of it is done."""
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
    begun = [call["at"] for operation in sorted(BEGIN) for call in answered_calls(sandbox, operation)]
    assert len(pages) == 7  # the last one is empty
    first, second = [at for at in begun if at < pages[4]], [at for at in begun if at > pages[4]]
    assert min(first) > pages[3]
    assert len(first) == 1 + 20  # 20 items and 1,980 variants
    assert len(second) == 1 + 10
    assert not operation_counts(sandbox).keys() & {*SINGLE}
