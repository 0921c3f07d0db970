"""The commercetools subscriptions that the sync needs, and the steps that turn the existing ones into them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import handlers  # noqa: F401 - registers every handler
from commands.subscription_api import Subscription
from core.rules import SyncRules
from handlers.registry import Registration, registrations

_KINDS = ("messages", "changes")
"""One subscription of each kind: PREFIX-messages and PREFIX-changes."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change to one subscription. `differences` are lines for people, `actions` the update actions to send."""

    kind: Literal["create", "update", "delete", "keep"]
    key: str
    draft: Mapping[str, Any] = field(default_factory=dict)
    current: Subscription = field(default_factory=dict)
    differences: Sequence[str] = ()
    actions: Sequence[dict[str, Any]] = ()


Scopes = Collection[str] | None
"""The scopes of CT_SCOPE. None: unknown, so every scope counts as granted."""


def messages(rules: SyncRules, scopes: Scopes = None) -> dict[str, list[str]]:
    """Message types to subscribe to, by resource type, under these rules and scopes."""
    found: dict[str, list[str]] = defaultdict(list)
    for registration in _subscribed(rules, scopes):
        if not registration.is_change:
            found[registration.resource_type].append(registration.type)
    return {resource: sorted(types) for resource, types in sorted(found.items())}


def changes(rules: SyncRules, scopes: Scopes = None) -> list[str]:
    """Resource types to subscribe to for changes. commercetools delivers every creation, update and deletion."""
    return sorted({one.resource_type for one in _subscribed(rules, scopes) if one.is_change})


def switched_off(rules: SyncRules, scopes: Scopes = None) -> dict[str, str]:
    """`resource/type` of what is left out of the subscriptions, each with the setting or scope that switches it off."""
    found = {one.key: one.switched_off_by(rules, scopes) for one in registrations() if one.subscribe}
    return {key: setting for key, setting in sorted(found.items()) if setting}


def keys(prefix: str) -> list[str]:
    """Keys of the sync's subscriptions."""
    return [f"{prefix}-{kind}" for kind in _KINDS]


def desired_subscriptions(
    prefix: str, project: str, topic: str, rules: SyncRules, scopes: Scopes = None
) -> list[dict[str, Any]]:
    """Drafts of the subscriptions that publish to a topic (short name) of a Google project.

    One for messages and one for changes, unless it would be empty, which commercetools does not allow.
    """
    topic_destination = {"type": "GoogleCloudPubSub", "projectId": project, "topic": topic}
    entries = {
        "messages": [
            {"resourceTypeId": resource, "types": types} for resource, types in messages(rules, scopes).items()
        ],
        "changes": [{"resourceTypeId": resource} for resource in changes(rules, scopes)],
    }
    return [
        {"key": key, "destination": topic_destination, kind: entries[kind]}
        for key, kind in zip(keys(prefix), _KINDS, strict=True)
        if entries[kind]
    ]


def plan(current: Sequence[Subscription], drafts: Sequence[Mapping[str, Any]], prefix: str) -> list[Step]:
    """A step for each draft, and a deletion for each subscription with one of our keys but no draft.

    Subscriptions with other keys belong to others and are left alone.
    """
    by_key = {subscription.get("key"): subscription for subscription in current}
    obsolete = set(keys(prefix)) - {draft["key"] for draft in drafts}
    return [_step(draft, by_key.get(draft["key"])) for draft in drafts] + _delete_steps(current, obsolete)


def removal_steps(current: Sequence[Subscription], prefix: str) -> list[Step]:
    """A deletion for each subscription that has one of our keys."""
    return _delete_steps(current, keys(prefix))


def _delete_steps(current: Sequence[Subscription], unwanted: Collection[str]) -> list[Step]:
    return [
        Step("delete", found["key"], current=found, differences=[f"publishes to {destination(found)}"])
        for found in current
        if found.get("key") in unwanted
    ]


def _subscribed(rules: SyncRules, scopes: Scopes) -> list[Registration]:
    return [one for one in registrations() if one.subscribe and not one.switched_off_by(rules, scopes)]


def _step(draft: Mapping[str, Any], current: Subscription | None) -> Step:
    if current is None:
        lines = [f"+ {line}" for line in sorted(_lines(draft))]
        return Step("create", draft["key"], draft, differences=lines)
    ours, theirs = _lines(draft), _lines(current)
    differences = [*(f"- {line}" for line in sorted(theirs - ours)), *(f"+ {line}" for line in sorted(ours - theirs))]
    if not differences:
        return Step("keep", draft["key"], draft, current)
    actions: list[dict[str, Any]] = []
    for name, action in (("messages", "setMessages"), ("changes", "setChanges")):
        if _lines({name: draft.get(name)}) != _lines({name: current.get(name)}):
            actions.append({"action": action, name: draft.get(name, [])})
    if destination(draft) != destination(current):
        actions.append({"action": "changeDestination", "destination": draft["destination"]})
    # commercetools refuses to empty one list unless the other is set, so setting comes first.
    actions.sort(key=lambda action: not (action.get("messages") or action.get("changes")))
    return Step("update", draft["key"], draft, current, differences, actions)


def _lines(subscription: Mapping[str, Any]) -> set[str]:
    """A subscription as comparable lines: its destination, each message type and each change."""
    lines = set()
    if "destination" in subscription:
        lines.add(f"to {destination(subscription)}")
    for entry in subscription.get("messages") or []:
        lines |= {f"message {entry['resourceTypeId']}/{name}" for name in entry.get("types") or ["(all)"]}
    lines |= {f"change {entry['resourceTypeId']}" for entry in subscription.get("changes") or []}
    return lines


def destination(subscription: Mapping[str, Any]) -> str:
    """The full name of the topic that a subscription publishes to; for another kind of destination its type."""
    where = subscription["destination"]
    if where.get("type") == "GoogleCloudPubSub":
        return f"projects/{where.get('projectId')}/topics/{where.get('topic')}"
    return str(where.get("type"))
