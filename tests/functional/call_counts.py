"""One delivery, what became of it, and what it cost by the sandbox's own record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.processes import Sandbox
from tests.functional.conftest import Answer, Function


@dataclass(frozen=True, slots=True)
class Measured:
    """A delivery that was answered; calls by the name of their operation, without those for tokens."""

    answer: Answer
    read: tuple[str, ...]
    written: tuple[str, ...]
    state: Mapping[str, Any]

    @property
    def calls(self) -> tuple[int, int]:
        """Calls to commercetools, and to Klaviyo."""
        return len(self.read), len(self.written)

    @property
    def outcome(self) -> str:
        """The outcome, and its reason where it has one."""
        return f"{self.answer.outcome} {self.answer.reason}".strip()

    def event(self, metric: str, unique_id: str) -> Mapping[str, Any]:
        """The one event of this metric and id that Klaviyo holds."""
        (event,) = (
            event for event in self.state["events"] if (event["metric"], event["unique_id"]) == (metric, unique_id)
        )
        found: Mapping[str, Any] = event
        return found

    def profile(self, external_id: str) -> Mapping[str, Any]:
        """The one profile of a customer that Klaviyo holds."""
        (profile,) = (profile for profile in self.state["profiles"] if profile.get("external_id") == external_id)
        found: Mapping[str, Any] = profile
        return found


def measured(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any] | bytes) -> Measured:
    """Deliver, and count from here on."""
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.forget_requests()
    answer = function.deliver(delivery)
    return Measured(
        answer,
        tuple(call["operation"] for call in sandbox.commercetools.requests(kind="api")),
        tuple(call["operation"] for call in sandbox.klaviyo.requests(kind="api")),
        sandbox.klaviyo.state(),
    )
