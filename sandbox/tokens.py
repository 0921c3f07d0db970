"""commercetools access tokens: issued for client credentials, accepted until they expire or are revoked."""

import base64
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

from sandbox.messages import Answer, Request

DEFAULT_LIFETIME = 172_800

_SCOPES = {
    "customers": ("view_customers", "manage_customers"),
    "orders": ("view_orders", "manage_orders"),
    "customer-groups": ("view_customer_groups", "manage_customer_groups"),
    "discount-codes": ("view_discount_codes", "manage_discount_codes"),
    "payments": ("view_payments", "manage_payments"),
    "categories": ("view_categories", "view_products", "manage_categories", "manage_products"),
    "products": ("view_products", "manage_products"),
    "product-projections": ("view_published_products", "view_products", "manage_products"),
    "inventory": ("view_products", "manage_products"),
    "standalone-prices": ("view_standalone_prices", "manage_standalone_prices"),
    "states": ("view_states", "manage_states"),
    "channels": ("view_channels", "view_products", "manage_channels", "manage_products"),
    "stores": ("view_stores", "manage_stores"),
    "messages": ("view_messages",),
    "subscriptions": ("manage_subscriptions",),
    "project": ("view_project_settings", "manage_project_settings"),
}
"""Any one of these is enough; the first is the one that a refusal names."""
_STAGED_ONLY = {"view_products"}
"""Reads staged data. commercetools' text asks for another scope to read current data, and is taken at its word."""


class Tokens:
    """The tokens in force, and what the control API made of the rules."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[float, frozenset[str]]] = {}
        self.lifetime: float = DEFAULT_LIFETIME
        self.client_secret: str | None = None
        self.denied: frozenset[str] = frozenset()
        self.enforced = False

    def configure(self, told: dict[str, Any]) -> None:
        """Take over what the control API tells."""
        self.lifetime = float(told.get("lifetime", self.lifetime))
        self.client_secret = told.get("client_secret", self.client_secret)
        self.denied = frozenset(told.get("deny_scopes", self.denied) or ())
        self.enforced = bool(told.get("enforce_scopes", self.enforced))
        if told.get("revoke"):
            self._issued.clear()

    def as_json(self) -> dict[str, Any]:
        """The rules, and how many tokens are in force."""
        now = time.time()
        return {
            "lifetime": self.lifetime,
            "deny_scopes": sorted(self.denied),
            "enforce_scopes": self.enforced,
            "in_force": sum(until > now for until, _ in self._issued.values()),
        }

    def valid(self, request: Request) -> bool:
        """Whether the request carries a token of ours that is still in force."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        known = self._issued.get(token)
        return kind == "Bearer" and known is not None and known[0] > time.time()

    def missing_scope(self, request: Request, collection: str) -> str | None:
        """The scope that this request would need and has not; None when all is well. The project's own is `project`."""
        needed = _SCOPES.get(collection, ())
        if collection == "product-projections" and request.query.get("staged") == ["false"]:
            needed = tuple(scope for scope in needed if scope not in _STAGED_ONLY)
        if not needed:
            return None
        if self.denied.intersection(needed):
            return needed[0]
        if not self.enforced:
            return None
        _, scopes = self._issued[request.headers["authorization"].partition(" ")[2]]
        granted = {scope.partition(":")[0] for scope in scopes}
        return None if not granted or granted & {*needed, "manage_project"} else needed[0]

    def good_client(self, request: Request) -> bool:
        """Whether the client's id and secret are there and the secret is the right one."""
        client, secret = _credentials(request)
        return bool(client and secret) and self.client_secret in (None, secret)

    def issue(self, request: Request) -> Answer:
        """Answer `POST /oauth/token`."""
        if not self.good_client(request):
            return oauth_error(
                401, "invalid_client", "Please provide valid client credentials using HTTP Basic Authentication."
            )
        form = _form(request)
        if form.get("grant_type") != "client_credentials":
            return oauth_error(
                400, "unsupported_grant_type", f"Invalid parameter: grant_type: {form.get('grant_type')}"
            )
        scope = form.get("scope", "")
        token = secrets.token_urlsafe(24)
        self._issued[token] = (time.time() + self.lifetime, frozenset(scope.split()))
        return Answer(
            200,
            {"access_token": token, "expires_in": int(self.lifetime), "scope": scope, "token_type": "Bearer"},
        )


def _form(request: Request) -> dict[str, str]:
    body = parse_qs(request.body.decode("utf-8", "replace"))
    return {name: values[-1] for name, values in {**request.query, **body}.items()}


def _credentials(request: Request) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return client, secret
    form = _form(request)
    return form.get("client_id", ""), form.get("client_secret", "")


def oauth_error(status: int, code: str, message: str) -> Answer:
    """An error as the authorization parts of commercetools write it."""
    body = {"statusCode": status, "message": message, "errors": [{"code": code, "message": message}], "error": code}
    return Answer(status, body)
