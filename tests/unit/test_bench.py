"""The pure parts of the benchmark: the mix, the figures, the model of Klaviyo's limits."""

import base64
import json
from collections import Counter

import pytest

from bench.answers import commercetools_answer, klaviyo_answer
from bench.cold import parsed
from bench.documents import CHANGED_VARIANTS, customer, identity, product, size_and_number
from bench.limits import missing, plan
from bench.mix import KINDS, LOG_NAMES, SHARES, Message, composition, implied_writes, mixed, push_body
from bench.plot import saturation_plot
from bench.pubsub import Retries
from bench.report import Sheet, as_markdown
from bench.sale import minutes_at_the_limits
from bench.saturation import (
    LIMITS,
    MIXES,
    Instance,
    calls_a_message,
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
def test_the_mix_has_as_many_messages_as_asked_for(count: int) -> None:
    """Rounding loses none, and no kind is off by a whole message or more."""
    counts = composition(count)
    assert sum(counts.values()) == count
    assert all(abs(counts[kind] - count * share) < 1 for kind, share in SHARES.items())


def test_every_message_has_a_resource_of_its_own() -> None:
    """What the function remembers of one can't make another cheaper."""
    messages = mixed(500, first=1000)
    assert len({message.number for message in messages}) == 500
    assert min(message.number for message in messages) == 1000
    assert messages == mixed(500, first=1000)


def test_implied_writes_of_the_mix() -> None:
    """An order of five line items makes six events; three variants of a product changed."""
    assert implied_writes(mixed(100)) == {
        "create_or_update_profile": 40,
        "create_event": 30 * 6 + 15,
        "update_catalog_variant": 10 * 3 + 5,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_pushes_are_deliveries_that_the_function_reads(kind: str) -> None:
    """The envelope is Pub/Sub's, and the resource the message's."""
    notification = parse(from_push(push_body(Message(kind, 77, 5), "id")))
    assert notification.key == LOG_NAMES[kind]
    assert size_and_number(notification.resource.id)[1] == 77


def test_an_order_has_its_line_items() -> None:
    """As many as its size says, each with an id of its own."""
    push = json.loads(push_body(Message("order created", 12, 20), "id"))
    order = json.loads(base64.b64decode(push["message"]["data"]))["order"]
    assert len({item["id"] for item in order["lineItems"]}) == 20


def test_three_variants_of_a_product_change() -> None:
    """And nothing of the others."""
    before, after = (product(10, 1, changed=changed)["masterData"]["current"] for changed in (False, True))
    pairs = zip(
        [before["masterVariant"], *before["variants"]], [after["masterVariant"], *after["variants"]], strict=True
    )
    assert sum(old != new for old, new in pairs) == CHANGED_VARIANTS


def test_customers_have_phone_numbers_of_their_own() -> None:
    """Two with the same one would be one person to Klaviyo, and one of the profiles would be gone."""
    answers = [commercetools_answer(b"GET", f"/shop/customers/{identity(0, number)}".encode())[1] for number in (7, 8)]
    bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]
    assert bodies == [customer(7), customer(8)]
    assert bodies[0]["addresses"][0]["mobile"] != bodies[1]["addresses"][0]["mobile"]


def test_lean_answers_are_whole_http_answers() -> None:
    """Head and as many bytes as it promises, about the resource that was asked for."""
    own_id = identity(10, 42)
    operation, answer = commercetools_answer(b"GET", f"/shop/product-projections/{own_id}?staged=false".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert operation == "product-projections.get"
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["id"] == own_id


def test_lean_klaviyo_answers_with_the_variants_before_the_change() -> None:
    """All ten, with the fields that were asked for."""
    own_id = identity(10, 42)
    target = f"/api/catalog-items/$custom:::$default:::{own_id}/variants?fields[catalog-variant]=sku,price"
    operation, answer = klaviyo_answer(b"GET", target.encode())
    variants = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    assert operation == "get_variants_for_catalog_item"
    assert len(variants) == 10
    assert variants[0]["attributes"].keys() == {"sku", "price"}


@pytest.mark.parametrize("answer_of", [commercetools_answer, klaviyo_answer])
def test_what_the_lean_backends_do_not_know_is_counted(answer_of: type) -> None:
    """A call that they were not written for can't pass unseen."""
    assert answer_of(b"PUT", b"/shop/anything/else")[0] == "unknown"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0, 1)])
