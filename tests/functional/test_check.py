"""`manage.py check` names what is missing, and what to do about it."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from commands.running import Sandbox
from manage import manage

ALL_SCOPES = [
    "profiles:read",
    "profiles:write",
    "events:write",
    "catalogs:read",
    "catalogs:write",
    "data-privacy:write",
]
Run = Callable[..., Result]


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `manage.py …` against the sandbox, with some of the environment changed."""

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in {**sandbox.environment, **environment}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(manage, [*arguments])

    return run


def _with_subscriptions(run: Run) -> None:
    assert run("subscriptions", "apply", "--yes", "--topic", "projects/p/topics/t").exit_code == 0


def test_all_is_well(sandbox: Sandbox, run: Run) -> None:
    """Every line is fine, nothing is changed at Klaviyo, and no secret is shown."""
    _with_subscriptions(run)
    sandbox.klaviyo.keys(scopes=ALL_SCOPES)
    before = sandbox.klaviyo.state()
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.output
    for scope in ALL_SCOPES:
        assert f"ok     Klaviyo: the key has the scope {scope}" in result.output
    assert sandbox.klaviyo.state() == before
    assert "sandbox-secret" not in result.output


@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_a_missing_scope_of_the_key_is_named(sandbox: Sandbox, run: Run, scope: str) -> None:
    """Only that line fails, and says what to do."""
    _with_subscriptions(run)
    sandbox.klaviyo.keys(scopes=[one for one in ALL_SCOPES if one != scope])
    result = run("check")
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED")]
    assert failed == [f"FAILED Klaviyo: the key has the scope {scope}"]


@pytest.mark.parametrize(
    ("denied", "state"), [("view_orders", "FAILED"), ("view_customers", "FAILED"), ("view_standalone_prices", "?     ")]
)
def test_a_missing_scope_of_the_client_is_named(sandbox: Sandbox, run: Run, denied: str, state: str) -> None:
    """The collection's line names the scope; standalone prices are only a hint, as not every shop has them."""
    _with_subscriptions(run)
    sandbox.commercetools.tokens(deny_scopes=[denied])
    result = run("check")
    assert result.exit_code == (0 if state.startswith("?") else 1)
    assert f"{denied}:shop" in result.output
    assert any(line.startswith(state) and "can be read" in line for line in result.output.splitlines())


def test_an_unknown_key_is_said_once(sandbox: Sandbox, run: Run) -> None:
    """401: the key, not its scopes."""
    sandbox.klaviyo.keys(accepted=["another"])
    result = run("check")
    assert result.exit_code == 1
    assert result.output.count("check KLAVIYO_AUTH_KEY") == 1


def test_nothing_answers(run: Run) -> None:
    """Both backends are down: each is said in a line with its address' setting."""
    nowhere = "http://127.0.0.1:9"
    result = run("check", CT_API_URL=nowhere, CT_AUTH_URL=nowhere, KLAVIYO_API_URL=nowhere)
    assert result.exit_code == 1
    assert "check CT_API_URL and CT_AUTH_URL" in result.output
    assert "Klaviyo does not answer" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_wrong_secret(sandbox: Sandbox, run: Run) -> None:
    """No token: the credentials and the scopes are to be checked."""
    sandbox.commercetools.tokens(client_secret="another")
    result = run("check")
    assert result.exit_code == 1
    assert "check CT_API_CLIENT" in result.output


def test_subscriptions_that_are_missing_sick_or_different(sandbox: Sandbox, run: Run) -> None:
    """Each of the three is a line of its own."""
    assert "klaviyo-sync-messages is not there" in run("check").output
    _with_subscriptions(run)
    stored = {one["key"]: one for one in sandbox.commercetools.state()["documents"]["subscriptions"].values()}
    sandbox.commercetools.patch(
        "subscriptions", stored["klaviyo-sync-messages"]["id"], {"status": "ConfigurationError"}
    )
    sandbox.commercetools.patch(
        "subscriptions", stored["klaviyo-sync-changes"]["id"], {"changes": [{"resourceTypeId": "customer"}]}
    )
    result = run("check")
    assert result.exit_code == 1
    assert "klaviyo-sync-messages: ConfigurationError" in result.output
    assert "klaviyo-sync-changes differs: + change category" in result.output


def test_an_incomplete_environment_is_listed(run: Run) -> None:
    """All that is missing, in one error."""
    result = run("check", CT_API_URL="", KLAVIYO_AUTH_KEY="")
    assert result.exit_code == 1
    assert "CT_API_URL: is not set" in result.output
    assert "KLAVIYO_AUTH_KEY: is not set" in result.output
