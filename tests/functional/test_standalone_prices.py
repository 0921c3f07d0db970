"""Standalone prices: each message sets the price of its SKU's variant, and of the item where it is the item's."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import Measured, measured
from tests.functional.conftest import Function, Serve
from tests.functional.documents import Json, message, money, product, recent, reference, too_large, variant
from tests.functional.races import deliver_while

PUBLISHED = message("ProductPublished", "product", "product-1")
WITHOUT_SKU: Mapping[str, Mapping[str, Any]] = {
    "StandalonePriceValueChanged": {"value": money(1), "staged": False},
    "StandalonePriceDiscountSet": {},
    "StandalonePriceExternalDiscountSet": {},
    "StandalonePriceActiveChanged": {"active": True, "oldActive": False},
    "StandalonePriceStagedChangesApplied": {"stagedChanges": {"value": money(1)}},
    "StandalonePriceValidFromSet": {},
    "StandalonePriceValidUntilSet": {},
    "StandalonePriceValidFromAndUntilSet": {},
    "StandalonePriceTierAdded": {"tier": {"minimumQuantity": 2, "value": money(1)}},
    "StandalonePriceTierRemoved": {"removedTier": {"minimumQuantity": 2, "value": money(1)}},
    "StandalonePriceTiersSet": {"tiers": [], "previousTiers": []},
}


def price(number: int, cents: int, sku: str = "A", **fields: Any) -> dict[str, Any]:
    """A standalone price."""
    return {"id": f"price-{number}", "version": 1, "sku": sku, "value": money(cents), "active": True, **fields}


def told(name: str, number: int = 1, *, version: int = 1, **payload: Any) -> dict[str, Any]:
    """A message about a standalone price."""
    return message(name, "standalone-price", f"price-{number}", resourceVersion=version, **payload)


def _put(sandbox: Sandbox, *prices: Mapping[str, Any]) -> None:
    sandbox.commercetools.put_all({"standalone-prices": list(prices)})


@pytest.fixture
def shop(sandbox: Sandbox, function: Function) -> Sandbox:
    """A published product of the SKUs A, at 10.00 EUR, and B, at 20.00 EUR, as Klaviyo has it."""
    variants = [variant("A", 1, prices=[]), variant("B", 2, prices=[])]
    sandbox.commercetools.put("products", product(variants=variants, root={"priceMode": "Standalone"}))
    _put(sandbox, price(1, 1000), price(2, 2000, "B"))
    assert function.deliver(PUBLISHED).outcome == "synced"
    return sandbox


def _prices(done: Measured) -> dict[str, Any]:
    """What is shown of the item and of both variants."""
    shown = {"item": done.state["items"]["product-1"], **done.state["variants"]}
    return {name: one["price"] for name, one in shown.items()}


def _cut(name: str, **_: Any) -> dict[str, Any]:
    return too_large(name, "standalone-price", "price-1")


@pytest.mark.parametrize("make", [told, _cut], ids=["whole", "too large"])
@pytest.mark.parametrize("name", WITHOUT_SKU)
def test_the_price_of_the_items_variant(shop: Sandbox, function: Function, name: str, make: Any) -> None:
    """Read by its id, as the message names no SKU; then product and prices, and both once more after the write.

    Klaviyo's variant is compared, variant and item are written.
    """
    _put(shop, price(1, 1500))
    done = measured(shop, function, make(name, **WITHOUT_SKU[name]))
    assert (done.outcome, done.calls) == ("synced", (5, 3))
    assert done.read == (
        "standalone-prices.get", "product-projections.query", "standalone-prices.query",
        "product-projections.get", "standalone-prices.query",
    )  # fmt: skip
    assert done.written == ("get_catalog_variant", "update_catalog_variant", "update_catalog_item")
    assert _prices(done) == {"item": 15, "A": 15, "B": 20}


def test_the_price_of_another_variant(shop: Sandbox, function: Function) -> None:
    """The item is neither asked for nor written."""
    _put(shop, price(2, 2500, "B"))
    done = measured(shop, function, told("StandalonePriceValueChanged", 2, staged=False))
    assert (done.outcome, done.calls) == ("synced", (5, 2))
    assert _prices(done) == {"item": 10, "A": 10, "B": 25}


def test_a_new_price(shop: Sandbox, function: Function) -> None:
    """Its message has it whole, SKU and all: no read by its id."""
    new = price(3, 900, validFrom="2026-01-01T00:00:00.000Z")
    _put(shop, new)
    done = measured(shop, function, told("StandalonePriceCreated", 3, standalonePrice=new))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (4, 3), {"item": 9, "A": 9, "B": 20})


def test_a_deleted_price(shop: Sandbox, function: Function) -> None:
    """Out of the tables; Klaviyo wants a price, so the variant keeps its own, and the item has the next variant's."""
    shop.commercetools.delete("standalone-prices", "price-1")
    done = measured(shop, function, told("StandalonePriceDeleted", sku="A"))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (4, 3), {"item": 20, "A": 10, "B": 20})
    assert done.state["variants"]["A"]["custom_metadata"]["price_json"] == "{}"