def test_percentiles_are_of_the_nearest_rank(share: float, expected: float) -> None:
    """Always a value that was measured."""
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_nothing_is_zero() -> None:
    """A kind without messages has a row as well."""
    assert percentile([], 0.5) == 0


def test_a_line_through_points() -> None:
    """Slope and intercept; 1 for points that lie on it."""
    found = line([(1, 3), (2, 5), (3, 7)])
    assert (found.slope, found.intercept, found.fit) == pytest.approx((2, 1, 1))
    assert line([(1, 3), (2, 9), (3, 7)]).fit < 0.5


def test_medians_go_down_into_tables() -> None:
    """Numbers by name, whatever the depth; texts stay."""
    runs = [{"a": value, "b": {"c": value * 2}, "d": "same"} for value in (1, 5, 3)]
    assert medians(runs) == {"a": 3, "b": {"c": 6}, "d": "same"}


def test_import_times_are_read() -> None:
    """A module's own microseconds, without the head line."""
    report = "import time: self [us] | cumulative | imported package\nimport time:      1500 |       2500 |   a.b\n"
    assert parsed(report) == {"a.b": 1.5}


def test_saturation_of_the_mix() -> None:
    """100 messages make 195 events and 40 profile writes: events are the first wall, at 3500 a minute."""
    rates = saturating_rates(SHARES)
    assert calls_a_message(SHARES)["create_event"] == pytest.approx(1.95)
    assert next(iter(rates)) == "create_event"
    assert rates["create_event"] == pytest.approx(3500 / 60 / 1.95)
    assert rates["create_or_update_profile"] == pytest.approx(750 / 60 / 0.4)


@pytest.mark.parametrize("shares", MIXES.values(), ids=MIXES.keys())
def test_more_instances_never_pass_the_wall(shares: dict[str, float]) -> None:
    """Up to it they add up; from there on Klaviyo decides."""
    instance = Instance()
    enough = instances_to_saturate(shares, instance)
    wall = next(iter(saturating_rates(shares).values()))
    assert throughput(enough, shares, instance)[0] == pytest.approx(wall)
    assert throughput(enough + 5, shares, instance) == throughput(enough + 1, shares, instance)
    assert throughput(enough - 1, shares, instance)[0] < wall


def test_the_plot_shows_every_mix() -> None:
    """With the limit that is its wall."""
    picture = saturation_plot(Instance())
    for name, shares in MIXES.items():
        assert f">{name}: " in picture
        assert next(iter(saturating_rates(shares))) in picture


def test_the_plan_beyond_the_limits() -> None:
    """A minute at twice the limits: twice as many calls of each kind as Klaviyo takes."""
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
        name: pytest.approx(2 * LIMITS[name].a_minute, abs=6)
        for name in ("create_or_update_profile", "create_event", "update_catalog_variant")
    }


def test_what_is_missing_is_found() -> None:
    """With nothing written everything is lost."""
    messages = [Message("customer updated", 1, 0), Message("order created", 2, 5), Message("product published", 3, 2)]
    nothing: dict[str, list[str]] = {name: [] for name in ("events", "profiles", "items", "variants")}
    assert missing(messages, nothing) == {"profiles": 1, "events": 6, "items": 1, "variants": 2, "events twice": 0}


def test_time_at_the_limits() -> None:
    """By the minute's limit of each operation of Klaviyo's, the longest first; reads of commercetools have none."""
    calls = {"get_catalog_item": 3500, "update_catalog_variant": 3000, "product-projections.get": 2000}
    minutes = minutes_at_the_limits(calls)
    assert minutes == {"update_catalog_variant": pytest.approx(4), "get_catalog_item": pytest.approx(1)}
    assert next(iter(minutes)) == "update_catalog_variant"


def test_pauses_between_deliveries_double_up_to_the_longest() -> None:
    """With a fifth of jitter either way."""
    retries = Retries(10, 60)
    assert [retries.pause(attempt, 0.5) for attempt in (1, 2, 3, 4, 5)] == [10, 20, 40, 60, 60]
    assert retries.pause(1, 0) == 8


def test_tables_as_markdown() -> None:
    """The first column left, the others right."""
    assert as_markdown(Sheet("T", ["a", "b"], [["x", "1"]])).splitlines()[2:5] == [
        "| a | b |",
        "| --- | ---: |",
        "| x | 1 |",
    ]
