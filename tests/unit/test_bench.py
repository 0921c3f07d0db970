"""The pure parts of the benchmark: the mix, the lean answers, the statistics, the model of Klaviyo's limits."""

import base64
import json
from collections import Counter
from collections.abc import Callable

import pytest

from bench.answers import commercetools_answer, klaviyo_answer
from bench.cold import parse_import_times
from bench.documents import CHANGED_VARIANTS, customer, product, resource_id, size_and_number
from bench.limits import losses, plan
from bench.mix import KINDS, LOG_NAMES, SHARES, Message, composition, implied_writes, mix_messages, push_body
from bench.plot import saturation_plot
from bench.pubsub import Retries
from bench.report import Sheet, as_markdown
from bench.sale import minutes_at_the_limits
from bench.saturation import (
    LIMITS,
    MIXES,
    Instance,
    calls_per_message,
    instances_to_saturate,
    saturating_rates,
    throughput,
)
from bench.statistics import line, medians, percentile
from core.notification import from_push, parse


def test_the_mix_has_its_shares() -> None:
    """40 % customers, 30 % orders, 15 % states, 10 % products, 5 % stock."""
    assert composition(2000) == dict(zip(KINDS, (800, 600, 300, 200, 100), strict=True))


@pytest.mark.parametrize("count", [1, 7, 50, 333, 1999])
def test_the_mix_has_the_requested_size(count: int) -> None:
    """Rounding loses no message, and every kind is within one message of its share."""
    counts = composition(count)
    assert sum(counts.values()) == count
    assert all(abs(counts[kind] - count * share) < 1 for kind, share in SHARES.items())


def test_every_message_has_its_own_resource() -> None:
    """No message can profit from what the function cached for another."""
    messages = mix_messages(500, first=1000)
    assert len({message.number for message in messages}) == 500
    assert min(message.number for message in messages) == 1000
    assert messages == mix_messages(500, first=1000)


def test_implied_writes_of_the_mix() -> None:
    """An order with five line items causes six events; a product change writes three variants."""
    assert implied_writes(mix_messages(100)) == {
        "create_or_update_profile": 40,
        "create_event": 30 * 6 + 15,
        "update_catalog_variant": 10 * 3 + 5,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_function_can_parse_pushes(kind: str) -> None:
    """The envelope is Pub/Sub's, and the notification has the message's type and resource."""
    notification = parse(from_push(push_body(Message(kind, 77, 5), "id")))
    assert notification.key == LOG_NAMES[kind]
    assert size_and_number(notification.resource.id)[1] == 77


def test_an_order_has_its_line_items() -> None:
    """An order has as many line items as its size, each with a unique id."""
    push = json.loads(push_body(Message("order created", 12, 20), "id"))
    order = json.loads(base64.b64decode(push["message"]["data"]))["order"]
    assert len({item["id"] for item in order["lineItems"]}) == 20


def test_three_variants_of_a_product_change() -> None:
    """The other variants don't change."""
    before, after = (product(10, 1, changed=changed)["masterData"]["current"] for changed in (False, True))
    pairs = zip(
        [before["masterVariant"], *before["variants"]], [after["masterVariant"], *after["variants"]], strict=True
    )
    assert sum(old != new for old, new in pairs) == CHANGED_VARIANTS


def test_customers_have_unique_phone_numbers() -> None:
    """Klaviyo would merge customers with the same number into one profile."""
    answers = [
        commercetools_answer(b"GET", f"/shop/customers/{resource_id(0, number)}".encode())[1] for number in (7, 8)
    ]
    bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]
    assert bodies == [customer(7), customer(8)]
    assert bodies[0]["addresses"][0]["mobile"] != bodies[1]["addresses"][0]["mobile"]


def test_lean_answers_are_complete() -> None:
    """The body is as long as Content-Length says, and is the requested resource."""
    own_id = resource_id(10, 42)
    operation, answer = commercetools_answer(b"GET", f"/shop/product-projections/{own_id}?staged=false".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert operation == "product-projections.get"
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["id"] == own_id


def test_lean_klaviyo_answers_with_the_variants_of_an_item() -> None:
    """All ten variants, with the requested fields only."""
    own_id = resource_id(10, 42)
    target = f"/api/catalog-items/$custom:::$default:::{own_id}/variants?fields[catalog-variant]=sku,price"
    operation, answer = klaviyo_answer(b"GET", target.encode())
    variants = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    assert operation == "get_variants_for_catalog_item"
    assert len(variants) == 10
    assert variants[0]["attributes"].keys() == {"sku", "price"}


@pytest.mark.parametrize("answer_to", [commercetools_answer, klaviyo_answer])
def test_unsupported_calls_are_unknown(answer_to: Callable[[bytes, bytes], tuple[str, bytes]]) -> None:
    """The benchmark counts a call that the lean stand-ins don't support as `unknown`."""
    assert answer_to(b"PUT", b"/shop/anything/else")[0] == "unknown"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0, 1)])
