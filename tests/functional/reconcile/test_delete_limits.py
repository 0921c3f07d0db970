"""`--delete-extra` deletes nothing if commercetools lists too little, or if more than `--max-delete` is extra."""

import uuid
from typing import Any

import pytest

from clients.retrying import message_budget
from commands.processes import Sandbox
from core.settings import Settings
from handlers.services import Services
from jobs.outcome import BRAKE
from tests.functional.conftest import Serve
from tests.functional.documents import category, product, variant
from tests.functional.job_runs import Job
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.races import create_item
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all

CATALOG = ("--only", "categories", "--only", "items", "--only", "variants")
DELETE = (*CATALOG, "--fix", "--delete-extra")
PRODUCTS = 20


def _uuid(number: int) -> str:
    """An id in the form of commercetools' ids."""
    return str(uuid.UUID(int=number, version=4))


@pytest.fixture
def shop(sandbox: Sandbox, serve: Serve) -> Sandbox:
    """Four categories and 20 products that have UUIDs as ids, in sync with Klaviyo."""
    for number in range(4):
        sandbox.commercetools.put("categories", category(_uuid(100 + number), f"Category {number}"))
    for number in range(PRODUCTS):
        documents = [variant(f"sku-{number}-{one}", one) for one in (1, 2)]
        sandbox.commercetools.put("products", product(_uuid(number), documents, categories=[_uuid(100 + number % 4)]))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    return sandbox


def _listed(settings: Settings, collection: str) -> list[Any]:
    """A collection as `reconcile` lists it."""
    services = Services(settings)
    try:
        params = [("staged", "false"), ("sort", "id asc"), ("limit", "500"), ("expand", "categories[*].ancestors[*]")]
        with message_budget(settings.sync.limits):
            found: list[Any] = services.commercetools.page(collection, params)["results"]
        return found
    finally:
        services.close()


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty pages", "half a list"])
def test_an_incomplete_list_of_commercetools_deletes_nothing(
    shop: Sandbox, job: Job, settings: Settings, share: float
) -> None:
    """Records that the list lacks are read by id, so they do not count as extra."""
    before = klaviyo_records(shop)
    for collection in ("product-projections", "categories"):
        listed = _listed(settings, collection)
        results = listed[: int(len(listed) * share)]
        page = {"limit": 500, "offset": 0, "count": len(results), "results": results}
        shop.commercetools.fail(f"/{collection}$", status=200, body=page)
    compare = reconcile_job(job)
    done = compare.run(*DELETE, SYNC_CONFIG=reconcile_config(job.folder))
    assert klaviyo_records(shop) == before
    assert all(found["extra"] == 0 for found in done.report["kinds"].values())
    assert shop.commercetools.failures()[0]["hits"] > 0


def test_more_extra_items_than_the_limit_delete_nothing(shop: Sandbox, job: Job) -> None:
    """Even reads by id find no product here. With a higher `--max-delete` the items are deleted."""
    before = klaviyo_records(shop)
    for number in range(PRODUCTS):
        shop.commercetools.delete("products", _uuid(number))
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    done = compare.run(*DELETE, **environment)
    assert done.code == BRAKE
    assert "20 of 20 items in Klaviyo are extra, which is more than 5% (--max-delete)" in done.stop_reasons
    assert klaviyo_records(shop) == before
    compare.run(*DELETE, "--max-delete", "100%", **environment)
    assert klaviyo_records(shop)["items"] == {}


def test_a_list_under_half_of_the_last_runs_deletes_nothing(shop: Sandbox, job: Job) -> None:
    """Even if `--max-delete` allows it. The last run's counts are in the state file: without it, items are deleted."""
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    assert compare.run(*CATALOG, **environment).report["drift"] == 0
    assert compare.state["counts"] == {"categories": 4, "items": PRODUCTS, "variants": 2 * PRODUCTS}
    for number in range(PRODUCTS // 2 + 1):
        shop.commercetools.delete("products", _uuid(number))
    before = klaviyo_records(shop)
    for _ in range(2):
        done = compare.run(*DELETE, "--max-delete", "100%", **environment)
        assert (done.code, klaviyo_records(shop)) == (BRAKE, before)
        assert "fewer than half as many items" in done.stop_reasons
    (job.folder / "reconcile-state.json").unlink()
    done = compare.run(*DELETE, "--max-delete", "100%", **environment)
    assert (done.code, len(klaviyo_records(shop)["items"])) == (0, PRODUCTS // 2 - 1)


@pytest.mark.parametrize("unpublished", ["delete", "hide"])
def test_the_item_of_an_unpublished_product_is_extra_or_must_be_hidden(
    shop: Sandbox, job: Job, unpublished: str
) -> None:
    """As `[product] unpublished` says. An item without a product is extra in both cases."""
    document = shop.commercetools.document("products", _uuid(3))
    shop.commercetools.patch("products", _uuid(3), {"masterData": {**document["masterData"], "published": False}})
    create_item(shop, _uuid(999))
    compare = reconcile_job(job, f'[product]\nunpublished = "{unpublished}"\n')
    environment = {"SYNC_CONFIG": reconcile_config(job.folder)}
    found = compare.run(*CATALOG, **environment).report["kinds"]["items"]
    if unpublished == "hide":
        assert (found["differing"], found["ids"]["differing"]) == ({"published": 1}, [_uuid(3)])
        compare.run(*CATALOG, "--fix", **environment)
        assert klaviyo_records(shop)["items"][_uuid(3)]["published"] is False
        found = compare.run(*CATALOG, **environment).report["kinds"]["items"]
        assert (found["differing"], found["ids"]["extra"]) == ({}, [_uuid(999)])
    else:
        assert found["ids"]["extra"] == sorted([_uuid(3), _uuid(999)])
    compare.run(*DELETE, "--max-delete", "50%", **environment)
    assert _uuid(999) not in klaviyo_records(shop)["items"]
    assert (_uuid(3) in klaviyo_records(shop)["items"]) is (unpublished == "hide")
