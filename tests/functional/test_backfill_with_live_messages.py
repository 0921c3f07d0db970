"""A backfill runs while the function handles live messages, and the newest state wins."""

import random

import pytest

from commands.processes import Sandbox, running_function
from core.settings import load_settings
from jobs.customer_batch import MIN_CUSTOMERS
from sandbox.samples import ENVIRONMENT
from tests.functional.documents import customer
from tests.functional.expected_state import problems
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until
from tests.functional.random_shop import RandomShop
from tests.functional.redelivery import Subscription

AT_A_TIME, CHANGES, SECONDS = 8, 60, 60
KINDS = [
    "edit_customer", "erase_customer", "edit_product", "change_variants", "unpublish_product", "publish_product",
    "set_stock", "rename_category", "place_order", "move_order", "refund",
]  # fmt: skip


@pytest.mark.timeout(180)
@pytest.mark.parametrize("crowd", [0, MIN_CUSTOMERS], ids=["one by one", "in bulk"])
def test_the_newest_state_wins(sandbox: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch, crowd: int) -> None:
    """An existing shop changes during its backfill. The function receives only the changes.

    A crowd of further customers, who don't change, makes the backfill use a bulk import.
    """
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    shop = RandomShop(rng, sandbox.commercetools, KINDS)
    shop.open(10)
    people = [customer(f"crowd-{number}", addresses=[]) for number in range(crowd)]
    sandbox.commercetools.put_all({"customers": people})
    sandbox.klaviyo.jobs(rng.uniform(1, 4))
    for _ in range(5):
        shop.place_order()
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": ""}
    sandbox.klaviyo.fail("^/api/", delay=0.05)
    sandbox.klaviyo.fail("^/api/", delay=0.5, rate=0.1, late=True)
    with (
        running_function(environment) as function,
        job.started("--page", "4") as process,
    ):
        wait_until(lambda: sandbox.klaviyo.requests(kind="api"))
        subscription = Subscription([function.url], random.Random(rng.random()))
        with subscription.pushing(AT_A_TIME):
            for _ in range(CHANGES):
                subscription.wait_for_room(AT_A_TIME, soon=0.1)
                for delivery in shop.change():
                    subscription.publish(delivery, 0.1)
            assert subscription.drained(SECONDS), f"seed {seed}"
        done = result_of(process)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (done.code, job.error_lines()) == (0, []), f"seed {seed}"
    assert bool(answered_calls(sandbox, "bulk_import_profiles")) == bool(crowd), f"seed {seed}"
    assert problems(sandbox, load_settings(), shop) == [], f"seed {seed}"
