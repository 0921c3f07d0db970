"""Each message about a standalone price sets the price of its SKU's variant, and of an item that shows this variant."""

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


def price_message(name: str, number: int = 1, *, version: int = 1, **payload: Any) -> dict[str, Any]:
    """A message about a standalone price."""
    return message(name, "standalone-price", f"price-{number}", resourceVersion=version, **payload)


def _put(sandbox: Sandbox, *prices: Mapping[str, Any]) -> None:
    sandbox.commercetools.put_all({"standalone-prices": list(prices)})


@pytest.fixture
def shop(sandbox: Sandbox, function: Function) -> Sandbox:
    """A published product as Klaviyo has it, with the SKUs A, at 10.00 EUR, and B, at 20.00 EUR."""
    variants = [variant("A", 1, prices=[]), variant("B", 2, prices=[])]
    sandbox.commercetools.put("products", product(variants=variants, root={"priceMode": "Standalone"}))
    _put(sandbox, price(1, 1000), price(2, 2000, "B"))
    assert function.deliver(PUBLISHED).outcome == "synced"
    return sandbox


def _prices(done: Measured) -> dict[str, Any]:
    """Prices of the item and of both variants in Klaviyo."""
    shown = {"item": done.state["items"]["product-1"], **done.state["variants"]}
    return {name: one["price"] for name, one in shown.items()}


def _too_large(name: str, **_: Any) -> dict[str, Any]:
    return too_large(name, "standalone-price", "price-1")


@pytest.mark.parametrize("make_message", [price_message, _too_large], ids=["whole", "too large"])
@pytest.mark.parametrize("name", WITHOUT_SKU)
def test_the_price_of_the_variant_that_the_item_shows(
    shop: Sandbox, function: Function, name: str, make_message: Any
) -> None:
    """The message names no SKU, so the price is read by id; then product and prices, and both again as the check.

    Klaviyo's variant is compared; variant and item are written.
    """
    _put(shop, price(1, 1500))
    done = measured(shop, function, make_message(name, **WITHOUT_SKU[name]))
    assert (done.outcome, done.calls) == ("synced", (5, 3))
    assert done.read == (
        "standalone-prices.get", "product-projections.query", "standalone-prices.query",
        "product-projections.get", "standalone-prices.query",
    )  # fmt: skip
    assert done.written == ("get_catalog_variant", "update_catalog_variant", "update_catalog_item")
    assert _prices(done) == {"item": 15, "A": 15, "B": 20}


def test_the_price_of_another_variant(shop: Sandbox, function: Function) -> None:
    """The item is neither read nor written."""
    _put(shop, price(2, 2500, "B"))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", 2, staged=False))
    assert (done.outcome, done.calls) == ("synced", (5, 2))
    assert _prices(done) == {"item": 10, "A": 10, "B": 25}


def test_a_new_price(shop: Sandbox, function: Function) -> None:
    """Its message has all of it, including the SKU, so it is not read by id."""
    new = price(3, 900, validFrom="2026-01-01T00:00:00.000Z")
    _put(shop, new)
    done = measured(shop, function, price_message("StandalonePriceCreated", 3, standalonePrice=new))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (4, 3), {"item": 9, "A": 9, "B": 20})


def test_a_deleted_price(shop: Sandbox, function: Function) -> None:
    """Its key leaves `price_json`. Klaviyo requires a price, so the variant keeps it. The item shows the next one."""
    shop.commercetools.delete("standalone-prices", "price-1")
    done = measured(shop, function, price_message("StandalonePriceDeleted", sku="A"))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (4, 3), {"item": 20, "A": 10, "B": 20})
    assert done.state["variants"]["A"]["custom_metadata"]["price_json"] == "{}"


