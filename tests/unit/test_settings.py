"""The environment and sync.toml: what is read, what is refused, and that no secret is shown."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handlers  # noqa: F401 - registers every handler
from core.errors import ConfigurationError
from core.rules import SyncRules, warnings_for
from core.settings import DEFAULT_SYNC_TOML, Settings, load_settings
from handlers.registry import handled_messages
from tests.env_files import QUOTING_STYLES

SECRET = "a-very-secret-value"
ENVIRONMENT = {
    "CT_API_URL": "https://api.example.com/",
    "CT_AUTH_URL": "http://127.0.0.1:9",
    "CT_PROJECT_ID": "shop",
    "CT_SCOPE": "view_orders:shop  view_products:shop",
    "CT_API_CLIENT": json.dumps({"clientId": "client", "secret": SECRET}),
    "KLAVIYO_AUTH_KEY": SECRET,
}
OPTIONAL = (
    "CT_SCOPES", "KLAVIYO_API_URL", "APP_TYPE", "PUB_SUB_PORT", "SKIP_BASE64_ENCODING", "PREFERRED_LOCALE",
    "PREFERRED_CURRENCY", "PRODUCT_URL_TEMPLATE", "DEAD_LETTER_TOPIC", "SYNC_CONFIG", "THREADS", "SYNC",
    "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT", "K_SERVICE",
)  # fmt: skip

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load with a good environment and these changes to it; None takes a variable out."""

    def load_with(**changes: str | None) -> Settings:
        for name in OPTIONAL:
            monkeypatch.delenv(name, raising=False)
        for name, value in {**ENVIRONMENT, **changes}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return load_settings(handled_messages())

    return load_with


@pytest.mark.parametrize("name", ["clientId", "client_id"])
@pytest.mark.parametrize("write", QUOTING_STYLES.values(), ids=QUOTING_STYLES)
def test_the_api_client_however_it_is_written(load: Load, write: Callable[[str], str], name: str) -> None:
    """Also with the quotes that Docker leaves around a value of its env file."""
    client = load(CT_API_CLIENT=write(json.dumps({name: "client", "secret": SECRET}))).ct_api_client
    assert (client.client_id, client.secret.get_secret_value()) == ("client", SECRET)


def test_json_in_double_quotes_keeps_its_own_escapes(load: Load) -> None:
    """Docker hands over a value with its quotes; where those inside are not escaped, a backslash is JSON's."""
    client = load(CT_API_CLIENT='"{"clientId": "a", "secret": "b\\"c"}"').ct_api_client
    assert client.secret.get_secret_value() == 'b"c'


def test_quotes_are_taken_off_every_value(load: Load) -> None:
    """A pair around the value, and no other."""
    settings = load(CT_SCOPE="'view_orders:shop view_products:shop'", CT_PROJECT_ID='"shop"', PREFERRED_LOCALE="'en")
    assert (settings.ct_scope, settings.ct_project_id) == ("view_orders:shop view_products:shop", "shop")
    assert settings.preferred_locale == "'en"


