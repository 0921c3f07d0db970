"""sync.toml: what is refused, what only causes a warning, and that the file shows every default."""

import json
import tomllib
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.rules import SyncRules, warnings_for
from core.settings import DEFAULT_SYNC_TOML
from tests.unit.environment import Load


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[customer]\nerased = true", "customer.erased is not known; did you mean erase?"),
        ("[order.properties]\nincluded = []", "order.properties.included is not known; did you mean include?"),
        ('[metrics]\nplaced_oder = "A"', "metrics.placed_oder is not known; did you mean placed_order?"),
        ("[orders]", "orders is not known; did you mean order?"),
        ("typo = 1", "typo is not known"),
        (
            '[messages]\ndisabled = ["order/OrderImportd", "OrderCreated", "order/OrderCreated"]',
            "messages.disabled names OrderCreated, which must look like order/OrderImported, order/OrderImportd, ",
        ),
        ('[metrics]\nplaced_order = ""', "metrics.placed_order must not be empty"),
        (f'[metrics]\nshipped_order = "{"x" * 128}"', "metrics.shipped_order must have at most 127 characters"),
        ('[order]\ntransitions = { packed = "" }', "order.transitions.packed must not be empty"),
        (
            '[shipment]\ntracking_urls = { DHL = "dhl.example" }',
            "shipment.tracking_urls.DHL must look like https://carrier.example/track?id={{trackingId}}",
        ),
        (
            '[shipment]\ntracking_urls = { DHL = "https://dhl.example/{{number}}" }',
            (
                "shipment.tracking_urls.DHL must not have braces other than"
                " {{trackingId}}, {{carrier}}, {{postalCode}}, {{locale}}"
            ),
        ),
        (f'[metrics]\nplaced_order = "{"x" * 128}"', "metrics.placed_order must have at most 127 characters"),
        ('[product]\nunpublished = "keep"', "product.unpublished must be 'delete' or 'hide'"),
        ('[customer]\nclear = ["first_name", "email"]', "customer.clear, entry 2 must be 'first_name', "),
        ('[order]\nplaced_states = "Open"', "order.placed_states must be a list"),
        ("[order]\nplaced_states = [1]", "order.placed_states, entry 1 must be a string"),
        ("order = 1", "order must be a table"),
        ("[order.properties]\nrename = 1", "order.properties.rename must be a table"),
        ('[customer]\nerase = "perhaps"', "customer.erase must be true or false"),
        ("[limits]\nmessage_seconds = 0", "limits.message_seconds must be more than 0"),
        ("[limits]\nmessage_seconds = 51", "limits.message_seconds must be at most 50"),
        ('[limits]\nbackoff = "long"', "limits.backoff must be a number"),
        ("[limits]\ncall_attempts = 1.5", "limits.call_attempts must be a whole number"),
        ('[price]\ncountry = "UK"', "price.country must be the ISO 3166 code of a country"),
        ('[price]\ncountry = "Germany"', "price.country must be the ISO 3166 code of a country"),
        ('[price]\ncountry = "EU"', "price.country must be the ISO 3166 code of a country"),
        ('[price]\nchannel = "a key with spaces"', "price.channel must look like "),
        ("[price]\ncustomer_group = 7", "price.customer_group must be a string"),
        ('[price]\ncompare_at = "price_json"', "price.compare_at must not be price_json, "),
        ('[price]\ntiers = "some"', "price.tiers must be true or false"),
        ("[limits", "is not TOML"),
    ],
)
def test_a_mistake_stops_the_start(load: Load, tmp_path: Path, text: str, problem: str) -> None:
    """An unknown key or an invalid value is reported with its file, table and key."""
    rules = tmp_path / "rules.toml"
    rules.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(SYNC_CONFIG=str(rules))
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].removeprefix("rules.toml").lstrip(": ").startswith(problem)


def test_unknown_states_cause_a_warning(load: Load, tmp_path: Path) -> None:
    """They are not refused, because commercetools may have added them."""
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[order]\nfulfilled_states = ["complete"]\nplaced_states = ["Open", "Paused"]\n'
        '[payment]\nrefund_states = ["succes"]\n',
        encoding="utf-8",
    )
    assert list(warnings_for(load(SYNC_CONFIG=str(rules)).sync)) == [
        "order.placed_states names Paused, which commercetools does not have",
        "order.fulfilled_states names complete, which commercetools does not have; did you mean Complete?",
        "payment.refund_states names succes, which commercetools does not have; did you mean Success?",
    ]
    assert list(warnings_for(load().sync)) == []


@pytest.mark.parametrize(
    "broken",
    [
        "{trackingId}",
        "{{tracking-id}}",
        "{{ trackingId }",
        "{{{trackingId}}}",
        "{{trackingId}}}",
        "{{}}",
        "{{trackingid}}",
    ],
)
def test_a_tracking_link_with_a_broken_placeholder_is_refused(load: Load, tmp_path: Path, broken: str) -> None:
    """Shoppers would see it unreplaced. It is refused even next to a valid placeholder."""
    rules = tmp_path / "rules.toml"
    for query in (broken, f"{{{{trackingId}}}}&zip={broken}"):
        rules.write_text(f'[shipment]\ntracking_urls = {{ DHL = "https://x.test/?id={query}" }}\n', encoding="utf-8")
        with pytest.raises(ConfigurationError, match="DHL must not have braces other than"):
            load(SYNC_CONFIG=str(rules))


def test_a_tracking_link_without_the_number_causes_a_warning(load: Load, tmp_path: Path) -> None:
    """It would be the same for all parcels. Spaces around the placeholder's name do not matter."""
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[shipment.tracking_urls]\nDHL = "https://x.test/{{postalCode}}"\nDPD = "https://x.test/{{ trackingId }}"\n',
        encoding="utf-8",
    )
    assert list(warnings_for(load(SYNC_CONFIG=str(rules)).sync)) == [
        "shipment.tracking_urls.DHL has no {{trackingId}}, so all parcels get the same link"
    ]


def test_another_encoding_is_refused(load: Load, tmp_path: Path) -> None:
    """It is reported like other mistakes."""
    rules = tmp_path / "rules.toml"
    rules.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(SYNC_CONFIG=str(rules))


def test_sync_toml_shows_every_key_with_its_default() -> None:
    """The deployed file documents the defaults, so it must be complete and correct."""
    written = tomllib.loads(DEFAULT_SYNC_TOML.read_text(encoding="utf-8"))
    assert written == json.loads(SyncRules().model_dump_json())


def test_another_file_needs_only_what_differs(load: Load, tmp_path: Path) -> None:
    """All other keys keep their defaults."""
    rules = tmp_path / "rules.toml"
    rules.write_text('[metrics]\nplaced_order = "Bought"\n', encoding="utf-8")
    metrics = load(SYNC_CONFIG=str(rules)).sync.metrics
    assert (metrics.placed_order, metrics.ordered_product) == ("Bought", "Ordered Product")


def test_a_country_is_converted_to_upper_case(load: Load, tmp_path: Path) -> None:
    """Prices in commercetools have it in upper case. An empty country stays empty."""
    rules = tmp_path / "rules.toml"
    for written, country in ((" de ", "DE"), ("gb", "GB"), ("", "")):
        rules.write_text(f'[price]\ncountry = "{written}"\n', encoding="utf-8")
        assert load(SYNC_CONFIG=str(rules)).sync.price.country == country