def test_only_price_and_metadata_are_written(shop: Sandbox, function: Function) -> None:
    """Stock, texts and images are left to other messages."""
    before = shop.klaviyo.state()
    _put(shop, price(1, 1500))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    writes = [call for call in shop.klaviyo.requests() if call["method"] == "PATCH"]
    assert [set(call["body"]["data"]["attributes"]) for call in writes] == [{"price", "custom_metadata"}] * 2
    assert all("relationships" not in call["body"]["data"] for call in writes)
    for kind, own in (("items", "product-1"), ("variants", "A")):
        kept = {"price": None, "custom_metadata": None, "updated": None}
        assert done.state[kind][own] | kept == before[kind][own] | kept


def test_the_old_price_is_removed_after_a_discount(shop: Sandbox, function: Function) -> None:
    """Klaviyo may merge metadata, so the key is sent as null, also to the item, which is not read first."""
    discount = {"value": money(800), "discount": reference("product-discount", "sale")}
    _put(shop, price(1, 1000, version=2, discounted=discount))
    discounted = measured(shop, function, price_message("StandalonePriceDiscountSet", version=2))
    assert discounted.state["variants"]["A"]["custom_metadata"]["compare_at_price"] == 10
    _put(shop, price(1, 1000, version=3))
    done = measured(shop, function, price_message("StandalonePriceDiscountSet", version=3))
    for shown in (done.state["items"]["product-1"], done.state["variants"]["A"]):
        assert (shown["price"], shown["custom_metadata"]["compare_at_price"]) == (10, None)


def test_an_unchanged_price_is_not_written(shop: Sandbox, function: Function) -> None:
    """Variant and item are compared. Without a write there is no check."""
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("synced", (3, 2))
    assert done.written == ("get_catalog_variant", "get_catalog_item")


def test_an_item_that_was_not_written_is_written_later(shop: Sandbox, function: Function) -> None:
    """An earlier attempt wrote the variant, but failed to write the item."""
    _put(shop, price(1, 1500))
    shop.klaviyo.fail("catalog-items/", method="PATCH", status=503, count=3)
    changed = price_message("StandalonePriceValueChanged", staged=False)
    assert measured(shop, function, changed).answer.outcome == "retried"
    assert _prices(measured(shop, function, changed)) == {"item": 15, "A": 15, "B": 20}


@pytest.mark.parametrize("name", ["StandalonePriceKeySet", "StandalonePriceStagedChangesRemoved"])
def test_messages_that_change_no_price_have_no_handler(shop: Sandbox, function: Function, name: str) -> None:
    """Neither backend is called."""
    done = measured(shop, function, price_message(name))
    assert (done.outcome, done.calls) == ("ignored no_handler", (0, 0))


def test_a_staged_value_is_ignored(shop: Sandbox, function: Function) -> None:
    """Another message follows when it is applied."""
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=True))
    assert (done.outcome, done.calls) == ("ignored staged", (0, 0))


def test_a_product_with_embedded_prices(shop: Sandbox, function: Function) -> None:
    """Such a product does not use standalone prices, so the message is ignored."""
    shop.commercetools.patch("products", "product-1", {"priceMode": "Embedded"})
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored embedded_prices", (2, 0))


def test_a_sku_that_is_not_published(shop: Sandbox, function: Function) -> None:
    """Either no product has it, or only one that is not published."""
    _put(shop, price(3, 100, "NOWHERE"))
    assert measured(shop, function, price_message("StandalonePriceCreated", 3)).outcome == "ignored not_published"
    shop.commercetools.put("products", product(published=False, variants=[variant("A")], root={"version": 2}))
    assert measured(shop, function, price_message("StandalonePriceValueChanged")).outcome == "ignored not_published"


def _put_product(sandbox: Sandbox, mode: str = "Standalone", version: int = 1) -> None:
    root = {"priceMode": mode, "version": version}
    sandbox.commercetools.put("products", product(variants=[variant("A", 1, prices=[])], root=root))


def test_the_first_price_of_a_product_that_was_just_published(sandbox: Sandbox, function: Function) -> None:
    """Queries show neither price nor product to the other's message, but Klaviyo knows the product's id."""
    sandbox.commercetools.lag(60, of="queries")
    _put_product(sandbox)
    _put(sandbox, price(1, 1000))
    assert measured(sandbox, function, PUBLISHED).state["variants"]["A"]["price"] == 0
    created = recent(price_message("StandalonePriceCreated", standalonePrice=price(1, 1000)))
    done = measured(sandbox, function, created)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10})
    assert done.written[0] == "get_catalog_variant"