def test_a_complete_environment(load: Load) -> None:
    """What is required is enough; the rest has the defaults that are documented."""
    settings = load()
    assert (settings.ct_api_url, settings.ct_auth_url) == ("https://api.example.com", "http://127.0.0.1:9")
    assert settings.scopes == ["view_orders:shop", "view_products:shop"]
    assert settings.ct_api_client.secret.get_secret_value() == SECRET
    assert (settings.pub_sub_port, settings.accepts_bare_notifications) == (8080, False)
    optional = (settings.klaviyo_api_url, settings.preferred_locale, settings.preferred_currency, settings.app_type)
    assert optional == (None, None, None, None)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("CT_SCOPES", "view_orders:shop", "scopes", ["view_orders:shop"]),
        ("APP_TYPE", "EVENT", "app_type", "EVENT"),
        ("APP_TYPE", "", "app_type", None),
        ("PUB_SUB_PORT", "9000", "pub_sub_port", 9000),
        ("SKIP_BASE64_ENCODING", "0", "accepts_bare_notifications", True),
        ("SKIP_BASE64_ENCODING", "", "accepts_bare_notifications", False),
        ("PREFERRED_CURRENCY", " eur ", "preferred_currency", "EUR"),
        ("KLAVIYO_API_URL", "http://127.0.0.1:1/", "klaviyo_api_url", "http://127.0.0.1:1"),
        ("DEAD_LETTER_TOPIC", "projects/p/topics/t", "dead_letter_topic", "projects/p/topics/t"),
        ("THREADS", "3", "threads", 3),
        ("CT_API_URL", "https://proxy.example/shop/", "ct_api_url", "https://proxy.example/shop"),
        ("CT_API_URL", "http://localhost:8080", "ct_api_url", "http://localhost:8080"),
        ("CT_AUTH_URL", "http://127.8.9.254/auth", "ct_auth_url", "http://127.8.9.254/auth"),
        ("KLAVIYO_API_URL", "http://[::1]:1/", "klaviyo_api_url", "http://[::1]:1"),
    ],
)
def test_a_setting_is_read(load: Load, name: str, value: str, attribute: str, expected: Any) -> None:
    """By its name, and an empty one is an absent one."""
    without = {"CT_SCOPE": None} if name == "CT_SCOPES" else {}
    assert getattr(load(**without, **{name: value}), attribute) == expected


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_required(load: Load, name: str, value: str | None) -> None:
    """A missing or empty variable is named."""
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: value})
    assert raised.value.problems == (f"{name} is not set",)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CT_API_URL", "api.example.com", "CT_API_URL must be a URL such as https://api.example.com; http://"),
        ("CT_PROJECT_ID", "a/b", "CT_PROJECT_ID must look like my-shop, a project key"),
        ("PUSH_AUDIENCE", "https://sync.example", "PUSH_SERVICE_ACCOUNT and PUSH_AUDIENCE go together"),
        (
            "PUSH_SERVICE_ACCOUNT",
            "push@p.iam.gserviceaccount.com",
            "PUSH_SERVICE_ACCOUNT and PUSH_AUDIENCE go together",
        ),
        ("PUSH_AUDIENCE", "two words", "PUSH_AUDIENCE must look like https://"),
        ("PUSH_SERVICE_ACCOUNT", "push", "PUSH_SERVICE_ACCOUNT must look like push@"),
        ("CT_API_CLIENT", f"client:{SECRET}", "CT_API_CLIENT must be a JSON object"),
        ("CT_API_CLIENT", f'["{SECRET}"]', "CT_API_CLIENT must be a JSON object"),
        ("CT_API_CLIENT", f'{{"secret": "{SECRET}"}}', "CT_API_CLIENT (clientId) is not set"),
        ("CT_API_CLIENT", '{"clientId": "a"}', "CT_API_CLIENT (secret) is not set"),
        ("CT_API_CLIENT", f'{{"clientId": "a", "secret": ["{SECRET}"]}}', "CT_API_CLIENT (secret) must be a string"),
        ("CT_API_CLIENT", '{"clientId": "...", "secret": "..."}', "CT_API_CLIENT is still what .env.example has"),
        ("CT_API_CLIENT", '{"clientId": "a", "secret": "..."}', "CT_API_CLIENT is still what .env.example has"),
        ("KLAVIYO_AUTH_KEY", "pk_...", "KLAVIYO_AUTH_KEY is still what .env.example has"),
        ("APP_TYPE", "event", "APP_TYPE must be EVENT or unset"),
        ("PUB_SUB_PORT", "http", "PUB_SUB_PORT must be a whole number"),
        ("PUB_SUB_PORT", "70000", "PUB_SUB_PORT must be at most 65535"),
        ("PREFERRED_CURRENCY", "EURO", "PREFERRED_CURRENCY must look like EUR"),
        ("KLAVIYO_API_URL", "klaviyo", "KLAVIYO_API_URL must be a URL"),
        ("DEAD_LETTER_TOPIC", "letters", "DEAD_LETTER_TOPIC must look like projects/P/topics/T"),
        ("THREADS", "0", "THREADS must be at least 1"),
        ("SYNC_CONFIG", "nowhere.toml", "sync.toml can't be read: SYNC_CONFIG, or its default, is nowhere.toml"),
    ],
)
def test_what_is_wrong(load: Load, name: str, value: str, problem: str) -> None:
    """A wrong value is one problem, which begins with the variable's name and never shows a secret."""
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: value})
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith(problem)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("name", ["CT_API_URL", "CT_AUTH_URL", "KLAVIYO_API_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example", "http://localhost.example", "http://127.0.0.1.example", "http://127.0.0.256",
        "http://127.1", "http://localhost@shop.example", "http://localhost:80@shop.example", "http://user@localhost",
        "http://localhost:port", "http://localhost\\@shop.example", "http://localhost?@shop.example",
        "http://[::2]", "http://[::ffff:10.0.0.1]", "http://0.0.0.0", "http://10.0.0.1", "http://", "https://",
        "https://two words", "HTTP://shop.example", "ftp://127.0.0.1", "file:///etc/hosts", "shop.example",
    ],
)  # fmt: skip
def test_without_tls_no_further_than_this_machine(load: Load, name: str, url: str) -> None:
    """Keys and personal data leave the machine encrypted, or the start stops with one line."""
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: url})
    (problem,) = raised.value.problems
    assert problem.startswith(
        f"{name} must be a URL such as https://api.example.com; http:// is allowed for this machine only"
    )


