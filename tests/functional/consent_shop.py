"""A shop with a newsletter checkbox: its consent rules, customers and messages, and how to read consent in Klaviyo."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from commands.processes import Sandbox
from tests.functional.documents import Json, change, customer, message, reference

EMAIL = "customer-1@example.com"
PHONE = "+491713920014"
RULES = '[consent]\nemail = "custom.newsletter"\n'
BOTH = '[consent]\nemail = "custom.newsletter"\nsms = "custom.texts"\n'
TIMED = RULES + 'consented_at = "custom.newsletterAt"\n'

SUBSCRIBE, UNSUBSCRIBE = "bulk_subscribe_profiles", "bulk_unsubscribe_profiles"
UPSERT, UPDATE = "create_or_update_profile", "update_profile"


def ago(**span: float) -> str:
    """A time in the past, in commercetools' format."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def customer_with_answer(newsletter: Any = None, *, version: int = 1, **fields: Any) -> Json:
    """The customer with this answer in the newsletter field. None leaves the field out; `fields` are further fields."""
    answers = {"newsletter": newsletter, **fields}
    custom = {"type": reference("type", "type-1"), "fields": {k: v for k, v in answers.items() if v is not None}}
    return customer(version=version, custom=custom)


def field_message(value: Any, previous: Any = None, *, at: str, version: int = 1, **more: Any) -> Json:
    """CustomerCustomFieldChanged, or …Added if there was no previous value."""
    name = "CustomerCustomFieldAdded" if previous is None else "CustomerCustomFieldChanged"
    before = {} if previous is None else {"previousValue": previous}
    payload = {"name": "newsletter", "value": value, **before, "createdAt": at, "resourceVersion": version, **more}
    return message(name, "customer", "customer-1") | payload


def customer_updated(version: int = 1) -> dict[str, Any]:
    """A ResourceUpdated change of the customer, which does not say what changed."""
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def consent_details(sandbox: Sandbox, channel: str = "email", email: str = EMAIL) -> Mapping[str, Any]:
    """Klaviyo's marketing consent record for a channel, of the profile with this e-mail."""
    profile = profile_of(sandbox, email)
    subscription = (profile.get("subscriptions") or {}).get(channel) or {"marketing": {"consent": "NEVER_SUBSCRIBED"}}
    details: Mapping[str, Any] = subscription["marketing"]
    return details


def consent(sandbox: Sandbox, channel: str = "email", email: str = EMAIL) -> str:
    """The profile's consent status: SUBSCRIBED, UNSUBSCRIBED or NEVER_SUBSCRIBED."""
    return str(consent_details(sandbox, channel, email)["consent"])


def profile_of(sandbox: Sandbox, email: str = EMAIL) -> Mapping[str, Any]:
    """The only profile with this e-mail."""
    (found,) = (one for one in sandbox.klaviyo.state()["profiles"] if one.get("email") == email)
    profile: Mapping[str, Any] = found
    return profile


def klaviyo_calls(sandbox: Sandbox) -> list[str]:
    """Operations called on Klaviyo since the record was cleared."""
    return [call["operation"] for call in sandbox.klaviyo.requests(kind="api")]
