"""Products that change while Klaviyo's bulk jobs create them, or after the backfill was killed."""

import signal
import subprocess
from collections.abc import Callable
from copy import deepcopy

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from sandbox.documents import now
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, change, entry, message, money, reference
from tests.functional.expected_state import catalog_problems
from tests.functional.job_runs import Job, answered_calls, operation_counts, result_of, wait_until

CATALOG = ("--only", "categories", "--only", "products")
ITEMS, VARIANTS = "bulk_create_catalog_items", "bulk_create_catalog_variants"
JOB_SECONDS = 6.0
"""Seconds that a job takes: enough for all changes, half of them in the queue."""
SECONDS_TO_END = 10.0
Deliver = Callable[[Json], object]


def _edited(sandbox: Sandbox, number: int, edit: Callable[[Json], None], kind: str = "ProductPublished") -> Json:
    """Change a product's current data; return the Message about it."""
    product_id = f"product-{number}"
    master = deepcopy(sandbox.commercetools.document("products", product_id)["masterData"])
    edit(master)
    document = sandbox.commercetools.patch("products", product_id, {"masterData": master})
    return message(kind, "product", product_id, resourceVersion=document["version"], createdAt=now())


def _stock(sandbox: Sandbox, kind: str, document: Json) -> Json:
    sandbox.commercetools.put("inventory", document)
    fields = {"version": document["version"], "resourceUserProvidedIdentifiers": {"sku": document["sku"]}}
    return change(kind, "inventory-entry", document["id"], modifiedAt=now(), **fields)


def _unpublish(master: Json) -> None:
    master["published"] = False


def _rename(master: Json) -> None:
    master["current"]["name"] = {"en-US": "Another name"}


def _reprice(master: Json) -> None:
    master["current"]["masterVariant"]["prices"] = [{"id": "price-1", "value": money(7700)}]


def _move(master: Json) -> None:
    master["current"]["categories"] = [reference("category", "women")]


def _lose_variant(master: Json) -> None:
    master["current"]["variants"].pop()


def _gain_variant(lost: Json) -> Callable[[Json], None]:
    def gain(master: Json) -> None:
        master["current"]["variants"].append({**lost, "id": 99})

    return gain


def change_products(sandbox: Sandbox, deliver: Deliver) -> None:
    """Change ten products, each in a different way, and deliver the notification of each change."""
    deliver(_edited(sandbox, 1, _rename))
    deliver(_stock(sandbox, "ResourceUpdated", entry("entry-2", "2/1", 77, version=2)))
    deliver(_stock(sandbox, "ResourceCreated", entry("entry-20", "3/7", 55)))
    deliver(_edited(sandbox, 4, _reprice, "ProductPriceChanged"))
    deliver(_edited(sandbox, 5, _unpublish, "ProductUnpublished"))
    deliver(_edited(sandbox, 6, _move, "ProductRemovedFromCategory"))
    deliver(_edited(sandbox, 7, _lose_variant))
    lost = sandbox.commercetools.document("products", "product-8")["masterData"]["current"]["variants"][-1]
    deliver(_edited(sandbox, 8, _lose_variant))
    deliver(_edited(sandbox, 9, _gain_variant(lost)))
    price = {"id": "standalone-1", "version": 1, "sku": "10/2", "active": True, "value": money(8800)}
    sandbox.commercetools.put("standalone-prices", price)
    created = message("StandalonePriceCreated", "standalone-price", "standalone-1", standalonePrice=price)
    deliver({**created, "createdAt": now()})


def _deliver_nothing(_: Json) -> None:
    """Deliver nothing, as if no function were deployed."""


def _prepare(sandbox: Sandbox) -> None:
    """Give the tenth product standalone prices, slow down jobs, and let lists lag by two seconds."""
    sandbox.commercetools.patch("products", "product-10", {"priceMode": "Standalone"})
    sandbox.klaviyo.jobs(JOB_SECONDS)
    sandbox.klaviyo.lag(2)
    sandbox.commercetools.lag(2, of="queries")