@pytest.mark.parametrize("changes", [{}, {"PUSH_AUDIENCE": ""}, {"PUSH_SERVICE_ACCOUNT": ""}], ids=str)
def test_on_cloud_run_no_token_can_be_verified(load: Load, changes: dict[str, str]) -> None:
    """Either setting stops the start there, with one line that says why."""
    both = {"PUSH_AUDIENCE": "https://sync.example", "PUSH_SERVICE_ACCOUNT": "push@p.iam.gserviceaccount.com"}
    with pytest.raises(ConfigurationError) as raised:
        load(K_SERVICE="klaviyo-sync", **{**both, **changes})
    (problem,) = raised.value.problems
    assert problem.startswith("PUSH_SERVICE_ACCOUNT and PUSH_AUDIENCE must not be set on Cloud Run (K_SERVICE is set)")
    assert load(K_SERVICE="klaviyo-sync").push_audience is None
    assert load(**both).push_service_account == both["PUSH_SERVICE_ACCOUNT"]


def test_a_wrong_audience_is_one_problem(load: Load) -> None:
    """It does not also count as an account without an audience."""
    with pytest.raises(ConfigurationError) as raised:
        load(PUSH_AUDIENCE="two words", PUSH_SERVICE_ACCOUNT="push@p.iam.gserviceaccount.com")
    assert [problem.split()[0] for problem in raised.value.problems] == ["PUSH_AUDIENCE"]


@pytest.mark.parametrize(
    ("changes", "stand_ins"),
    [
        ({}, True),
        ({"CT_API_URL": "https://api.example.com"}, False),
        ({"CT_AUTH_URL": "https://auth.example.com"}, False),
        ({"KLAVIYO_API_URL": "https://a.klaviyo.com"}, False),
        ({"KLAVIYO_API_URL": None}, False),
        ({"KLAVIYO_API_URL": "https://127.0.0.1"}, False),
    ],
    ids=str,
)
def test_what_is_not_real(load: Load, changes: dict[str, str | None], *, stand_ins: bool) -> None:
    """Both backends on this machine are stand-ins; one that is elsewhere, or Klaviyo by default, is the real one."""
    here = dict.fromkeys(("CT_API_URL", "CT_AUTH_URL", "KLAVIYO_API_URL"), "http://127.0.0.1:9")
    assert load(**{**here, **changes}).has_only_local_backends is stand_ins


def test_every_problem_is_listed(load: Load, tmp_path: Path) -> None:
    """Those of the environment and those of sync.toml, in one error."""
    rules = tmp_path / "rules.toml"
    rules.write_text("[orders]\n[customer]\nclear = ['email']\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(CT_API_URL=None, APP_TYPE="IMPORT", SYNC_CONFIG=str(rules))
    named = [problem.split(" ")[0] for problem in raised.value.problems]
    assert named == ["rules.toml:", "rules.toml:", "CT_API_URL", "APP_TYPE"]
    assert all(problem in str(raised.value) for problem in raised.value.problems)


@pytest.mark.parametrize(
    ("changes", "heading"),
    [
        ({"CT_API_URL": None, "CT_SCOPE": ""}, "Settings are missing:"),
        ({"APP_TYPE": "IMPORT"}, "Settings are wrong:"),
        ({"CT_API_URL": None, "APP_TYPE": "IMPORT"}, "Settings are missing or wrong:"),
    ],
    ids=["missing", "wrong", "both"],
)
def test_the_heading_says_what_it_is(load: Load, changes: dict[str, str | None], heading: str) -> None:
    """Not that something is incomplete where something is wrong."""
    with pytest.raises(ConfigurationError) as raised:
        load(**changes)
    assert str(raised.value).splitlines()[0] == heading


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
def test_what_is_wrong_in_sync_toml(load: Load, tmp_path: Path, text: str, problem: str) -> None:
    """A name that is not known, or a value that can't be, stops the start and is named by its place."""
    rules = tmp_path / "rules.toml"
    rules.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(SYNC_CONFIG=str(rules))
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].removeprefix("rules.toml").lstrip(": ").startswith(problem)