def test_a_product_that_no_read_shows_yet(sandbox: Sandbox, function: Function) -> None:
    """The price's message arrives first, and is retried while it is young."""
    sandbox.commercetools.lag(60, of="queries")
    _put_product(sandbox)
    _put(sandbox, price(1, 1000))
    created = price_message("StandalonePriceCreated", standalonePrice=price(1, 1000))
    assert measured(sandbox, function, recent(created)).outcome == "retried not_there_yet"
    assert measured(sandbox, function, created).outcome == "ignored not_published"


def test_a_product_that_a_query_shows_with_embedded_prices(sandbox: Sandbox, function: Function) -> None:
    """It was switched to standalone prices a moment ago, so it is read by its id."""
    _put_product(sandbox, "Embedded")
    assert function.deliver(PUBLISHED).outcome == "synced"
    sandbox.commercetools.lag(60, of="queries")
    _put(sandbox, price(1, 1000))
    created = price_message("StandalonePriceCreated", standalonePrice=price(1, 1000))
    assert measured(sandbox, function, recent(created)).outcome == "ignored embedded_prices"
    _put_product(sandbox, version=2)
    done = measured(sandbox, function, recent(created))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10})
    assert measured(sandbox, function, created).outcome == "ignored embedded_prices"


def test_a_variant_that_klaviyo_does_not_have(shop: Sandbox, serve: Serve) -> None:
    """It can be neither read nor written: the product's own message will create it."""
    shop.klaviyo.reset()
    done = measured(shop, serve(), price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, done.state["variants"]) == ("ignored no_variant", (3, 2), {})


def test_a_variant_that_klaviyo_does_not_show_yet(shop: Sandbox, function: Function) -> None:
    """It was just created and its read by id lags, so it is written anyway."""
    _put(shop, price(1, 1500))
    shop.klaviyo.fail("catalog-variants/", method="GET", status=404)
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (5, 3), {"item": 15, "A": 15, "B": 20})


@pytest.mark.parametrize(
    "odd",
    [{"validFrom": "soon"}, {"validFrom": 5}, {"channel": "ours"}, {"sku": None}],
    ids=["no time", "a number", "no reference", "no SKU"],
)
def test_a_malformed_price(shop: Sandbox, function: Function, odd: Json) -> None:
    """A malformed price is unmappable rather than retried forever, even if only the read by id shows it."""
    _put(shop, price(1, 1500, **odd))
    _queries_show(shop, price(2, 2000, "B"))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert done.answer.reason == "unmappable"


def test_a_price_that_was_deleted(shop: Sandbox, function: Function) -> None:
    """The message is ignored: StandalonePriceDeleted names the SKU and updates the variant."""
    shop.commercetools.delete("standalone-prices", "price-1")
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored deleted_meanwhile", (1, 0))


def test_a_deletion_without_a_sku_is_unmappable(shop: Sandbox, function: Function) -> None:
    """Without its payload (which is never too large) only `resourceUserProvidedIdentifiers` can name the SKU."""
    deleted = too_large("StandalonePriceDeleted", "standalone-price", "price-1")
    assert measured(shop, function, deleted).answer.reason == "unmappable"
    named = deleted | {"resourceUserProvidedIdentifiers": {"sku": "A"}}
    shop.commercetools.delete("standalone-prices", "price-1")
    assert _prices(measured(shop, function, named)) == {"item": 20, "A": 10, "B": 20}


def _queries_show(sandbox: Sandbox, *prices: Mapping[str, Any]) -> None:
    """Make queries show these prices, although they have changed since."""
    body = {"limit": 500, "offset": 0, "count": len(prices), "results": list(prices)}
    sandbox.commercetools.fail("/standalone-prices$", status=200, body=body)


