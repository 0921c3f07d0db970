"""Whatever comes late, twice, out of order or fails on the way: in the end Klaviyo is what commercetools says."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from commands.running import Sandbox, running_function
from core.settings import Settings, load_settings
from mappers.category import category_name
from mappers.item import catalog_item
from mappers.profile import profile
from mappers.variant import catalog_variants, differs
from sandbox.documents import Documents
from sandbox.samples import ENVIRONMENT
from tests.functional.random_shop import RandomShop
from tests.functional.redelivery import Subscription

report = print
"""Shown with a failure: what to repeat, and how much it was."""

SIZE = 100
CHANGES = 1000
AT_A_TIME = 32
DOUBLED = 0.2
LATE = 0.1
SECONDS = 60

_FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 503, "rate": 0.014},
    {"status": 500, "rate": 0.01, "apply": True},
    {"status": 502, "rate": 0.005, "body": "html"},
    {"status": 429, "rate": 0.001, "headers": {"Retry-After": "1"}},
    {"reset": "sending", "rate": 0.01},
    {"reset": "answering", "rate": 0.01, "apply": True},
)
"""Together 5 % of the calls; those that `apply` take effect before they fail."""

_SLOW = {"delay": 0.3, "rate": 0.1}
"""A tenth of the others is answered late: what was read is old by then."""


@pytest.fixture
def settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the function under test, for the mappers that say what is right."""
    for name, value in {**sandbox.environment, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("instances", "stale_after"), [(1, 30), (2, 0)], ids=["one instance", "two instances"])