def test_states_that_commercetools_does_not_have_are_doubted(load: Load, tmp_path: Path) -> None:
    """Not refused: they may be new."""
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
    """It would reach shoppers as it stands, also beside one that is right."""
    rules = tmp_path / "rules.toml"
    for query in (broken, f"{{{{trackingId}}}}&zip={broken}"):
        rules.write_text(f'[shipment]\ntracking_urls = {{ DHL = "https://x.test/?id={query}" }}\n', encoding="utf-8")
        with pytest.raises(ConfigurationError, match="DHL must not have braces other than"):
            load(SYNC_CONFIG=str(rules))


def test_a_tracking_link_without_the_number_is_doubted(load: Load, tmp_path: Path) -> None:
    """It is the same for all parcels; with the number, in any spacing, it is not."""
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[shipment.tracking_urls]\nDHL = "https://x.test/{{postalCode}}"\nDPD = "https://x.test/{{ trackingId }}"\n',
        encoding="utf-8",
    )
    assert list(warnings_for(load(SYNC_CONFIG=str(rules)).sync)) == [
        "shipment.tracking_urls.DHL has no {{trackingId}}, so all parcels get the same link"
    ]


def test_sync_toml_that_is_no_text(load: Load, tmp_path: Path) -> None:
    """Another encoding is a problem like the others."""
    rules = tmp_path / "rules.toml"
    rules.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(SYNC_CONFIG=str(rules))


def test_sync_toml_shows_every_key_with_its_default() -> None:
    """The file that is deployed is the documentation of the defaults, complete and right."""
    written = tomllib.loads(DEFAULT_SYNC_TOML.read_text(encoding="utf-8"))
    assert written == json.loads(SyncRules().model_dump_json())


def test_a_file_of_ones_own_needs_only_what_differs(load: Load, tmp_path: Path) -> None:
    """The rest keeps its default."""
    rules = tmp_path / "rules.toml"
    rules.write_text('[metrics]\nplaced_order = "Bought"\n', encoding="utf-8")
    metrics = load(SYNC_CONFIG=str(rules)).sync.metrics
    assert (metrics.placed_order, metrics.ordered_product) == ("Bought", "Ordered Product")


def test_a_country_is_written_in_capitals(load: Load, tmp_path: Path) -> None:
    """As prices have it; an empty one stays empty."""
    rules = tmp_path / "rules.toml"
    for written, country in ((" de ", "DE"), ("gb", "GB"), ("", "")):
        rules.write_text(f'[price]\ncountry = "{written}"\n', encoding="utf-8")
        assert load(SYNC_CONFIG=str(rules)).sync.price.country == country


def test_settings_do_not_show_secrets(load: Load) -> None:
    """Whoever prints them shows no secret."""
    assert SECRET not in repr(load())
    assert SECRET not in str(load().ct_api_client)


def test_no_file_is_read_behind_anyones_back(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.env` beside the process means nothing."""
    (tmp_path / ".env").write_text("PREFERRED_LOCALE=xx-XX\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load().preferred_locale is None


def test_a_line_break_behind_the_key_is_not_part_of_it(load: Load) -> None:
    """`echo` puts one there, and a header can't hold it."""
    assert load(KLAVIYO_AUTH_KEY="pk_x\n").klaviyo_auth_key.get_secret_value() == "pk_x"


@pytest.mark.parametrize("key", ["pk\nx", "pk x", "pk\u00fc", "pk\tx"])
def test_a_key_that_no_header_can_hold_is_refused(load: Load, key: str) -> None:
    """At the start, and without showing it."""
    with pytest.raises(ConfigurationError) as raised:
        load(KLAVIYO_AUTH_KEY=key)
    assert raised.value.problems == ("KLAVIYO_AUTH_KEY contains characters that no key has",)
