"""`same` counts only what was compared and is right; what could not be fully compared is `unknown`."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ManagePy, Serve
from tests.functional.documents import Json, customer, order, product, variant
from tests.functional.job_runs import Job, JobResult, answered_calls, result_of
from tests.functional.races import create_category, rename_item
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all

ALL = {"categories": 1, "items": 2, "variants": 3, "profiles": 1}
CATALOG = ("--only", "categories", "--only", "items", "--only", "variants", "--only", "profiles")
REFUSED = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}


def _compare(job: Job, *arguments: str, text: str = "") -> JobResult:
    return reconcile_job(job, text).run(*(arguments or CATALOG), SYNC_CONFIG=reconcile_config(job.folder))


def _counts(done: JobResult, name: str) -> dict[str, int]:
    """A number of the report by kind, without zeros."""
    return {kind: one[name] for kind, one in done.report["kinds"].items() if one[name]}


def _less(**fewer: int) -> dict[str, int]:
    return {kind: count for kind, total in ALL.items() if (count := total - fewer.get(kind, 0))}


@pytest.mark.parametrize(
    ("collection", "own_id", "broken", "unknown"),
    [
        ("categories", "category-1", {"ancestors": 5}, {"categories": 1}),
        ("products", "product-1", {"name": 5}, {"items": 1, "variants": 2}),
    ],
)
def test_what_cannot_be_mapped_is_not_the_same(
    shop: Sandbox, job: Job, collection: str, own_id: str, broken: Json, unknown: dict[str, int]
) -> None:
    """Nobody compared it, and of a product neither its item nor its variants. It is no drift."""
    if collection == "products":
        current = {**shop.commercetools.document("products", own_id)["masterData"]["current"], **broken}
        broken = {"masterData": {"published": True, "current": current, "staged": current}}
    shop.commercetools.patch(collection, own_id, broken)
    done = _compare(job)
    assert (_counts(done, "same"), _counts(done, "unknown")) == (_less(**unknown), unknown)
    assert sum(_counts(done, "failed").values()) == 1
    assert (done.report["drift"], "1 failed" in done.stop_reasons) == (0, True)


def test_a_customer_who_cannot_be_mapped_is_not_the_same(shop: Sandbox, job: Job) -> None:
    """They are one of the shop's customers, of whom the other one is the same."""
    shop.commercetools.put("customers", customer("customer-2", addresses=5))
    done = _compare(job, "--only", "profiles")
    assert (_counts(done, "same"), _counts(done, "unknown")) == ({"profiles": 1}, {"profiles": 1})
    assert (done.report["drift"], _counts(done, "failed")) == (0, {"profiles": 1})


@pytest.mark.parametrize("name", ["items", "variants"])
def test_one_kind_alone(shop: Sandbox, job: Job, name: str) -> None:
    """Only the compared kind is counted, and in its own records: one item, or two variants."""
    current = {**shop.commercetools.document("products", "product-1")["masterData"]["current"], "name": 5}
    shop.commercetools.patch(
        "products", "product-1", {"masterData": {"published": True, "current": current, "staged": current}}
    )
    done = _compare(job, "--only", name)
    unknown = {"items": 1, "variants": 2}[name]
    assert (_counts(done, "same"), _counts(done, "unknown")) == ({name: ALL[name] - unknown}, {name: unknown})


def test_a_second_look_that_fails(shop: Sandbox, job: Job) -> None:
    """The product differed in the list, but that was not confirmed: neither the same nor drift, and so its variants."""
    rename_item(shop, "product-1")
    shop.klaviyo.fail("^/api/catalog-items/", method="GET", status=400, body=REFUSED)
    done = _compare(job)
    unknown = {"items": 1, "variants": 2}
    assert (_counts(done, "same"), _counts(done, "unknown")) == (_less(**unknown), unknown)
    assert (done.report["drift"], _counts(done, "failed")) == (0, {"items": 1})


def test_a_second_look_at_what_the_shop_does_not_have(shop: Sandbox, job: Job) -> None:
    """If it fails, all of the shop's own records are still the same."""
    create_category(shop, str(uuid.uuid4()))
    shop.klaviyo.fail("^/api/catalog-categories/[^/]+$", method="GET", status=400, body=REFUSED)
    done = _compare(job)
    assert (_counts(done, "same"), _counts(done, "unknown")) == (ALL, {})
    assert _counts(done, "failed") == {"categories": 1}