@pytest.mark.parametrize("listed", [[price(1, 1000), price(2, 2000, "B")], [price(2, 2000, "B")]], ids=["old", "none"])
@pytest.mark.parametrize("name", ["StandalonePriceValueChanged", "StandalonePriceCreated"])
def test_a_query_that_shows_a_stale_price(shop: Sandbox, function: Function, name: str, listed: Any) -> None:
    """The price that the message names is read by its id and replaces the query's."""
    new = price(1, 1500, version=2)
    _put(shop, new)
    _queries_show(shop, *listed)
    payload = {"standalonePrice": new} if name == "StandalonePriceCreated" else {"staged": False}
    done = measured(shop, function, price_message(name, version=2, **payload))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 15, "A": 15, "B": 20})


def test_a_deleted_price_that_the_query_still_shows(shop: Sandbox, function: Function) -> None:
    """It is removed from the query's result."""
    shop.commercetools.delete("standalone-prices", "price-1")
    _queries_show(shop, price(1, 1000), price(2, 2000, "B"))
    done = measured(shop, function, price_message("StandalonePriceDeleted", version=2, sku="A"))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 20, "A": 10, "B": 20})


@pytest.fixture
def lagging(shop: Sandbox) -> Sandbox:
    """The shop with another price of A for one country. Queries show nothing that changes from here on."""
    _put(shop, price(3, 900, country="DE"))
    shop.commercetools.lag(60, of="queries")
    return shop


def _change_together(shop: Sandbox, function: Function, *changed: Mapping[str, Any]) -> None:
    """Change prices at the same time, then deliver the message of each."""
    _put(shop, *changed)
    for one in changed:
        number = int(one["id"].removeprefix("price-"))
        notification = price_message("StandalonePriceValueChanged", number, version=one["version"], staged=False)
        assert function.deliver(notification).outcome == "synced"


def test_two_prices_of_a_sku_that_change_together(lagging: Sandbox, function: Function) -> None:
    """The second message's query still shows the old first price; this instance remembers the new one."""
    _change_together(lagging, function, price(1, 1500, version=2), price(3, 800, version=2, country="DE"))
    state = lagging.klaviyo.state()
    assert (state["variants"]["A"]["price"], state["items"]["product-1"]["price"]) == (15, 15)
    assert '"price_DE":8,' in state["variants"]["A"]["custom_metadata"]["price_json"]


def test_two_new_prices_of_a_sku(lagging: Sandbox, function: Function) -> None:
    """The query lacks the first price, so the second message reads it by id: it may have been deleted."""
    _change_together(lagging, function, price(4, 700, country="FR"))
    _put(lagging, price(5, 600, country="IT"))
    done = measured(lagging, function, price_message("StandalonePriceValueChanged", 5, staged=False))
    assert done.read == (
        "standalone-prices.get", "product-projections.query", "standalone-prices.query", "standalone-prices.get",
        "product-projections.get", "standalone-prices.query", "standalone-prices.get", "standalone-prices.get",
    )  # fmt: skip
    tables = done.state["variants"]["A"]["custom_metadata"]["price_json"]
    assert ('"price_FR":7,' in tables, '"price_IT":6,' in tables) == (True, True)


@pytest.mark.parametrize("is_deleted", [False, True], ids=["changed", "deleted"])
def test_a_product_that_is_copied_after_its_price(lagging: Sandbox, function: Function, is_deleted: bool) -> None:  # noqa: FBT001 - a table
    """Its query still shows the old price; this instance remembers the newer one."""
    if is_deleted:
        lagging.commercetools.delete("standalone-prices", "price-1")
        assert function.deliver(price_message("StandalonePriceDeleted", sku="A")).outcome == "synced"
    else:
        _change_together(lagging, function, price(1, 1500, version=2))
    done = measured(lagging, function, PUBLISHED)
    expected = {"item": 9, "A": 9, "B": 20} if is_deleted else {"item": 15, "A": 15, "B": 20}
    assert (done.outcome, _prices(done)) == ("synced", expected)


