"""`reconcile` while the live function runs: changes whose messages are in flight are not drift."""

import random

import pytest

from commands.processes import Sandbox, running_function
from core.settings import load_settings
from sandbox.samples import ENVIRONMENT
from tests.functional.conftest import Serve
from tests.functional.documents import product, reference, variant
from tests.functional.expected_state import problems
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until
from tests.functional.races import create_variant
from tests.functional.random_shop import RandomShop
from tests.functional.redelivery import Subscription
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all

AT_A_TIME, SECONDS = 4, 60
SECOND_LOOK = 6
KINDS = [
    "edit_customer", "erase_customer", "edit_product", "change_variants", "move_sku", "unpublish_product",
    "publish_product", "set_stock", "rename_category", "edit_price_live", "place_order",
]  # fmt: skip


@pytest.mark.timeout(240)
def test_live_changes_are_not_drift(sandbox: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop changes during the run, and Klaviyo's lists lag. No drift is reported, and the newest state wins."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    shop = RandomShop(rng, sandbox.commercetools, KINDS)
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": ""}
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text(f"[reconcile]\nsecond_look = {SECOND_LOOK}\n", encoding="utf-8")
    sandbox.klaviyo.lag(1)
    with running_function(environment) as function:
        subscription = Subscription([function.url], random.Random(rng.random()))
        with subscription.pushing(AT_A_TIME):
            for delivery in shop.open(10):
                subscription.publish(delivery, 0.1)
            assert subscription.drained(SECONDS), f"seed {seed}"
            sandbox.klaviyo.forget_requests()
            options = ("--fix", "--delete-extra", "--max-delete", "100%")
            with compare.started(*options, SYNC_CONFIG=reconcile_config(job.folder)) as process:
                wait_until(lambda: sandbox.klaviyo.requests(kind="api"))
                changes = 0
                while process.poll() is None:
                    subscription.wait_for_room(AT_A_TIME, soon=0.1)
                    for delivery in shop.change():
                        subscription.publish(delivery, 0.1)
                    changes += 1
                done = result_of(process)
            assert subscription.drained(SECONDS), f"seed {seed}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert changes > 20, f"seed {seed}"
    assert done.report["drift"] == 0, f"seed {seed}: {done.report['kinds']}"
    assert (done.code, compare.error_lines()) == (0, []), f"seed {seed}"
    assert problems(sandbox, load_settings(), shop) == [], f"seed {seed}"


def test_a_candidate_that_is_read_first_does_not_shorten_the_wait(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """An extra variant makes its product a candidate that has to be read by id first.

    Other candidates still wait for `second_look` seconds: a product whose message arrives in that time is not drift.
    """
    for number in (1, 2):
        sandbox.commercetools.put("products", product(f"product-{number}", [variant(f"sku-{number}")]))
    function = serve(SYNC_CONFIG="")
    sync_all(function, sandbox)
    create_variant(sandbox, "surplus", "product-1")
    edited = product("product-2", [variant("sku-2")], name={"en-US": "Edited"}, version=2)
    sandbox.commercetools.put("products", edited)
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text(f"[reconcile]\nsecond_look = {SECOND_LOOK}\n", encoding="utf-8")
    sandbox.klaviyo.forget_requests()
    only = ("--only", "items", "--only", "variants")
    with compare.started(*only, SYNC_CONFIG=reconcile_config(job.folder)) as process:
        wait_until(lambda: answered_calls(sandbox, "get_variants_for_catalog_item"))
        message = {
            "resource": reference("product", "product-2"),
            "projectKey": "shop",
            "version": 1,
            "resourceVersion": 2,
        }
        assert function.deliver({**message, "notificationType": "Message", "type": "ProductPublished"}).status == 204
        done = result_of(process)
    assert {kind: found["ids"] for kind, found in done.report["kinds"].items()} == {
        "items": {},
        "variants": {"extra": ["surplus"]},
    }
