"""A shop with a newsletter checkbox: what its customers, messages and profiles look like in tests."""

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
UPSERT, UPDATE, ASK = "create_or_update_profile", "update_profile", "get_profiles"


def ago(**span: float) -> str:
    """A time before now, as commercetools writes it."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def customer_with_answer(newsletter: Any = None, *, version: int = 1, **fields: Any) -> Json:
    """The customer with this answer in the field; None: without it."""
    told = {"newsletter": newsletter, **fields}
    custom = {"type": reference("type", "type-1"), "fields": {k: v for k, v in told.items() if v is not None}}
    return customer(version=version, custom=custom)


def field_message(value: Any, previous: Any = None, *, at: str, version: int = 1, **more: Any) -> Json:
    """CustomerCustomFieldChanged, or …Added where there was no previous value."""
    name = "CustomerCustomFieldAdded" if previous is None else "CustomerCustomFieldChanged"
    before = {} if previous is None else {"previousValue": previous}
    payload = {"name": "newsletter", "value": value, **before, "createdAt": at, "resourceVersion": version, **more}
    return message(name, "customer", "customer-1") | payload


def customer_updated(version: int = 1) -> dict[str, Any]:
    """The change of a customer, without a word about what changed."""
    return change("ResourceUpdated", "customer", "customer-1", version=version)


def consent_details(sandbox: Sandbox, channel: str = "email", email: str = EMAIL) -> Mapping[str, Any]:
    """What Klaviyo has of the consent of the profile with this e-mail."""
    profile = profile_of(sandbox, email)
    told = (profile.get("subscriptions") or {}).get(channel) or {"marketing": {"consent": "NEVER_SUBSCRIBED"}}
    found: Mapping[str, Any] = told["marketing"]
    return found


def consent(sandbox: Sandbox, channel: str = "email", email: str = EMAIL) -> str:
    """SUBSCRIBED, UNSUBSCRIBED or NEVER_SUBSCRIBED."""
    return str(consent_details(sandbox, channel, email)["consent"])


def profile_of(sandbox: Sandbox, email: str = EMAIL) -> Mapping[str, Any]:
    """The one profile that has this e-mail."""
    (found,) = (one for one in sandbox.klaviyo.state()["profiles"] if one.get("email") == email)
    profile: Mapping[str, Any] = found
    return profile


def klaviyo_calls(sandbox: Sandbox) -> list[str]:
    """Klaviyo's operations since they were forgotten."""
    return [call["operation"] for call in sandbox.klaviyo.requests(kind="api")]