def test_what_keeps_changing_is_not_the_same(shop: Sandbox, job: Job) -> None:
    """The item differed each time, so it is unknown; its variants were the same each time."""
    rename_item(shop, "product-1")
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text("[reconcile]\nsecond_look = 2\n", encoding="utf-8")  # time for a change between two reads
    with compare.started(*CATALOG, SYNC_CONFIG=str(config)) as process:
        number = 0
        while process.poll() is None:
            number += 1
            shop.commercetools.patch("products", "product-1", {"key": f"key-{number}"})
        done = result_of(process)
    assert (_counts(done, "moved"), _counts(done, "unknown")) == ({"items": 1}, {"items": 1})
    assert (_counts(done, "same"), done.report["drift"]) == (_less(items=1), 0)


def test_a_failed_fix_is_drift_and_not_unknown(shop: Sandbox, job: Job) -> None:
    """It was compared and differs, so it counts once."""
    rename_item(shop, "product-1")
    shop.klaviyo.fail("^/api/catalog-items/", method="PATCH", status=400, body=REFUSED)
    done = _compare(job, *CATALOG, "--fix")
    assert (_counts(done, "failed"), _counts(done, "differing_records")) == ({"items": 1}, {"items": 1})
    assert (_counts(done, "same"), _counts(done, "unknown")) == (_less(items=1), {})


def test_a_product_that_should_be_hidden(shop: Sandbox, job: Job, serve: Serve) -> None:
    """It differs, but it is none of the published products, which are all the same."""
    own_id = str(uuid.uuid4())
    shop.commercetools.put("products", product(own_id, [variant("sku-4")]))
    sync_all(serve(SYNC_CONFIG=""), shop)
    document = shop.commercetools.document("products", own_id)
    shop.commercetools.patch("products", own_id, {"masterData": {**document["masterData"], "published": False}})
    done = _compare(job, "--only", "items", text='[product]\nunpublished = "hide"')
    assert (_counts(done, "same"), _counts(done, "differing_records")) == ({"items": 2}, {"items": 1})


def _noon(days: int) -> str:
    return f"{(datetime.now(UTC) - timedelta(days=days)).date().isoformat()}T12:00:00.000"


@pytest.fixture
def orders(sandbox: Sandbox) -> Sandbox:
    """Three orders, of which Klaviyo has no event: one of two days ago, and two of three days ago."""
    sandbox.commercetools.put("customers", customer())
    for number, created_at in enumerate((f"{_noon(2)}Z", f"{_noon(3)}Z", f"{_noon(3)}X")):
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], createdAt=created_at))
    return sandbox


def test_an_order_whose_time_is_unreadable(orders: Sandbox, job: Job, manage_py: ManagePy) -> None:
    """It is counted as unknown and does not end the run: the others are compared, and sent again with `--fix`."""
    done = _compare(job, "--only", "events", "--fix")
    found = done.report["kinds"]["events"]
    assert (found["same"], found["unknown"], found["missing"], found["failed"]) == (0, 1, 2, 1)
    assert found["ids"]["failed"] == ["order-2"]
    sent = [call["body"]["data"]["attributes"]["unique_id"] for call in answered_calls(orders, "create_event")]
    assert sorted(sent) == ["order-0", "order-1"]
    shown = manage_py("reconcile", "--only", "events", SYNC_CONFIG=reconcile_config(job.folder))
    assert shown.stdout.splitlines()[0].split() == ["same", "missing", "differing", "extra", "unknown", "failed"]


def test_a_customer_whose_time_is_unreadable(orders: Sandbox, job: Job) -> None:
    """They may have registered after their orders, so those days are only reported: an order could count twice."""
    orders.commercetools.patch("customers", "customer-1", {"createdAt": "the day before yesterday"})
    done = _compare(job, "--only", "events", "--only", "profiles", "--fix")
    found = done.report["kinds"]["events"]
    assert (found["missing"], found["mended"]) == (2, 0)
    assert answered_calls(orders, "create_event") == []


@pytest.mark.parametrize(
    ("order_changes", "customer_changes", "unknown"),
    [({"customerId": None, "customerEmail": 5}, {}, 2), ({}, {"email": 5}, 3)],
    ids=["order", "customer"],
)
def test_an_email_that_is_a_number(
    orders: Sandbox, job: Job, order_changes: Json, customer_changes: Json, unknown: int
) -> None:
    """The orders it concerns are unknown, as is the one with an unreadable time. The others are compared."""
    orders.commercetools.patch("orders", "order-0", order_changes)
    orders.commercetools.patch("customers", "customer-1", customer_changes)
    done = _compare(job, "--only", "events")
    found = done.report["kinds"]["events"]
    assert (found["same"], found["unknown"], found["missing"]) == (0, unknown, 3 - unknown)
