"""Bodies for the Klaviyo stand-in, and the parts of its refusals that tests check."""

from typing import Any

from sandbox.calls import Response


def event(profile: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """Body of an event."""
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
    """Body of a profile."""
    identity = {"id": profile_id} if profile_id else {}
    return {"data": {"type": "profile", **identity, "attributes": attributes}}


def refusal(answer: Response) -> tuple[int, str, str | None]:
    """Status of the answer, and code and pointer of its first error."""
    error = answer.body["errors"][0]
    return answer.status, error["code"], error["source"].get("pointer")
