"""The commercetools subscriptions of a project, through the SDK's client.

As JSON, not as the SDK's models: one subscription with a value that the models do not know makes the whole list fail.
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
"""Whom commercetools publishes as."""
SCOPE = "manage_subscriptions"
LIMIT = 50
"""commercetools: subscriptions per project."""

_OK = 200
_CREATED = 201
_FORBIDDEN = 403
_CONFLICT = 409

Subscription = dict[str, Any]


class VersionConflictError(Exception):
    """Somebody else changed the subscription since it was read."""


class SubscriptionApi:
    """Reads and writes subscriptions. Raises click.ClickException with what to do about a refusal."""

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
        """Make a subscription. commercetools publishes a test notification to its topic and refuses when it can't."""
        self._send(self._session.post, "", draft)

    def update(self, subscription: Subscription, actions: list[dict[str, Any]]) -> None:
        """Change a subscription as it was read. Raises VersionConflictError when its version moved on."""
        changes = {"version": subscription["version"], "actions": actions}
        self._send(self._session.post, f"/{subscription['id']}", changes)

    def delete(self, subscription: Subscription) -> None:
        """Delete a subscription as it was read. Raises VersionConflictError when its version moved on."""
        self._send(self._session.delete, f"/{subscription['id']}", {"version": str(subscription["version"])})

    def _send(self, send: Callable[..., requests.Response], path: str, content: Mapping[str, Any]) -> Any:
        limits = self._limits
        with message_budget(limits):
            try:
                response = send(self._path + path, (limits.connect_timeout, limits.read_timeout), content)
            except SyncError as error:
                raise click.ClickException(self._unanswered(error)) from None
        try:
            body = response.json()
        except ValueError:
            body = {}
        if response.status_code in (_OK, _CREATED):
            return body
        if response.status_code == _CONFLICT:
            raise VersionConflictError
        raise click.ClickException(self._refused(response.status_code, body))

    def _unanswered(self, error: SyncError) -> str:
        if isinstance(error, TryAgain) and error.is_denied:
            return (
                "commercetools gives no token: is CT_API_CLIENT right, and may it have the scope "
                f"{SCOPE}:{self._project}? Make an API client with that scope in the Merchant Center."
            )
        return f"commercetools does not answer ({error}): are CT_API_URL and CT_AUTH_URL right?"

    def _refused(self, status: int, body: Any) -> str:
        errors = body.get("errors") or [{}] if isinstance(body, dict) else [{}]
        code, message = errors[0].get("code", ""), errors[0].get("message", "")
        if status == _FORBIDDEN:
            return f"The API client lacks the scope {SCOPE}:{self._project}."
        if "test message could not be delivered" in message.lower():
            return (
                "commercetools could not publish its test notification. Does the topic exist, and has\n"
                f"  {PUBLISHER}\nthe role roles/pubsub.publisher on it? Grant it with:\n"
                "  gcloud pubsub topics add-iam-policy-binding TOPIC --role=roles/pubsub.publisher \\\n"
                f"    --member={PUBLISHER}\n"
                "An organisation policy (iam.allowedPolicyMemberDomains) may forbid members of other organisations."
            )
        if code == "MaxResourceLimitExceeded":
            return f"The project has its {LIMIT} subscriptions, commercetools allows no more: delete one first."
        return f"commercetools refuses it: {status} {code} {message}".rstrip()
