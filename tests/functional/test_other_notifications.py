"""Notifications that are neither Messages nor Changes are acknowledged with a reason, without a dead letter."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function
from tests.functional.documents import PROJECT, reference
from tests.functional.failure_cases import FakeTopic

NEW_KINDS: dict[str, dict[str, Any]] = {
    "with a resource": {"notificationType": "ResourceArchived", "resource": reference("product", "product-1")},
    "without a resource": {"notificationType": "Heartbeat"},
    "with an empty type": {"notificationType": "Heartbeat", "type": ""},
}


@pytest.mark.parametrize("kind", NEW_KINDS.values(), ids=NEW_KINDS)
def test_an_unknown_kind_is_ignored(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function, kind: dict[str, Any]
) -> None:
    """A new kind of notification without a type has no handler, so it is ignored."""
    answer = function.deliver({"projectKey": PROJECT, **kind})
    assert (answer.status, answer.outcome, answer.reason) == (ACKNOWLEDGED, "ignored", "unknown_notification")
    assert (dead_letters.published, sandbox.klaviyo.requests()) == ([], [])


def test_the_log_line_of_an_event_names_no_resource(function: Function) -> None:
    """An Event has no resource, so its log line names only the kind."""
    answer = function.deliver({"notificationType": "Event", "projectKey": PROJECT, "type": "ImportUnresolved"})
    assert (answer.outcome, answer.reason) == ("ignored", "event_notification")
    assert answer.line["message"] == "Event ignored: event_notification"
    assert "resource" not in answer.line
