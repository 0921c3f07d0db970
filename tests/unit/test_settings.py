"""Settings from the environment: what is read, what is refused, and that no secret is shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from tests.env_files import QUOTING_STYLES
from tests.unit.environment import ENVIRONMENT, SECRET, Load


@pytest.mark.parametrize("name", ["clientId", "client_id"])
@pytest.mark.parametrize("write", QUOTING_STYLES.values(), ids=QUOTING_STYLES)
def test_the_api_client_in_any_quoting_style(load: Load, write: Callable[[str], str], name: str) -> None:
    """Docker, for example, keeps the quotes around a value in its env file."""
    client = load(CT_API_CLIENT=write(json.dumps({name: "client", "secret": SECRET}))).ct_api_client
    assert (client.client_id, client.secret.get_secret_value()) == ("client", SECRET)


def test_json_in_double_quotes_keeps_its_own_escapes(load: Load) -> None:
    """Docker keeps the quotes around a value. If those inside are not escaped, a backslash belongs to the JSON."""
    client = load(CT_API_CLIENT='"{"clientId": "a", "secret": "b\\"c"}"').ct_api_client
    assert client.secret.get_secret_value() == 'b"c'


def test_quotes_are_removed_from_every_value(load: Load) -> None:
    """Only a pair of quotes around the whole value is removed."""
    settings = load(CT_SCOPE="'view_orders:shop view_products:shop'", CT_PROJECT_ID='"shop"', PREFERRED_LOCALE="'en")
    assert (settings.ct_scope, settings.ct_project_id) == ("view_orders:shop view_products:shop", "shop")
    assert settings.preferred_locale == "'en"


def test_a_complete_environment(load: Load) -> None:
    """The required variables are enough. The others have their documented defaults."""
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
    """It is read from the variable of its name. An empty variable counts as unset."""
    without = {"CT_SCOPE": None} if name == "CT_SCOPES" else {}
    assert getattr(load(**without, **{name: value}), attribute) == expected


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named(load: Load, name: str, value: str | None) -> None:
    """An empty variable counts as missing."""
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
        ("CT_API_CLIENT", '{"clientId": "...", "secret": "..."}', "CT_API_CLIENT is still the placeholder"),
        ("CT_API_CLIENT", '{"clientId": "a", "secret": "..."}', "CT_API_CLIENT is still the placeholder"),
        ("KLAVIYO_AUTH_KEY", "pk_...", "KLAVIYO_AUTH_KEY is still the placeholder"),
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
def test_a_wrong_value_is_one_problem(load: Load, name: str, value: str, problem: str) -> None:
    """The problem begins with the variable's name and never shows a secret."""
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
def test_http_is_allowed_for_this_machine_only(load: Load, name: str, url: str) -> None:
    """Keys and personal data must be encrypted on the network, so any other http URL stops the start."""
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: url})
    (problem,) = raised.value.problems
    assert problem.startswith(
        f"{name} must be a URL such as https://api.example.com; http:// is allowed for this machine only"
    )


@pytest.mark.parametrize("changes", [{}, {"PUSH_AUDIENCE": ""}, {"PUSH_SERVICE_ACCOUNT": ""}], ids=str)
def test_push_token_settings_are_refused_on_cloud_run(load: Load, changes: dict[str, str]) -> None:
    """Cloud Run removes the signature of tokens, so either setting stops the start with one line that says why."""
    both = {"PUSH_AUDIENCE": "https://sync.example", "PUSH_SERVICE_ACCOUNT": "push@p.iam.gserviceaccount.com"}
    with pytest.raises(ConfigurationError) as raised:
        load(K_SERVICE="klaviyo-sync", **{**both, **changes})
    (problem,) = raised.value.problems
    assert problem.startswith("PUSH_SERVICE_ACCOUNT and PUSH_AUDIENCE must not be set on Cloud Run (K_SERVICE is set)")
    assert load(K_SERVICE="klaviyo-sync").push_audience is None
    assert load(**both).push_service_account == both["PUSH_SERVICE_ACCOUNT"]


def test_a_wrong_audience_is_one_problem(load: Load) -> None:
    """It is not also reported as missing."""
    with pytest.raises(ConfigurationError) as raised:
        load(PUSH_AUDIENCE="two words", PUSH_SERVICE_ACCOUNT="push@p.iam.gserviceaccount.com")
    assert [problem.split()[0] for problem in raised.value.problems] == ["PUSH_AUDIENCE"]


@pytest.mark.parametrize(
    ("changes", "is_local"),
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
def test_local_backends_are_recognized(load: Load, changes: dict[str, str | None], *, is_local: bool) -> None:
    """All backends must be on this machine and use http. Klaviyo's default URL is the real Klaviyo."""
    local = dict.fromkeys(("CT_API_URL", "CT_AUTH_URL", "KLAVIYO_API_URL"), "http://127.0.0.1:9")
    assert load(**{**local, **changes}).has_only_local_backends is is_local


def test_every_problem_is_listed(load: Load, tmp_path: Path) -> None:
    """One error lists the problems of the environment and those of sync.toml."""
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
def test_the_heading_says_missing_or_wrong(load: Load, changes: dict[str, str | None], heading: str) -> None:
    """It does not call settings missing if one of them is wrong."""
    with pytest.raises(ConfigurationError) as raised:
        load(**changes)
    assert str(raised.value).splitlines()[0] == heading


def test_settings_do_not_show_secrets(load: Load) -> None:
    """Printed settings show no secret."""
    assert SECRET not in repr(load())
    assert SECRET not in str(load().ct_api_client)


def test_no_env_file_is_read(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function ignores a `.env` in its working directory."""
    (tmp_path / ".env").write_text("PREFERRED_LOCALE=xx-XX\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load().preferred_locale is None


def test_a_line_break_after_the_key_is_removed(load: Load) -> None:
    """`echo` adds one, and a header can't contain it."""
    assert load(KLAVIYO_AUTH_KEY="pk_x\n").klaviyo_auth_key.get_secret_value() == "pk_x"


@pytest.mark.parametrize("key", ["pk\nx", "pk x", "pk\u00fc", "pk\tx"])
def test_a_key_that_no_header_can_contain_is_refused(load: Load, key: str) -> None:
    """The key stops the start, and the error does not show it."""
    with pytest.raises(ConfigurationError) as raised:
        load(KLAVIYO_AUTH_KEY=key)
    assert raised.value.problems == ("KLAVIYO_AUTH_KEY contains characters that no key has",)
