"""commercetools Subscriptions: create, update with actions, delete, all with version checks."""

import re
import uuid
from typing import Any

from sandbox.documents import Document, Documents, now
from sandbox.messages import Answer

MAX_SUBSCRIPTIONS = 50
_KEY = re.compile(r"[A-Za-z0-9_-]{2,256}")
_ACTIONS = {"changeDestination": "destination", "setMessages": "messages", "setChanges": "changes", "setKey": "key"}
_DRAFT_FIELDS = {"key", "destination", "messages", "changes", "events", "format"}


class Refusal(Exception):  # noqa: N818 - becomes an answer
    """A commercetools error: status, code, message and further fields of `errors[0]`."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message, **more}

    def answer(self) -> Answer:
        """The error as an HTTP answer."""
        return Answer(
            self.status,
            {"statusCode": self.status, "message": self.error["message"], "errors": [self.error]},
        )


def invalid(message: str) -> Refusal:
    """A 400 InvalidInput error."""
    return Refusal(400, "InvalidInput", message)


def not_found(what: str) -> Refusal:
    """A 404 ResourceNotFound error; `what` names the id or key."""
    return Refusal(404, "ResourceNotFound", f"The Resource with {what} was not found.")


def create(documents: Documents, draft: Any) -> Document:
    """Create a subscription; raises Refusal."""
    if not isinstance(draft, dict) or not isinstance(draft.get("destination"), dict):
        raise invalid("Request body does not contain valid JSON: destination: Missing required value.")
    if unknown := sorted(set(draft) - _DRAFT_FIELDS):
        raise invalid(f"Request body does not contain valid JSON: unknown field '{unknown[0]}'.")
    if not any(draft.get(name) for name in ("messages", "changes", "events")):
        raise Refusal(400, "InvalidInput", "At least one of messages, changes or events must be set.")
    stored = documents.collections["subscriptions"]
    _check_key(stored, draft.get("key"))
    if len(stored) >= MAX_SUBSCRIPTIONS:
        message = f"The maximum number of subscriptions ({MAX_SUBSCRIPTIONS}) is reached."
        raise Refusal(400, "MaxResourceLimitExceeded", message, exceededResource="subscription")
    moment = now()
    return documents.put(
        "subscriptions",
        {
            "id": str(uuid.uuid4()),
            "version": 1,
            "createdAt": moment,
            "lastModifiedAt": moment,
            "messages": [],
            "changes": [],
            "events": [],
            "format": {"type": "Platform"},
            **draft,
            "status": "Healthy",
        },
    )


def update(documents: Documents, subscription: Document, body: Any) -> Document:
    """Apply the actions in `body` and return the subscription; raises Refusal."""
    if not isinstance(body, dict) or not isinstance(body.get("actions"), list):
        raise invalid("Request body does not contain valid JSON: actions: Missing required value.")
    check_version(subscription, body.get("version"))
    changed = dict(subscription)
    for action in body["actions"]:
        name = action.get("action") if isinstance(action, dict) else None
        if name not in _ACTIONS:
            raise invalid(f"Request body does not contain valid JSON: actions: Invalid type id '{name}'.")
        field = _ACTIONS[name]
        if field == "key":
            stored = documents.collections["subscriptions"]
            others = {key: value for key, value in stored.items() if key != subscription["id"]}
            _check_key(others, action.get("key"))
        if field == "destination":
            changed["status"] = "Healthy"
        changed[field] = action.get(field, [] if field in ("messages", "changes") else None)
    if not any(changed.get(name) for name in ("messages", "changes", "events")):
        raise Refusal(400, "InvalidOperation", "At least one of messages, changes or events must be set.")
    if changed == subscription:
        return subscription
    return documents.put("subscriptions", {**changed, "version": subscription["version"] + 1, "lastModifiedAt": now()})


def check_version(document: Document, version: Any) -> None:
    """Raise Refusal unless `version` is the document's current version."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise invalid("Request body does not contain valid JSON: version: Missing required value.")
    if version != document["version"]:
        message = (
            f"Object {document['id']} has a different version than expected. "
            f"Expected: {version} - Actual: {document['version']}."
        )
        raise Refusal(409, "ConcurrentModification", message, currentVersion=document["version"])


def _check_key(stored: dict[str, Document], key: Any) -> None:
    if key is None:
        return
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise invalid("The key must match the regular expression ^[A-Za-z0-9_-]{2,256}$.")
    if any(other.get("key") == key for other in stored.values()):
        message = f"A duplicate value '\"{key}\"' exists for field 'key'."
        raise Refusal(400, "DuplicateField", message, field="key", duplicateValue=key)