def test_only_price_and_metadata_are_written(shop: Sandbox, function: Function) -> None:
    """Stock, texts and images stay as Klaviyo has them: other messages write those."""
    before = shop.klaviyo.state()
    _put(shop, price(1, 1500))
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    writes = [call for call in shop.klaviyo.requests() if call["method"] == "PATCH"]
    assert [set(call["body"]["data"]["attributes"]) for call in writes] == [{"price", "custom_metadata"}] * 2
    assert all("relationships" not in call["body"]["data"] for call in writes)
    for kind, own in (("items", "product-1"), ("variants", "A")):
        kept = {"price": None, "custom_metadata": None, "updated": None}
        assert done.state[kind][own] | kept == before[kind][own] | kept


def test_the_old_price_goes_after_a_discount(shop: Sandbox, function: Function) -> None:
    """Klaviyo may merge metadata: the key is sent as null to variant and item, though the item is not read before."""
    discount = {"value": money(800), "discount": reference("product-discount", "sale")}
    _put(shop, price(1, 1000, version=2, discounted=discount))
    begun = measured(shop, function, told("StandalonePriceDiscountSet", version=2))
    assert begun.state["variants"]["A"]["custom_metadata"]["compare_at_price"] == 10
    _put(shop, price(1, 1000, version=3))
    done = measured(shop, function, told("StandalonePriceDiscountSet", version=3))
    for shown in (done.state["items"]["product-1"], done.state["variants"]["A"]):
        assert (shown["price"], shown["custom_metadata"]["compare_at_price"]) == (10, None)


def test_what_is_right_already_is_not_written(shop: Sandbox, function: Function) -> None:
    """Variant and item are compared; without a write nothing is looked at again."""
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("synced", (3, 2))
    assert done.written == ("get_catalog_variant", "get_catalog_item")


def test_an_item_that_was_left_behind_is_written(shop: Sandbox, function: Function) -> None:
    """The variant was written, and the item was not, when an earlier attempt failed."""
    _put(shop, price(1, 1500))
    shop.klaviyo.fail("catalog-items/", method="PATCH", status=503, count=3)
    changed = told("StandalonePriceValueChanged", staged=False)
    assert measured(shop, function, changed).answer.outcome == "retried"
    assert _prices(measured(shop, function, changed)) == {"item": 15, "A": 15, "B": 20}


@pytest.mark.parametrize("name", ["StandalonePriceKeySet", "StandalonePriceStagedChangesRemoved"])
def test_what_changes_no_price_has_no_handler(shop: Sandbox, function: Function, name: str) -> None:
    """Nobody is asked."""
    done = measured(shop, function, told(name))
    assert (done.outcome, done.calls) == ("ignored no_handler", (0, 0))


def test_a_staged_value_is_ignored(shop: Sandbox, function: Function) -> None:
    """It is for a later message."""
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=True))
    assert (done.outcome, done.calls) == ("ignored staged", (0, 0))


def test_a_product_with_embedded_prices(shop: Sandbox, function: Function) -> None:
    """Its standalone prices are nobody's."""
    shop.commercetools.patch("products", "product-1", {"priceMode": "Embedded"})
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored embedded_prices", (2, 0))


