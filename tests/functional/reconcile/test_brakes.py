"""Nothing is deleted because commercetools answered with less than there is, and no more than was agreed to."""

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


def _own_id(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))


@pytest.fixture
def shop(sandbox: Sandbox, serve: Serve) -> Sandbox:
    """Categories and products with ids as commercetools gives them, all of them in Klaviyo."""
    for number in range(4):
        sandbox.commercetools.put("categories", category(_own_id(100 + number), f"Category {number}"))
    for number in range(PRODUCTS):
        documents = [variant(f"sku-{number}-{one}", one) for one in (1, 2)]
        sandbox.commercetools.put(
            "products", product(_own_id(number), documents, categories=[_own_id(100 + number % 4)])
        )
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    return sandbox


def _listed(settings: Settings, collection: str) -> list[Any]:
    services = Services(settings)
    try:
        params = [("staged", "false"), ("sort", "id asc"), ("limit", "500"), ("expand", "categories[*].ancestors[*]")]
        with message_budget(settings.sync.limits):
            found: list[Any] = services.commercetools.page(collection, params)["results"]
        return found
    finally:
        services.close()


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty pages", "half a list"])
def test_lists_of_commercetools_that_lack_something_delete_nothing(
    shop: Sandbox, job: Job, settings: Settings, share: float
) -> None:
    """Each of what is missing from them is asked for by its id before anything is done."""
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


def test_a_shop_that_seems_to_be_gone_stays(shop: Sandbox, job: Job) -> None:
    """Also reads by id find nothing: more would be deleted than was agreed to."""
    before = klaviyo_records(shop)
    for number in range(PRODUCTS):
        shop.commercetools.delete("products", _own_id(number))
    compare, told = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    done = compare.run(*DELETE, **told)
    assert done.code == BRAKE
    assert "20 of 20 items in Klaviyo are extra, which is more than 5% (--max-delete)" in done.stop_reasons
    assert klaviyo_records(shop) == before
    compare.run(*DELETE, "--max-delete", "100%", **told)
    assert klaviyo_records(shop)["items"] == {}


def test_a_list_that_is_half_of_the_last_one_deletes_nothing(shop: Sandbox, job: Job) -> None:
    """Not even where that would be allowed; the state file remembers how much there was."""
    compare, told = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    assert compare.run(*CATALOG, **told).report["drift"] == 0
    assert compare.state["counts"] == {"categories": 4, "items": PRODUCTS, "variants": 2 * PRODUCTS}
    for number in range(PRODUCTS // 2 + 1):
        shop.commercetools.delete("products", _own_id(number))
    before = klaviyo_records(shop)
    for _ in range(2):
        done = compare.run(*DELETE, "--max-delete", "100%", **told)
        assert (done.code, klaviyo_records(shop)) == (BRAKE, before)
        assert "fewer than half as many items" in done.stop_reasons
    (job.folder / "reconcile-state.json").unlink()
    done = compare.run(*DELETE, "--max-delete", "100%", **told)
    assert (done.code, len(klaviyo_records(shop)["items"])) == (0, PRODUCTS // 2 - 1)


@pytest.mark.parametrize("unpublished", ["delete", "hide"])
def test_what_is_published_again_stays_and_what_is_hidden_is_right(shop: Sandbox, job: Job, unpublished: str) -> None:
    """An item of a product that is not published goes or is hidden, as the settings say."""
    document = shop.commercetools.document("products", _own_id(3))
    shop.commercetools.patch("products", _own_id(3), {"masterData": {**document["masterData"], "published": False}})
    create_item(shop, _own_id(999))
    compare = reconcile_job(job, f'[product]\nunpublished = "{unpublished}"\n')
    told = {"SYNC_CONFIG": reconcile_config(job.folder)}
    found = compare.run(*CATALOG, **told).report["kinds"]["items"]
    if unpublished == "hide":
        assert (found["differing"], found["ids"]["differing"]) == ({"published": 1}, [_own_id(3)])
        compare.run(*CATALOG, "--fix", **told)
        assert klaviyo_records(shop)["items"][_own_id(3)]["published"] is False
        found = compare.run(*CATALOG, **told).report["kinds"]["items"]
        assert (found["differing"], found["ids"]["extra"]) == ({}, [_own_id(999)])
    else:
        assert found["ids"]["extra"] == sorted([_own_id(3), _own_id(999)])
    compare.run(*DELETE, "--max-delete", "50%", **told)
    assert _own_id(999) not in klaviyo_records(shop)["items"]
    assert (_own_id(3) in klaviyo_records(shop)["items"]) is (unpublished == "hide")