def test_a_price_that_another_instance_switched_off(shop: Sandbox, function: Function) -> None:
    """The query lacks a price that this instance has just read. The read by id shows that it is inactive."""
    _put(shop, price(4, 700, country="FR"))
    assert (
        function.deliver(price_message("StandalonePriceCreated", 4, standalonePrice=price(4, 700))).outcome == "synced"
    )
    _put(shop, price(4, 700, version=2, country="FR", active=False))
    done = measured(shop, function, PUBLISHED)
    assert done.read.count("standalone-prices.get") == 1
    assert done.written.count("update_catalog_variant") == 1, (
        "the check finds what was written, so nothing is written again"
    )
    assert '"price_FR":10,' in done.state["variants"]["A"]["custom_metadata"]["price_json"]


def test_a_refused_variant_does_not_block_its_item(shop: Sandbox, function: Function) -> None:
    """The item is written, and the refused variant is named."""
    _put(shop, price(1, 1500, version=2))
    shop.klaviyo.fail("catalog-variants", method="PATCH", status=400, count=1)
    done = measured(shop, function, price_message("StandalonePriceValueChanged", version=2, staged=False))
    assert (done.outcome.split()[-1], done.state["items"]["product-1"]["price"]) == ("klaviyo_refused", 15)
    (line,) = [line for line in function.lines() if line.get("part")]
    assert line["part"] == "variant A"


def test_a_price_that_reads_older_than_its_message(shop: Sandbox, function: Function) -> None:
    """Reads do not show the change yet: the message is retried, and nothing is written."""
    done = measured(shop, function, price_message("StandalonePriceValueChanged", version=2, staged=False))
    assert (done.outcome, done.written) == ("retried stale_read", ())


def test_a_new_price_that_reads_do_not_show_yet(shop: Sandbox, function: Function) -> None:
    """A young message is retried. An old one finds that the price was deleted, and the other prices count."""
    created = price_message("StandalonePriceCreated", 3, standalonePrice=price(3, 900))
    assert measured(shop, function, recent(created)).outcome == "retried not_there_yet"
    done = measured(shop, function, created)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 10, "A": 10, "B": 20})


def test_a_price_of_another_channel(shop: Sandbox, function: Function) -> None:
    """The query leaves it out on purpose, not because it lags, so it is not read by id again."""
    _put(shop, price(3, 900, channel=reference("channel", "others")), price(1, 1500))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", 3, staged=False))
    assert (done.outcome, done.calls, _prices(done)) == ("synced", (5, 3), {"item": 15, "A": 15, "B": 20})


def test_a_price_that_changes_while_it_is_written(shop: Sandbox, function: Function) -> None:
    """Another instance handled the next message before this write ended; the check finds the newer price."""
    _put(shop, price(1, 1500, version=2))
    shop.klaviyo.fail("catalog-variants/", method="PATCH", delay=0.4, count=1)
    answer = deliver_while(
        function,
        shop,
        price_message("StandalonePriceValueChanged", version=2, staged=False),
        "get_catalog_variant",
        lambda: _put(shop, price(1, 1800, version=3)),
    )
    assert answer.outcome == "synced"
    state = shop.klaviyo.state()
    assert (state["variants"]["A"]["price"], state["items"]["product-1"]["price"]) == (18, 18)


def test_the_item_shows_another_variant_while_it_is_written(shop: Sandbox, function: Function) -> None:
    """B's price is written to the item while A gets a price again; the check corrects the item."""
    shop.commercetools.delete("standalone-prices", "price-1")
    function.deliver(price_message("StandalonePriceDeleted", version=2, sku="A"))
    _put(shop, price(2, 2500, "B", version=2))
    shop.klaviyo.fail("catalog-items/", method="PATCH", delay=0.4, count=1)
    answer = deliver_while(
        function,
        shop,
        price_message("StandalonePriceValueChanged", 2, version=2, staged=False),
        "update_catalog_variant",
        lambda: _put(shop, price(4, 700)),
    )
    assert answer.outcome == "synced"
    assert shop.klaviyo.state()["items"]["product-1"]["price"] == 7


