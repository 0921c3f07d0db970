"""Deliver one notification; report its outcome, and the calls it cost according to the sandbox's record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.processes import Sandbox
from tests.functional.conftest import Answer, Function


@dataclass(frozen=True, slots=True)
class Measured:
    """A notification's outcome, the operations it called (without token requests), and Klaviyo's state afterwards."""

    answer: Answer
    read: tuple[str, ...]
    written: tuple[str, ...]
    state: Mapping[str, Any]

    @property
    def calls(self) -> tuple[int, int]:
        """Number of calls to commercetools and to Klaviyo."""
        return len(self.read), len(self.written)

    @property
    def outcome(self) -> str:
        """The outcome, followed by its reason if it has one."""
        return f"{self.answer.outcome} {self.answer.reason}".strip()

    def event(self, metric: str, unique_id: str) -> Mapping[str, Any]:
        """The only event in Klaviyo with this metric and unique id."""
        (event,) = (
            event for event in self.state["events"] if (event["metric"], event["unique_id"]) == (metric, unique_id)
        )
        found: Mapping[str, Any] = event
        return found

    def profile(self, external_id: str) -> Mapping[str, Any]:
        """The only profile in Klaviyo with this external id."""
        (profile,) = (profile for profile in self.state["profiles"] if profile.get("external_id") == external_id)
        found: Mapping[str, Any] = profile
        return found


def measured(sandbox: Sandbox, function: Function, delivery: Mapping[str, Any] | bytes) -> Measured:
    """Deliver, and count only the calls of this delivery."""
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.forget_requests()
    answer = function.deliver(delivery)
    return Measured(
        answer,
        tuple(call["operation"] for call in sandbox.commercetools.requests(kind="api")),
        tuple(call["operation"] for call in sandbox.klaviyo.requests(kind="api")),
        sandbox.klaviyo.state(),
    )
