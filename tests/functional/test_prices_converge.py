"""In whatever order messages about prices arrive, Klaviyo ends as if each product had just been published."""

import os
import random
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from commands.processes import Sandbox, running_function
from sandbox.samples import ENVIRONMENT
from tests.functional.documents import message
from tests.functional.klaviyo_state import without_nulls
from tests.functional.random_shop import RandomShop
from tests.functional.redelivery import Subscription

report = print
"""Printed with a failure, so that the run can be repeated."""

KINDS = (
    "edit_price_live", "stage_price", "switch_price_mode", "edit_product", "add_standalone_price",
    "edit_standalone_price", "stage_standalone_price", "delete_standalone_price",
)  # fmt: skip
SIZE = 4
CHANGES = 80
AT_A_TIME = 8
SECONDS = 60
_DELAY = 0.2
"""Minimum seconds until a message arrives. By then Klaviyo's lists have caught up."""
_QUERIES_LAG = {1: 2.0, 2: _DELAY}
"""Seconds that commercetools' queries lag, by the number of instances."""
_SLOW: dict[str, Any] = {"delay": 0.15, "rate": 0.1}
"""A tenth of the calls is answered late, so that what was read is stale by then."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("instances", [1, 2], ids=["one instance", "two instances"])
def test_prices_end_as_after_a_publish(sandbox: Sandbox, instances: int) -> None:
    """Live edits and standalone prices, reordered, duplicated and late, while queries and lists lag.

    A single instance remembers what its messages read, so stale queries do no harm. Two instances don't know what the
    other one read, so there each message takes as long as queries lag. This leaves out the races that how-it-works.md
    names: two prices of a product, or a product and its price, copied by two instances within that lag.

    PRICES_SEED repeats a run's changes.
    """
    seed = int(os.environ.get("PRICES_SEED") or random.randrange(2**32))
    report(f"PRICES_SEED={seed}")
    rng = random.Random(seed)
    for backend in (sandbox.commercetools, sandbox.klaviyo):
        backend.seed(seed)
        backend.fail(r"^/(shop|api)/", **_SLOW)
    sandbox.commercetools.lag(0, _QUERIES_LAG[instances], of="queries")
    sandbox.klaviyo.lag(0, _DELAY, of="lists")
    shop = RandomShop(rng, sandbox.commercetools, KINDS)
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": ""}
    with ExitStack() as stack:
        urls = [
            stack.enter_context(running_function(environment, threads=AT_A_TIME // instances)).url
            for _ in range(instances)
        ]
        subscription = Subscription(urls, random.Random(rng.random()))
        with subscription.pushing(AT_A_TIME):
            _publish(shop.open(SIZE), subscription, rng)
            assert subscription.drained(SECONDS)
            for _ in range(CHANGES):
                subscription.wait_for_room(AT_A_TIME, soon=_DELAY)
                _publish(shop.change(), subscription, rng)
            assert subscription.drained(SECONDS), "messages are still not acknowledged"
    actual = _priced(sandbox)
    expected = _freshly_published(sandbox, environment, actual)
    differences = [
        f"{key} is {actual.get(key)}, not {expected.get(key)}"
        for key in actual | expected
        if actual.get(key) != expected.get(key)
    ]
    assert not differences, "\n".join(differences)


def _publish(deliveries: list[dict[str, Any]], subscription: Subscription, rng: random.Random) -> None:
    """Reorder the messages by random delays; send a third of them twice, and a fifth up to two seconds late."""
    for delivery in deliveries:
        for _ in range(1 + (rng.random() < 0.33)):
            late = rng.uniform(0.5, 2) if rng.random() < 0.2 else 0.3 * rng.random() ** 2
            subscription.publish(delivery, _DELAY + late)


def _freshly_published(
    sandbox: Sandbox, environment: Mapping[str, str], products: Mapping[tuple[str, str], Any]
) -> dict[tuple[str, str], Any]:
    """What a new instance writes for the same products into an empty catalog."""
    for backend in (sandbox.commercetools, sandbox.klaviyo):
        backend.clear_failures()
    sandbox.commercetools.lag(0, of="queries")
    sandbox.klaviyo.reset()
    with running_function(environment) as function:
        subscription = Subscription([function.url], random.Random(0))
        with subscription.pushing(4):
            for kind, product_id in products:
                if kind == "items":
                    subscription.publish(message("ProductPublished", "product", product_id))
            assert subscription.drained(SECONDS)
    return _priced(sandbox)


def _priced(sandbox: Sandbox) -> dict[tuple[str, str], Any]:
    """Price and metadata of items and variants. Null metadata count as absent.

    Without a price in commercetools, the price is left out: Klaviyo requires one, so the last one stays.
    """
    state = sandbox.klaviyo.state()
    shown = {(kind, external_id): one for kind in ("items", "variants") for external_id, one in state[kind].items()}
    return {
        key: (
            without_nulls(one["custom_metadata"]),
            one.get("price") if "price_EUR" in one["custom_metadata"]["price_json"] else None,
        )
        for key, one in shown.items()
    }