@pytest.mark.parametrize(
    ("setting", "field", "type_id"),
    [("channel", "channel", "channel"), ("customer_group", "customerGroup", "customer-group")],
)
def test_prices_of_the_configured_channel_or_group(
    shop: Sandbox, serve: Serve, settings_file: Any, setting: str, field: str, type_id: str
) -> None:
    """They come before the general price, and those of others are left out, also when a product is copied."""
    function = serve(SYNC_CONFIG=settings_file(f'[price]\n{setting} = "ours"\n'))
    own: dict[str, Any] = {field: reference(type_id, "ours")}
    others: dict[str, Any] = {field: reference(type_id, "theirs")}
    _put(shop, price(3, 900, **own), price(4, 100, **others), price(5, 1900, "B", **own))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", 3, staged=False))
    assert (done.outcome, _prices(done)) == ("synced", {"item": 9, "A": 9, "B": 20})
    done = measured(shop, serve(SYNC_CONFIG=settings_file(f'[price]\n{setting} = "ours"\n')), PUBLISHED)
    assert (done.outcome, _prices(done)) == ("synced", {"item": 9, "A": 9, "B": 19})


def test_a_sku_with_thousands_of_prices(shop: Sandbox, function: Function) -> None:
    """3,000 prices of other channels and groups, inactive or expired, are left out of the query."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    others = (
        {"channel": reference("channel", "c")}, {"customerGroup": reference("customer-group", "g")},
        {"active": False}, {"validUntil": yesterday}, {"validFrom": tomorrow},
    )  # fmt: skip
    _put(shop, *(price(number, number, **others[number % len(others)]) for number in range(10, 3010)), price(1, 1500))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls, _prices(done)["A"]) == ("synced", (5, 3), 15)
    shop.commercetools.patch("products", "product-1", {"key": "changed"})
    published = measured(shop, function, PUBLISHED)
    assert published.read.count("standalone-prices.query") == 1


def test_all_pages_of_prices_are_read(shop: Sandbox, function: Function) -> None:
    """600 prices are two pages. They are read once, and again for the check."""
    _put(shop, *(price(number, number, country=f"{number}") for number in range(100, 700)))
    done = measured(shop, function, price_message("StandalonePriceCreated", 100))
    assert done.read.count("standalone-prices.query") == 4
    assert '"price_699":6.99' in done.state["variants"]["A"]["custom_metadata"]["price_json"]


def test_messages_wait_if_the_client_lacks_the_scope(shop: Sandbox, function: Function) -> None:
    """If CT_SCOPE names the scope but the client has lost it, messages are retried, as for any wrong key."""
    shop.commercetools.tokens(deny_scopes=["view_standalone_prices"])
    for delivery in (price_message("StandalonePriceValueChanged"), price_message("StandalonePriceDeleted", sku="A")):
        assert measured(shop, function, delivery).outcome == "retried commercetools_denied"


def test_a_shop_that_does_not_name_the_scope(shop: Sandbox, serve: Serve) -> None:
    """It has no standalone prices, so a message that is delivered anyway costs no calls."""
    scopes = shop.environment["CT_SCOPE"].replace("view_standalone_prices:shop", "")
    done = measured(shop, serve(CT_SCOPE=scopes), price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))


def test_standalone_prices_switched_off(shop: Sandbox, serve: Serve, settings_file: Any) -> None:
    """Messages that are still delivered are ignored, and products have no standalone prices."""
    function = serve(SYNC_CONFIG=settings_file("[price]\nstandalone = false\n"))
    done = measured(shop, function, price_message("StandalonePriceValueChanged", staged=False))
    assert (done.outcome, done.calls) == ("ignored disabled", (0, 0))
    published = measured(shop, function, PUBLISHED)
    assert "standalone-prices.query" not in published.read
    assert published.state["variants"]["A"]["custom_metadata"]["price_json"] is None
