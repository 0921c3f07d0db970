"""commercetools access tokens: issued for client credentials, valid until they expire or are revoked."""

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
    "types": ("view_types", "manage_types"),
    "states": ("view_states", "manage_states"),
    "channels": ("view_channels", "view_products", "manage_channels", "manage_products"),
    "stores": ("view_stores", "manage_stores"),
    "messages": ("view_messages",),
    "subscriptions": ("manage_subscriptions",),
    "project": ("view_project_settings", "manage_project_settings"),
}
"""By collection: the scopes of which one is enough. Errors name the first."""
_STAGED_ONLY_SCOPES = {"view_products"}
"""Scopes for staged data only: commercetools documents another scope for current projections."""


class Tokens:
    """The issued tokens, and the rules that the control API sets."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[float, frozenset[str]]] = {}
        self.lifetime: float = DEFAULT_LIFETIME
        self.client_secret: str | None = None
        self.denied: frozenset[str] = frozenset()
        self.enforced = False

    def configure(self, rules: dict[str, Any]) -> None:
        """Apply the given rules; missing ones stay unchanged."""
        self.lifetime = float(rules.get("lifetime", self.lifetime))
        self.client_secret = rules.get("client_secret", self.client_secret)
        self.denied = frozenset(rules.get("deny_scopes", self.denied) or ())
        self.enforced = bool(rules.get("enforce_scopes", self.enforced))
        if rules.get("revoke"):
            self._issued.clear()

    def as_json(self) -> dict[str, Any]:
        """The rules, and the number of valid tokens."""
        now = time.time()
        return {
            "lifetime": self.lifetime,
            "deny_scopes": sorted(self.denied),
            "enforce_scopes": self.enforced,
            "in_force": sum(expires > now for expires, _ in self._issued.values()),
        }

    def is_valid(self, request: Request) -> bool:
        """True if the request carries an issued token that has not expired."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        known = self._issued.get(token)
        return kind == "Bearer" and known is not None and known[0] > time.time()

    def missing_scope(self, request: Request, collection: str) -> str | None:
        """A scope that the request lacks, else None. For the project itself, the collection is `project`."""
        needed = _SCOPES.get(collection, ())
        if collection == "product-projections" and request.query.get("staged") == ["false"]:
            needed = tuple(scope for scope in needed if scope not in _STAGED_ONLY_SCOPES)
        if not needed:
            return None
        if self.denied.intersection(needed):
            return needed[0]
        if not self.enforced:
            return None
        _, scopes = self._issued[request.headers["authorization"].partition(" ")[2]]
        granted = {scope.partition(":")[0] for scope in scopes}
        return None if not granted or granted & {*needed, "manage_project"} else needed[0]

    def has_valid_client(self, request: Request) -> bool:
        """True if the request has a client id and the right secret."""
        client, secret = _credentials(request)
        return bool(client and secret) and self.client_secret in (None, secret)

    def issue(self, request: Request) -> Answer:
        """Answer `POST /oauth/token` with a new token or an OAuth error."""
        if not self.has_valid_client(request):
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
    """An error in the format of commercetools' authorization service."""
    body = {"statusCode": status, "message": message, "errors": [{"code": code, "message": message}], "error": code}
    return Answer(status, body)
