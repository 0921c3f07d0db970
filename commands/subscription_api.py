"""Read and write a project's commercetools subscriptions, through the SDK's client.

Bodies are plain JSON. With the SDK's models a single subscription with an unknown value makes the whole list fail.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click
import requests

from clients.commercetools_session import CommercetoolsSession
from clients.retrying import message_budget
from core.errors import SyncError, TryAgain
from core.settings import Settings

PUBLISHER = "serviceAccount:subscriptions@commercetools-platform.iam.gserviceaccount.com"
"""The account that commercetools publishes as."""
SCOPE = "manage_subscriptions"
LIMIT = 50
"""commercetools' limit of subscriptions per project."""

_OK = 200
_CREATED = 201
_FORBIDDEN = 403
_CONFLICT = 409

Subscription = dict[str, Any]


class VersionConflictError(Exception):
    """The subscription has changed since it was read (409)."""


class SubscriptionApi:
    """Reads and writes subscriptions. Raises click.ClickException that says how to fix a refusal."""

    def __init__(self, settings: Settings) -> None:
        scoped = settings.model_copy(update={"ct_scope": f"{SCOPE}:{settings.ct_project_id}"})
        self._limits = settings.sync.limits
        self._path = f"/{settings.ct_project_id}/subscriptions"
        self._project = settings.ct_project_id
        self._session = CommercetoolsSession(scoped)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def all(self) -> list[Subscription]:
        """Every subscription of the project; there are at most 50."""
        found: list[Subscription] = self._send(self._session.get, "", {"limit": "500"})["results"]
        return found

    def create(self, draft: Mapping[str, Any]) -> None:
        """Create a subscription. commercetools refuses it if it can't publish a test notification to the topic."""
        self._send(self._session.post, "", draft)

    def update(self, subscription: Subscription, actions: list[dict[str, Any]]) -> None:
        """Update a subscription. Raises VersionConflictError if it has changed since it was read."""
        changes = {"version": subscription["version"], "actions": actions}
        self._send(self._session.post, f"/{subscription['id']}", changes)

    def delete(self, subscription: Subscription) -> None:
        """Delete a subscription. Raises VersionConflictError if it has changed since it was read."""
        self._send(self._session.delete, f"/{subscription['id']}", {"version": str(subscription["version"])})

    def _send(self, send: Callable[..., requests.Response], path: str, content: Mapping[str, Any]) -> Any:
        limits = self._limits
        with message_budget(limits):
            try:
                response = send(self._path + path, (limits.connect_timeout, limits.read_timeout), content)
            except SyncError as error:
                raise click.ClickException(self._no_answer(error)) from None
        try:
            body = response.json()
        except ValueError:
            body = {}
        if response.status_code in (_OK, _CREATED):
            return body
        if response.status_code == _CONFLICT:
            raise VersionConflictError
        raise click.ClickException(self._refusal(response.status_code, body))

    def _no_answer(self, error: SyncError) -> str:
        if isinstance(error, TryAgain) and error.is_denied:
            return (
                "commercetools issues no token. Check CT_API_CLIENT, and that the client has the scope "
                f"{SCOPE}:{self._project}. If not, create an API client with that scope in the Merchant Center."
            )
        return f"commercetools does not answer ({error}). Check CT_API_URL and CT_AUTH_URL."

    def _refusal(self, status: int, body: Any) -> str:
        errors = body.get("errors") or [{}] if isinstance(body, dict) else [{}]
        code, message = errors[0].get("code", ""), errors[0].get("message", "")
        if status == _FORBIDDEN:
            return f"The API client lacks the scope {SCOPE}:{self._project}."
        if "test message could not be delivered" in message.lower():
            return (
                "commercetools could not publish its test notification. Check that the topic exists and that\n"
                f"  {PUBLISHER}\nhas the role roles/pubsub.publisher on it. To grant it:\n"
                "  gcloud pubsub topics add-iam-policy-binding TOPIC --role=roles/pubsub.publisher \\\n"
                f"    --member={PUBLISHER}\n"
                "If the grant is refused, an organisation policy (iam.allowedPolicyMemberDomains) may forbid\n"
                "members of other organisations."
            )
        if code == "MaxResourceLimitExceeded":
            return f"The project already has {LIMIT} subscriptions, commercetools' limit. Delete one first."
        return f"commercetools refuses the request: {status} {code} {message}".rstrip()