def _has_begun(sandbox: Sandbox, operation: str) -> Callable[[], object]:
    return lambda: answered_calls(sandbox, operation)


@pytest.mark.parametrize("operation", [ITEMS, VARIANTS])
@pytest.mark.parametrize("live", [True, False], ids=["live", "alone"])
@pytest.mark.timeout(240)
def test_the_newest_state_wins(
    bulk_shop: Sandbox,
    job: Job,
    settings: Settings,
    serve: Serve,
    operation: str,
    live: bool,  # noqa: FBT001
) -> None:
    """Changes while a job is queued win, with or without the live function. Only what changed is written again."""
    deliver: Deliver = _delivering(serve()) if live else _deliver_nothing
    _prepare(bulk_shop)
    with job.started(*CATALOG) as process:
        wait_until(_has_begun(bulk_shop, operation))
        change_products(bulk_shop, deliver)
        done = result_of(process)
    assert (done.code, job.error_lines()) == (0, [])
    assert catalog_problems(bulk_shop, settings) == []
    assert "product-5" not in bulk_shop.klaviyo.state()["items"]
    if not live:
        written = [call["path"] for call in answered_calls(bulk_shop, "update_catalog_variant")]
        assert not [path for path in written if path.endswith(("%3A11%2F1", ":::11/1", ":::12/1"))]


def _delivering(function: Function) -> Deliver:
    def deliver(delivery: Json) -> None:
        while function.deliver(delivery).outcome == "retried":
            pass

    return deliver


@pytest.mark.parametrize("operation", [ITEMS, VARIANTS])
@pytest.mark.timeout(240)
def test_no_stale_state_stays_after_a_kill(
    bulk_shop: Sandbox,
    job: Job,
    settings: Settings,
    serve: Serve,
    operation: str,
) -> None:
    """The shop changes while a killed run's job is still working. The resumed run restores the newest state."""
    deliver = _delivering(serve())
    _prepare(bulk_shop)
    with job.started(*CATALOG) as process:
        wait_until(_has_begun(bulk_shop, operation))
        process.kill()
    assert min(job.state["passes"]["products"]["unfinished"]["creates"]["product-5"]) == "5/1"
    change_products(bulk_shop, deliver)
    done = job.run(*CATALOG)
    assert (done.code, job.error_lines()) == (0, [])
    assert catalog_problems(bulk_shop, settings) == []
    assert done.report["passes"]["products"]["sent"] == 11


@pytest.mark.timeout(240)
def test_repeated_kills_leave_the_right_catalog(
    bulk_shop: Sandbox,
    job: Job,
    settings: Settings,
) -> None:
    """A run killed before a job, while it is queued and while it is polled still completes in the end."""
    bulk_shop.klaviyo.jobs(2)
    for operation in (ITEMS, "get_bulk_create_catalog_items_job", VARIANTS, "get_bulk_create_variants_job"):
        before = operation_counts(bulk_shop)[operation]
        with job.started(*CATALOG) as process:
            wait_until(lambda: operation_counts(bulk_shop)[operation] > before or process.poll() is not None)  # noqa: B023
            process.kill()
    done = job.run(*CATALOG)
    assert (done.code, job.error_lines()) == (0, [])
    assert catalog_problems(bulk_shop, settings) == []
    assert job.state["passes"]["products"]["unfinished"] is None
    assert job.state["passes"]["products"]["read"] == 12


def test_a_signal_while_a_job_is_queued_ends_the_run(bulk_shop: Sandbox, job: Job, settings: Settings) -> None:
    """A signal ends the run within ten seconds with exit code 75, and the same command resumes."""
    bulk_shop.klaviyo.jobs(30)
    with job.started(*CATALOG) as process:
        wait_until(_has_begun(bulk_shop, ITEMS))
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run has not ended within {SECONDS_TO_END:.0f} s")
        assert result_of(process).code == 75
    bulk_shop.klaviyo.jobs(0)
    assert job.run(*CATALOG).code == 0
    assert catalog_problems(bulk_shop, settings) == []
