"""What the commercetools subscriptions should be, and what it takes to get there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import handlers  # noqa: F401 - registers every handler
from commands.subscription_api import Subscription
from handlers.registry import registrations


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one subscription; `differences` are lines for people, `actions` for commercetools."""

    kind: Literal["create", "update", "delete", "keep"]
    key: str
    draft: Mapping[str, Any] = field(default_factory=dict)
    current: Subscription = field(default_factory=dict)
    differences: Sequence[str] = ()
    actions: Sequence[dict[str, Any]] = ()


def messages() -> dict[str, list[str]]:
    """Message types by resource type, of all that the registry asks for."""
    found: dict[str, list[str]] = defaultdict(list)
    for registration in registrations():
        if registration.subscribe and not registration.is_change:
            found[registration.resource_type].append(registration.type)
    return {resource: sorted(types) for resource, types in sorted(found.items())}


def changes() -> list[str]:
    """Resource types whose changes the registry asks for; commercetools delivers creations, updates and deletions."""
    return sorted({one.resource_type for one in registrations() if one.subscribe and one.is_change})


def wanted(prefix: str, project: str, topic: str) -> list[dict[str, Any]]:
    """Drafts of the subscriptions: one for messages, one for changes, to a topic (short name) of a Google project."""
    destination = {"type": "GoogleCloudPubSub", "projectId": project, "topic": topic}
    return [
        {
            "key": f"{prefix}-messages",
            "destination": destination,
            "messages": [{"resourceTypeId": resource, "types": types} for resource, types in messages().items()],
        },
        {
            "key": f"{prefix}-changes",
            "destination": destination,
            "changes": [{"resourceTypeId": resource} for resource in changes()],
        },
    ]


def plan(current: Sequence[Subscription], drafts: Sequence[Mapping[str, Any]]) -> list[Step]:
    """A step for each draft; subscriptions with other keys are somebody else's."""
    by_key = {subscription.get("key"): subscription for subscription in current}
    return [_step(draft, by_key.get(draft["key"])) for draft in drafts]


def removal(current: Sequence[Subscription], drafts: Sequence[Mapping[str, Any]]) -> list[Step]:
    """A step for each subscription that has the key of a draft."""
    keys = {draft["key"] for draft in drafts}
    return [Step("delete", found["key"], current=found) for found in current if found.get("key") in keys]


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
