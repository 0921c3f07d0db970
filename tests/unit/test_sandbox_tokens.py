"""The commercetools stand-in's access tokens and scopes."""

import pytest

from sandbox import Control
from sandbox.calls import Calls, commercetools, request_token
from tests.fake_clock import FakeClock


def use_token(calls: Calls, scope: str) -> None:
    """Replace the client's token with one for this scope only."""
    calls.headers["Authorization"] = f"Bearer {request_token(calls, scope=scope).body['access_token']}"


def test_a_token_has_the_requested_scope(shop: Control) -> None:
    """The answer has the token's type, its lifetime and exactly the requested scope."""
    with Calls(shop.url) as calls:
        answer = request_token(calls, scope="view_orders:shop view_products:shop").body
    assert {**answer, "access_token": ""} == {
        "access_token": "",
        "expires_in": 172800,
        "scope": "view_orders:shop view_products:shop",
        "token_type": "Bearer",
    }


def test_only_valid_tokens_are_accepted(shop: Control, sandbox_clock: FakeClock) -> None:
    """A missing, unknown, revoked or expired token gives 401 invalid_token."""
    with Calls(shop.url) as anonymous:
        for headers in ({}, {"Authorization": "Bearer other"}):
            answer = anonymous("GET", "/shop/orders", headers=headers)
            assert (answer.status, answer.body["error"]) == (401, "invalid_token")
    with commercetools(shop.url) as calls:
        assert calls("GET", "/shop/orders").status == 200
        shop.tokens(revoke=True)
        assert calls("GET", "/shop/orders").status == 401
    shop.tokens(lifetime=1.0)
    with commercetools(shop.url) as calls:
        assert calls("GET", "/shop/orders").status == 200
        sandbox_clock.sleep(1.01)
        assert calls("GET", "/shop/orders").status == 401


def test_wrong_clients_are_refused(shop: Control) -> None:
    """A wrong secret and missing credentials give 401 invalid_client; another grant type gives 400."""
    shop.tokens(client_secret="right")
    with Calls(shop.url) as calls:
        assert request_token(calls, secret="wrong").body["error"] == "invalid_client"
        assert request_token(calls, secret="right").status == 200
        assert calls("POST", "/oauth/token", b"grant_type=client_credentials").status == 401
        form = b"grant_type=password&client_id=a&client_secret=right"
        assert calls("POST", "/oauth/token", form).body["error"] == "unsupported_grant_type"


def test_scopes_can_be_denied(shop: Control, shop_calls: Calls) -> None:
    """Only an endpoint whose scope is denied answers 403."""
    shop.tokens(deny_scopes=["view_standalone_prices"])
    answer = shop_calls("GET", "/shop/standalone-prices")
    assert (answer.status, answer.body["errors"][0]["code"]) == (403, "insufficient_scope")
    assert shop_calls("GET", "/shop/orders").status == 200


def test_scopes_are_enforced_on_demand(shop: Control) -> None:
    """A token for orders can't read customers."""
    shop.tokens(enforce_scopes=True)
    with Calls(shop.url) as calls:
        use_token(calls, "view_orders:shop")
        assert calls("GET", "/shop/orders").status == 200
        assert calls("GET", "/shop/customers").status == 403


@pytest.mark.parametrize(
    ("scope", "current", "staged"),
    [("view_products", 403, 200), ("view_published_products", 200, 200), ("manage_products", 200, 200)],
)
def test_current_projections_need_their_own_scope(shop: Control, scope: str, current: int, staged: int) -> None:
    """`view_products` alone reads only staged projections, as commercetools documents it."""
    shop.tokens(enforce_scopes=True)
    with Calls(shop.url) as calls:
        use_token(calls, f"{scope}:shop")
        assert calls("GET", "/shop/product-projections?staged=false").status == current
        assert calls("GET", "/shop/product-projections?staged=true").status == staged


def test_the_projects_own_scope_reads_nothing_else(shop: Control) -> None:
    """`view_project_settings` covers the project document only."""
    shop.tokens(enforce_scopes=True)
    with Calls(shop.url) as calls:
        use_token(calls, "view_project_settings:shop")
        assert calls("GET", "/shop").status == 200
        assert calls("GET", "/shop/orders").status == 403