def test_klaviyo_becomes_what_commercetools_is(
    sandbox: Sandbox, settings: Settings, settings_file: Callable[[str], str], instances: int, stale_after: float
) -> None:
    """1,000 random changes, shuffled, doubled, late, 32 at a time, with 5 % of the calls failing: nothing is missing.

    Within one instance the locks alone must do it, so the guard against stale writes is off; between two instances the
    guard alone can, so it looks after every write. CONVERGENCE_SEED repeats a run's changes; the order of what runs at
    the same time is the machine's.
    """
    seed = int(os.environ.get("CONVERGENCE_SEED") or random.randrange(2**32))
    report(f"CONVERGENCE_SEED={seed}")
    rng = random.Random(seed)
    for backend in (sandbox.commercetools, sandbox.klaviyo):
        backend.seed(seed)
        for fault in (*_FAULTS, _SLOW):
            backend.fail(r"^/(shop|api)/", **fault)
    shop = RandomShop(rng, sandbox.commercetools)
    rules = settings_file(f"[limits]\nbackoff = 0.02\nstale_after = {stale_after}\n")
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": rules}
    with ExitStack() as stack:
        functions = [
            stack.enter_context(running_function(environment, threads=AT_A_TIME // instances)) for _ in range(instances)
        ]
        started = time.monotonic()
        subscription = Subscription([function.url for function in functions], random.Random(rng.random()))
        with subscription.pushing(AT_A_TIME):
            _publish(shop.open(SIZE), subscription, rng)
            for _ in range(CHANGES):
                subscription.wait_for_room(AT_A_TIME)
                _publish(shop.change(), subscription, rng)
            drained = subscription.drained(SECONDS)
        seconds = time.monotonic() - started
    lines = [line for function in functions for line in function.lines]
    report(f"{seconds:.1f} s", *_numbers(subscription, lines, sandbox), sep="\n")
    assert drained, "messages are still not acknowledged"
    _assert_nothing_refused(lines, [said for function in functions for said in function.errors])
    problems = [*_state_problems(sandbox, settings, shop), *_event_problems(sandbox, shop)]
    assert not problems, "\n".join([f"{len(problems)} differences", *problems[:40]])
    assert seconds <= SECONDS


def _publish(deliveries: list[dict[str, Any]], subscription: Subscription, rng: random.Random) -> None:
    """Shuffled by delays of up to 0.3 s, most of them short; a tenth are late by up to 3 s, a fifth come twice."""
    for delivery in deliveries:
        for _ in range(1 + (rng.random() < DOUBLED)):
            subscription.publish(delivery, rng.uniform(1, 3) if rng.random() < LATE else 0.3 * rng.random() ** 3)


def _numbers(subscription: Subscription, lines: Sequence[Mapping[str, Any]], sandbox: Sandbox) -> Iterator[str]:
    yield f"{subscription.published} messages, {subscription.pushes} pushes, {subscription.refusals} refused"
    yield str(dict(Counter(line["outcome"] for line in lines if "outcome" in line)))
    yield str(dict(Counter(line["reason"] for line in lines if "reason" in line)))
    for name, backend in (("commercetools", sandbox.commercetools), ("Klaviyo", sandbox.klaviyo)):
        calls = len(backend.requests(kind="api"))
        failed = sum(rule["hits"] for rule in backend.failures() if not rule["delay"])
        yield f"{name}: {calls} calls, {failed / calls:.1%} of them failed"


def _assert_nothing_refused(lines: Sequence[Mapping[str, Any]], errors: Sequence[str]) -> None:
    """Every refusal of a backend was one that passes: nothing was wrong with a message, and nothing unforeseen."""
    wrong = [line for line in lines if "letter" in line or line.get("reason") == "unforeseen"]
    assert not wrong, wrong[:5]
    assert not [line for line in errors if "Traceback" in line]


def _state_problems(sandbox: Sandbox, settings: Settings, shop: RandomShop) -> Iterator[str]:
    """Differences between Klaviyo and the mapping of commercetools' documents."""
    documents = Documents()
    documents.collections |= sandbox.commercetools.state()["documents"]
    klaviyo = sandbox.klaviyo.state()
    profiles = {found["external_id"]: found for found in klaviyo["profiles"] if found.get("external_id")}
    for customer_id, customer in documents.collections["customers"].items():
        wanted = profile(customer, settings).body["data"]["attributes"]  # type: ignore[arg-type]
        yield from _differences(f"profile {customer_id}", wanted, profiles.get(customer_id))
    yield from (f"profile {erased} is not erased" for erased in shop.erased & profiles.keys())
    names = {
        category_id: category_name(documents.expanded(category, ["ancestors[*]"]), settings)  # type: ignore[arg-type]
        for category_id, category in documents.collections["categories"].items()
    }
    yield from _differences("categories", names, klaviyo["categories"])
    yield from (f"category {surplus} is still there" for surplus in klaviyo["categories"].keys() - names.keys())
    yield from _catalog_problems(documents, klaviyo, settings)


def _catalog_problems(documents: Documents, klaviyo: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    items, variants = dict(klaviyo["items"]), dict(klaviyo["variants"])
    now = datetime.now(UTC)
    for projection in documents.projections(staged=False):
        product: Any = documents.expanded(projection, ["categories[*].ancestors[*]"])
        data = catalog_item(product, settings, now).body["data"]
        found = items.pop(product["id"], None)
        yield from _differences(f"item {product['id']}", _without_id(data["attributes"]), found)
        categories = {category["id"].split(":::")[-1] for category in data["relationships"]["categories"]["data"]}
        if found and categories != set(found["categories"]):
            yield f"item {product['id']} is in {sorted(found['categories'])}, not in {sorted(categories)}"
        for sku, wanted in catalog_variants(product, settings, now).items():
            there = variants.pop(sku, None)
            yield from _differences(f"variant {sku}", {**wanted.body, "item": product["id"]}, there)
    yield from (f"item {surplus} is still there" for surplus in items)
    yield from (f"variant {surplus} is still there" for surplus in variants)


def _differences(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f"{name} is missing"
        return
    for field, value in wanted.items():
        if differs({field: value}, found):
            yield f"{name}: {field} is {found.get(field)!r}, not {value!r}"


def _without_id(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name != "external_id"}


def _event_problems(sandbox: Sandbox, shop: RandomShop) -> Iterator[str]:
    """Events that are missing, there twice, of the wrong person or worth something else."""
    klaviyo = sandbox.klaviyo.state()
    owners = {found["id"]: found.get("external_id") or found.get("email") for found in klaviyo["profiles"]}
    counts = Counter((event["metric"], event["unique_id"]) for event in klaviyo["events"])
    yield from (f"{key} is there {count} times" for key, count in counts.items() if count > 1)
    found = {
        (event["metric"], event["unique_id"]): (event["value"], owners.get(event["profile_id"]))
        for event in klaviyo["events"]
    }
    yield from (f"{key} is missing" for key in shop.events.keys() - found.keys())
    yield from (f"{key} is nobody's order" for key in found.keys() - shop.events.keys())
    for key, wanted in shop.events.items():
        if key in found and found[key] != wanted:
            yield f"{key} is {found[key]}, not {wanted}"
