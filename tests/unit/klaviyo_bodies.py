"""Bodies for the stand-in for Klaviyo, and what its refusals say."""

from typing import Any

from sandbox.calls import Response


def event(profile: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """An event's body."""
    metric = attributes.pop("metric", "Placed Order")
    return {
        "data": {
            "type": "event",
            "attributes": {
                "properties": {"OrderId": "o1"},
                "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
                "profile": {
                    "data": {"type": "profile", "attributes": profile or {"email": "jane@example.com"}},
                },
                **attributes,
            },
        }
    }


def profile(profile_id: str | None = None, **attributes: Any) -> dict[str, Any]:
    """A profile's body."""
    identity = {"id": profile_id} if profile_id else {}
    return {"data": {"type": "profile", **identity, "attributes": attributes}}


def refusal(answer: Response) -> tuple[int, str, str | None]:
    """Status, code and pointer of the first error."""
    error = answer.body["errors"][0]
    return answer.status, error["code"], error["source"].get("pointer")