def test_percentiles_use_the_nearest_rank(share: float, expected: float) -> None:
    """A percentile is always one of the values."""
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_nothing_is_zero() -> None:
    """A kind without messages still has a row."""
    assert percentile([], 0.5) == 0


def test_fitted_line() -> None:
    """Slope and intercept are exact, and the fit is 1, for points on a line."""
    found = line([(1, 3), (2, 5), (3, 7)])
    assert (found.slope, found.intercept, found.fit) == pytest.approx((2, 1, 1))
    assert line([(1, 3), (2, 9), (3, 7)]).fit < 0.5


def test_nested_medians() -> None:
    """Numbers are matched by name at any depth; texts stay."""
    runs = [{"a": value, "b": {"c": value * 2}, "d": "same"} for value in (1, 5, 3)]
    assert medians(runs) == {"a": 3, "b": {"c": 6}, "d": "same"}


def test_import_times_are_parsed() -> None:
    """A module's own time in milliseconds; the header line is ignored."""
    report = "import time: self [us] | cumulative | imported package\nimport time:      1500 |       2500 |   a.b\n"
    assert parse_import_times(report) == {"a.b": 1.5}


def test_saturation_of_the_mix() -> None:
    """100 messages cause 195 events and 40 profile writes, so events reach their limit first, at 3500 a minute."""
    rates = saturating_rates(SHARES)
    assert calls_per_message(SHARES)["create_event"] == pytest.approx(1.95)
    assert next(iter(rates)) == "create_event"
    assert rates["create_event"] == pytest.approx(3500 / 60 / 1.95)
    assert rates["create_or_update_profile"] == pytest.approx(750 / 60 / 0.4)


@pytest.mark.parametrize("shares", MIXES.values(), ids=MIXES.keys())
def test_more_instances_never_exceed_the_limit(shares: dict[str, float]) -> None:
    """Throughput grows with the instances until Klaviyo's limit, then stays the same."""
    instance = Instance()
    enough = instances_to_saturate(shares, instance)
    ceiling = next(iter(saturating_rates(shares).values()))
    assert throughput(enough, shares, instance)[0] == pytest.approx(ceiling)
    assert throughput(enough + 5, shares, instance) == throughput(enough + 1, shares, instance)
    assert throughput(enough - 1, shares, instance)[0] < ceiling


def test_the_plot_shows_every_mix() -> None:
    """Every mix is labelled with the operation that limits it."""
    picture = saturation_plot(Instance())
    for name, shares in MIXES.items():
        assert f">{name}: " in picture
        assert next(iter(saturating_rates(shares))) in picture


def test_a_plan_at_twice_the_limits() -> None:
    """The messages of one minute cause twice as many calls per operation as Klaviyo allows."""
    counts = Counter[str]()
    for message in plan(60, 2):
        match message.kind:
            case "customer updated":
                counts["create_or_update_profile"] += 1
            case "order created":
                counts["create_event"] += 1 + message.size
            case _:
                counts["update_catalog_variant"] += message.size
    assert counts == {
        name: pytest.approx(2 * LIMITS[name].per_minute, abs=6)
        for name in ("create_or_update_profile", "create_event", "update_catalog_variant")
    }


def test_writes_that_klaviyo_lacks_are_losses() -> None:
    """If nothing was written, everything is lost."""
    messages = [Message("customer updated", 1, 0), Message("order created", 2, 5), Message("product published", 3, 2)]
    nothing: dict[str, list[str]] = {name: [] for name in ("events", "profiles", "items", "variants")}
    assert losses(messages, nothing) == {"profiles": 1, "events": 6, "items": 1, "variants": 2, "events twice": 0}


def test_time_at_the_limits() -> None:
    """Klaviyo's limit per minute decides, longest time first; calls to commercetools are left out."""
    calls = {"get_catalog_item": 3500, "update_catalog_variant": 3000, "product-projections.get": 2000}
    minutes = minutes_at_the_limits(calls)
    assert minutes == {"update_catalog_variant": pytest.approx(4), "get_catalog_item": pytest.approx(1)}
    assert next(iter(minutes)) == "update_catalog_variant"


def test_pauses_between_deliveries_double_up_to_the_longest() -> None:
    """Pauses double, with a jitter of up to 20 % either way."""
    retries = Retries(10, 60)
    assert [retries.pause(attempt, 0.5) for attempt in (1, 2, 3, 4, 5)] == [10, 20, 40, 60, 60]
    assert retries.pause(1, 0) == 8


def test_tables_as_markdown() -> None:
    """The first column is left-aligned, the others right-aligned."""
    assert as_markdown(Sheet("T", ["a", "b"], [["x", "1"]])).splitlines()[2:5] == [
        "| a | b |",
        "| --- | ---: |",
        "| x | 1 |",
    ]