def test_a_sku_that_is_not_published(shop: Sandbox, function: Function) -> None:
    """Of no product, or of one that is not published."""
    _put(shop, price(3, 100, "NOWHERE"))
    assert measured(shop, function, told("StandalonePriceCreated", 3)).outcome == "ignored not_published"
    shop.commercetools.put("products", product(published=False, variants=[variant("A")], root={"version": 2}))
    assert measured(shop, function, told("StandalonePriceValueChanged")).outcome == "ignored not_published"


def _put_product(sandbox: Sandbox, mode: str = "Standalone", version: int = 1) -> None:
    root = {"priceMode": mode, "version": version}
    sandbox.commercetools.put("products", product(variants=[variant("A", 1, prices=[])], root=root))


def test_the_first_price_of_a_product_that_was_just_published(sandbox: Sandbox, function: Function) -> None:
    """No query shows the price to the product's message, nor the product to the price's: Klaviyo knows its id."""
    sandbox.commercetools.lag(60, of="queries")
    _put_product(sandbox)
    _put(sandbox, price(1, 1000))
    assert measured(sandbox, function, PUBLISHED).state["variants"]["A"]["price"] == 0
    created = recent(told("StandalonePriceCreated", standalonePrice=price(1, 1000)))
    done = measured(sandbox, function, created)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10})
    assert done.written[0] == "get_catalog_variant"


def test_a_product_that_nobody_shows_yet(sandbox: Sandbox, function: Function) -> None:
    """The price's message comes first, and is tried again while it is young."""
    sandbox.commercetools.lag(60, of="queries")
    _put_product(sandbox)
    _put(sandbox, price(1, 1000))
    created = told("StandalonePriceCreated", standalonePrice=price(1, 1000))
    assert measured(sandbox, function, recent(created)).outcome == "retried not_there_yet"
    assert measured(sandbox, function, created).outcome == "ignored not_published"


def test_a_product_that_a_query_shows_with_embedded_prices(sandbox: Sandbox, function: Function) -> None:
    """It was switched to standalone prices just now: read by its id."""
    _put_product(sandbox, "Embedded")
    assert function.deliver(PUBLISHED).outcome == "synced"
    sandbox.commercetools.lag(60, of="queries")
    _put(sandbox, price(1, 1000))
    created = told("StandalonePriceCreated", standalonePrice=price(1, 1000))
    assert measured(sandbox, function, recent(created)).outcome == "ignored embedded_prices"
    _put_product(sandbox, version=2)
    done = measured(sandbox, function, recent(created))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10})
    assert measured(sandbox, function, created).outcome == "ignored embedded_prices"


def test_a_variant_that_klaviyo_does_not_have(shop: Sandbox, serve: Serve) -> None:
    """Neither shown nor there to be written: the product's own message brings it."""
    shop.klaviyo.reset()
    done = measured(shop, serve(), told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, done.state["variants"]) == ("ignored no_variant", (3, 2), {})


def test_a_variant_that_klaviyo_does_not_show_yet(shop: Sandbox, function: Function) -> None:
    """It was just made, and a read by its id lags: it is written all the same."""
    _put(shop, price(1, 1500))
    shop.klaviyo.fail("catalog-variants/", method="GET", status=404)
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (5, 3), {"item": 15, "A": 15, "B": 20})


@pytest.mark.parametrize(
    "odd",
    [{"validFrom": "soon"}, {"validFrom": 5}, {"channel": "ours"}, {"sku": None}],
    ids=["no time", "a number", "no reference", "no SKU"],
)
def test_a_price_that_cannot_be_understood(shop: Sandbox, function: Function, odd: Json) -> None:
    """Dead-lettered, also where it is only looked at: trying again would never end."""
    _put(shop, price(1, 1500, **odd))
    _queries_show(shop, price(2, 2000, "B"))
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert done.answer.reason == "unmappable"


def test_a_price_that_is_gone(shop: Sandbox, function: Function) -> None:
    """The message that deleted it names the SKU."""
    shop.commercetools.delete("standalone-prices", "price-1")
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored deleted_meanwhile", (1, 0))


