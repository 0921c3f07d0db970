"""What the commercetools subscriptions should be, and what it takes to get there."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import handlers  # noqa: F401 - registers every handler
from commands.subscription_api import Subscription
from core.rules import SyncRules
from handlers.registry import Registration, registrations

_KINDS = ("messages", "changes")
"""Of subscriptions: one of each is made, PREFIX-messages and PREFIX-changes."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one subscription; `differences` are lines for people, `actions` for commercetools."""

    kind: Literal["create", "update", "delete", "keep"]
    key: str
    draft: Mapping[str, Any] = field(default_factory=dict)
    current: Subscription = field(default_factory=dict)
    differences: Sequence[str] = ()
    actions: Sequence[dict[str, Any]] = ()


Scopes = Collection[str] | None
"""Those of CT_SCOPE; None: not known, so that all count as there."""


def messages(rules: SyncRules, scopes: Scopes = None) -> dict[str, list[str]]:
    """Message types by resource type, of all that is consumed under these rules with these scopes."""
    found: dict[str, list[str]] = defaultdict(list)
    for registration in _asked_for(rules, scopes):
        if not registration.is_change:
            found[registration.resource_type].append(registration.type)
    return {resource: sorted(types) for resource, types in sorted(found.items())}


def changes(rules: SyncRules, scopes: Scopes = None) -> list[str]:
    """Resource types of which any change is consumed; commercetools delivers creations, updates and deletions."""
    return sorted({one.resource_type for one in _asked_for(rules, scopes) if one.is_change})


def switched_off(rules: SyncRules, scopes: Scopes = None) -> dict[str, str]:
    """What switches it off by `resource/type`, of all that commercetools would be asked for otherwise."""
    found = {one.key: one.switched_off_by(rules, scopes) for one in registrations() if one.subscribe}
    return {key: setting for key, setting in sorted(found.items()) if setting}


def keys(prefix: str) -> list[str]:
    """Keys of the subscriptions."""
    return [f"{prefix}-{kind}" for kind in _KINDS]


def desired_subscriptions(
    prefix: str, project: str, topic: str, rules: SyncRules, scopes: Scopes = None
) -> list[dict[str, Any]]:
    """Drafts of the subscriptions to a topic (short name) of a Google project.

    One for messages, one for changes. One of which nothing is consumed is left out: commercetools allows no empty one.
    """
    destination = {"type": "GoogleCloudPubSub", "projectId": project, "topic": topic}
    entries = {
        "messages": [
            {"resourceTypeId": resource, "types": types} for resource, types in messages(rules, scopes).items()
        ],
        "changes": [{"resourceTypeId": resource} for resource in changes(rules, scopes)],
    }
    return [
        {"key": key, "destination": destination, kind: entries[kind]}
        for key, kind in zip(keys(prefix), _KINDS, strict=True)
        if entries[kind]
    ]


def plan(current: Sequence[Subscription], drafts: Sequence[Mapping[str, Any]], prefix: str) -> list[Step]:
    """A step for each draft, and one for each subscription with our keys that has no draft any more.

    Subscriptions with other keys are somebody else's.
    """
    by_key = {subscription.get("key"): subscription for subscription in current}
    needless = set(keys(prefix)) - {draft["key"] for draft in drafts}
    return [_step(draft, by_key.get(draft["key"])) for draft in drafts] + _delete_steps(current, needless)


def removal_steps(current: Sequence[Subscription], prefix: str) -> list[Step]:
    """A step for each subscription that has one of our keys."""
    return _delete_steps(current, keys(prefix))


def _delete_steps(current: Sequence[Subscription], unwanted: Collection[str]) -> list[Step]:
    return [Step("delete", found["key"], current=found) for found in current if found.get("key") in unwanted]


def _asked_for(rules: SyncRules, scopes: Scopes) -> list[Registration]:
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
    if _destination(draft) != _destination(current):
        actions.append({"action": "changeDestination", "destination": draft["destination"]})
    # A list can only be emptied while another one is set.
    actions.sort(key=lambda action: not (action.get("messages") or action.get("changes")))
    return Step("update", draft["key"], draft, current, differences, actions)


def _lines(subscription: Mapping[str, Any]) -> set[str]:
    """A subscription as lines that can be compared: where to, and each message type and change."""
    lines = set()
    if "destination" in subscription:
        lines.add(f"to {_destination(subscription)}")
    for entry in subscription.get("messages") or []:
        lines |= {f"message {entry['resourceTypeId']}/{name}" for name in entry.get("types") or ["(all)"]}
    lines |= {f"change {entry['resourceTypeId']}" for entry in subscription.get("changes") or []}
    return lines


def _destination(subscription: Mapping[str, Any]) -> str:
    destination = subscription["destination"]
    if destination.get("type") == "GoogleCloudPubSub":
        return f"projects/{destination.get('projectId')}/topics/{destination.get('topic')}"
    return str(destination.get("type"))