def test_a_deletion_without_a_sku_is_unmappable(shop: Sandbox, function: Function) -> None:
    """Too large to be included, which it never is: nobody can say any more whose price it was."""
    deleted = too_large("StandalonePriceDeleted", "standalone-price", "price-1")
    assert measured(shop, function, deleted).answer.reason == "unmappable"
    named = deleted | {"resourceUserProvidedIdentifiers": {"sku": "A"}}
    shop.commercetools.delete("standalone-prices", "price-1")
    assert _prices(measured(shop, function, named)) == {"item": 20, "A": 10, "B": 20}


def _queries_show(sandbox: Sandbox, *prices: Mapping[str, Any]) -> None:
    """Queries show these prices, which is not how they are any more."""
    body = {"limit": 500, "offset": 0, "count": len(prices), "results": list(prices)}
    sandbox.commercetools.fail("/standalone-prices$", status=200, body=body)


@pytest.mark.parametrize("listed", [[price(1, 1000), price(2, 2000, "B")], [price(2, 2000, "B")]], ids=["old", "none"])
@pytest.mark.parametrize("name", ["StandalonePriceValueChanged", "StandalonePriceCreated"])
def test_a_price_that_the_query_shows_too_old(shop: Sandbox, function: Function, name: str, listed: Any) -> None:
    """The one that the message names is read by its id and put in its place."""
    new = price(1, 1500, version=2)
    _put(shop, new)
    _queries_show(shop, *listed)
    payload = {"standalonePrice": new} if name == "StandalonePriceCreated" else {"staged": False}
    done = measured(shop, function, told(name, version=2, **payload))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 15, "A": 15, "B": 20})


def test_a_deleted_price_that_the_query_still_shows(shop: Sandbox, function: Function) -> None:
    """It is taken out."""
    shop.commercetools.delete("standalone-prices", "price-1")
    _queries_show(shop, price(1, 1000), price(2, 2000, "B"))
    done = measured(shop, function, told("StandalonePriceDeleted", version=2, sku="A"))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 20, "A": 10, "B": 20})


@pytest.fixture
def lagging(shop: Sandbox) -> Sandbox:
    """The shop, with another price of A for one country; queries show nothing that happens from here on."""
    _put(shop, price(3, 900, country="DE"))
    shop.commercetools.lag(60, of="queries")
    return shop


def _change_together(shop: Sandbox, function: Function, *changed: Mapping[str, Any]) -> None:
    """Prices that change at once, each with its message."""
    _put(shop, *changed)
    for one in changed:
        number = int(one["id"].removeprefix("price-"))
        told_of_it = told("StandalonePriceValueChanged", number, version=one["version"], staged=False)
        assert function.deliver(told_of_it).outcome == "synced"


def test_two_prices_of_a_sku_that_change_together(lagging: Sandbox, function: Function) -> None:
    """The query of the second message still shows the first price as it was, which this instance knows better."""
    _change_together(lagging, function, price(1, 1500, version=2), price(3, 800, version=2, country="DE"))
    state = lagging.klaviyo.state()
    assert (state["variants"]["A"]["price"], state["items"]["product-1"]["price"]) == (15, 15)
    assert '"price_DE":8,' in state["variants"]["A"]["custom_metadata"]["price_json"]


def test_two_new_prices_of_a_sku(lagging: Sandbox, function: Function) -> None:
    """The first one is read by its id for the second one's message: the query lacks it, and may know better."""
    _change_together(lagging, function, price(4, 700, country="FR"))
    _put(lagging, price(5, 600, country="IT"))
    done = measured(lagging, function, told("StandalonePriceValueChanged", 5, staged=False))
    assert done.read == (
        "standalone-prices.get", "product-projections.query", "standalone-prices.query", "standalone-prices.get",
        "product-projections.get", "standalone-prices.query", "standalone-prices.get", "standalone-prices.get",
    )  # fmt: skip
    tables = done.state["variants"]["A"]["custom_metadata"]["price_json"]
    assert ('"price_FR":7,' in tables, '"price_IT":6,' in tables) == (True, True)


@pytest.mark.parametrize("is_deleted", [False, True], ids=["changed", "deleted"])
def test_a_product_that_is_copied_after_its_price(lagging: Sandbox, function: Function, is_deleted: bool) -> None:  # noqa: FBT001 - a table
    """Its query still shows the old price, which this instance knows better."""
    if is_deleted:
        lagging.commercetools.delete("standalone-prices", "price-1")
        assert function.deliver(told("StandalonePriceDeleted", sku="A")).outcome == "synced"
    else:
        _change_together(lagging, function, price(1, 1500, version=2))
    done = measured(lagging, function, PUBLISHED)
    expected = {"item": 9, "A": 9, "B": 20} if is_deleted else {"item": 15, "A": 15, "B": 20}
    assert (done.outcome, _prices(done)) == ("synced", expected)


def test_a_price_that_another_instance_switched_off(shop: Sandbox, function: Function) -> None:
    """The query lacks a price that this instance read a moment ago: read by its id, it is none to be shown."""
    _put(shop, price(4, 700, country="FR"))
    assert function.deliver(told("StandalonePriceCreated", 4, standalonePrice=price(4, 700))).outcome == "synced"
    _put(shop, price(4, 700, version=2, country="FR", active=False))
    done = measured(shop, function, PUBLISHED)
    assert done.read.count("standalone-prices.get") == 1
    assert done.written.count("update_catalog_variant") == 1, "the look finds what was written, and no more"
    assert '"price_FR":10,' in done.state["variants"]["A"]["custom_metadata"]["price_json"]


def test_a_refused_variant_does_not_keep_its_item_from_being_written(shop: Sandbox, function: Function) -> None:
    """The message is dead-lettered with the part that was refused."""
    _put(shop, price(1, 1500, version=2))
    shop.klaviyo.fail("catalog-variants", method="PATCH", status=400, count=1)
    done = measured(shop, function, told("StandalonePriceValueChanged", version=2, staged=False))
    assert (done.outcome.split()[-1], done.state["items"]["product-1"]["price"]) == ("klaviyo_refused", 15)
    (line,) = [line for line in function.lines() if line.get("part")]
    assert line["part"] == "variant A"


def test_a_price_that_is_older_than_its_message(shop: Sandbox, function: Function) -> None:
    """It can't be read yet: tried again, and nothing is written."""
    done = measured(shop, function, told("StandalonePriceValueChanged", version=2, staged=False))
    assert (done.outcome, done.written) == ("retried stale_read", ())


def test_a_new_price_that_is_not_there_yet(shop: Sandbox, function: Function) -> None:
    """Tried again while the message is young; then it was deleted, and the others say the price."""
    created = told("StandalonePriceCreated", 3, standalonePrice=price(3, 900))
    assert measured(shop, function, recent(created)).outcome == "retried not_there_yet"
    done = measured(shop, function, created)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10, "B": 20})


def test_a_price_that_others_pay(shop: Sandbox, function: Function) -> None:
    """It is not among those that are asked for, which is no lag: it is not read by its id again."""
    _put(shop, price(3, 900, channel=reference("channel", "others")), price(1, 1500))
    done = measured(shop, function, told("StandalonePriceValueChanged", 3, staged=False))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (5, 3), {"item": 15, "A": 15, "B": 20})


def test_a_price_that_moves_while_it_is_written(shop: Sandbox, function: Function) -> None:
    """Another instance handled the next message before this write ended: the look finds the newer price."""
    _put(shop, price(1, 1500, version=2))
    shop.klaviyo.fail("catalog-variants/", method="PATCH", delay=0.4, count=1)
    answer = deliver_while(
        function,
        shop,
        told("StandalonePriceValueChanged", version=2, staged=False),
        "get_catalog_variant",
        lambda: _put(shop, price(1, 1800, version=3)),
    )
    assert answer.outcome == "synced"
    state = shop.klaviyo.state()
    assert (state["variants"]["A"]["price"], state["items"]["product-1"]["price"]) == (18, 18)


def test_the_items_price_moves_to_another_variant_while_it_is_written(shop: Sandbox, function: Function) -> None:
    """A's price goes and comes back meanwhile: B's message has put B's price into the item, and mends that."""
    shop.commercetools.delete("standalone-prices", "price-1")
    function.deliver(told("StandalonePriceDeleted", version=2, sku="A"))
    _put(shop, price(2, 2500, "B", version=2))
    shop.klaviyo.fail("catalog-items/", method="PATCH", delay=0.4, count=1)
    answer = deliver_while(
        function,
        shop,
        told("StandalonePriceValueChanged", 2, version=2, staged=False),
        "update_catalog_variant",
        lambda: _put(shop, price(4, 700)),
    )
    assert answer.outcome == "synced"
    assert shop.klaviyo.state()["items"]["product-1"]["price"] == 7


@pytest.mark.parametrize(
    ("setting", "field", "type_id"),
    [("channel", "channel", "channel"), ("customer_group", "customerGroup", "customer-group")],
)
def test_prices_of_our_own_channel_or_group(
    shop: Sandbox, serve: Serve, settings_file: Any, setting: str, field: str, type_id: str
) -> None:
    """They are asked for and come before the price for all; another's is neither, by its own message or a product's."""
    function = serve(SYNC_CONFIG=settings_file(f'[price]\n{setting} = "ours"\n'))
    ours: dict[str, Any] = {field: reference(type_id, "ours")}
    theirs: dict[str, Any] = {field: reference(type_id, "theirs")}
    _put(shop, price(3, 900, **ours), price(4, 100, **theirs), price(5, 1900, "B", **ours))
    done = measured(shop, function, told("StandalonePriceValueChanged", 3, staged=False))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 9, "A": 9, "B": 20})
    done = measured(shop, serve(SYNC_CONFIG=settings_file(f'[price]\n{setting} = "ours"\n')), PUBLISHED)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 9, "A": 9, "B": 19})


def test_a_sku_with_thousands_of_prices(shop: Sandbox, function: Function) -> None:
    """3,000 prices of other channels and groups, inactive or over: only those that can be shown are asked for."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    others = (
        {"channel": reference("channel", "c")}, {"customerGroup": reference("customer-group", "g")},
        {"active": False}, {"validUntil": yesterday}, {"validFrom": tomorrow},
    )  # fmt: skip
    _put(shop, *(price(number, number, **others[number % len(others)]) for number in range(10, 3010)), price(1, 1500))
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, _prices(done)["A"]) == ("synced", (5, 3), 15)
    shop.commercetools.patch("products", "product-1", {"key": "changed"})
    published = measured(shop, function, PUBLISHED)
    assert published.read.count("standalone-prices.query") == 1


def test_all_prices_in_many_currencies_and_countries_are_listed(shop: Sandbox, function: Function) -> None:
    """More than a page of those that can be shown: all pages are read."""
    _put(shop, *(price(number, number, country=f"{number}") for number in range(100, 700)))
    done = measured(shop, function, told("StandalonePriceCreated", 100))
    assert done.read.count("standalone-prices.query") == 4
    assert '"price_699":6.99' in done.state["variants"]["A"]["custom_metadata"]["price_json"]


def test_without_the_scope_messages_wait(shop: Sandbox, function: Function) -> None:
    """As with any wrong key, where CT_SCOPE names the scope and the client has lost it: the queue is not emptied."""
    shop.commercetools.tokens(deny_scopes=["view_standalone_prices"])
    for delivery in (told("StandalonePriceValueChanged"), told("StandalonePriceDeleted", sku="A")):
        assert measured(shop, function, delivery).outcome == "retried commercetools_denied"


def test_a_shop_that_does_not_name_the_scope(shop: Sandbox, serve: Serve) -> None:
    """It goes without standalone prices, as it always did: a message that comes all the same costs no call."""
    scopes = shop.environment["CT_SCOPE"].replace("view_standalone_prices:shop", "")
    done = measured(shop, serve(CT_SCOPE=scopes), told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


def test_switched_off(shop: Sandbox, serve: Serve, settings_file: Any) -> None:
    """Messages that still come are ignored, and products do without standalone prices."""
    function = serve(SYNC_CONFIG=settings_file("[price]\nstandalone = false\n"))
    done = measured(shop, function, told("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))
    published = measured(shop, function, PUBLISHED)
    assert "standalone-prices.query" not in published.read
    assert published.state["variants"]["A"]["custom_metadata"]["price_json"] is None
