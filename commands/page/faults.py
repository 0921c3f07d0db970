"""The failures menu: ways in which Klaviyo or commercetools can fail, and what each one shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.processes import Sandbox

_SLOW = 6.0
"""Seconds. Longer than `read_timeout` on the page, so that the call times out."""
_WRITES = "^/api/(events|profile-import|catalog-)"
_REJECTION = {
    "errors": [
        {
            "id": "0e5f0000-0000-4000-8000-000000000001",
            "status": 400,
            "code": "invalid",
            "title": "Invalid input.",
            "detail": "The page told Klaviyo to reject this.",
            "source": {"pointer": "/data/attributes"},
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the menu.

    `rule` is the failure rule for the sandbox. `lasts` is True if the failure stays until it is switched off; otherwise
    it hits one call.
    """

    name: str
    label: str
    description: str
    rule: Mapping[str, Any]
    lasts: bool = False
    backend: str = "Klaviyo"


FAULTS = (
    Fault(
        "throttled",
        "Klaviyo throttles for 2 s (429)",
        "Once. The function waits two seconds, retries and succeeds.",
        {"status": 429, "headers": {"Retry-After": "2"}},
    ),
    Fault(
        "throttled-long",
        "Klaviyo throttles for 8 s (429)",
        "Once. Longer than the function waits, so the message goes back to Pub/Sub.",
        {"status": 429, "headers": {"Retry-After": "8"}},
    ),
    Fault(
        "denied",
        "Wrong Klaviyo key (401)",
        "Until you switch it off. A wrong key must not cost messages, so they go back to Pub/Sub and wait.",
        {"status": 401},
        lasts=True,
    ),
    Fault(
        "error",
        "Klaviyo error (500)",
        "Once. The function retries after a moment and succeeds.",
        {"status": 500},
    ),
    Fault(
        "down",
        "Klaviyo is down (503)",
        "Until you switch it off. Messages wait in Pub/Sub; none is lost.",
        {"status": 503, "headers": {"Retry-After": "600"}},
        lasts=True,
    ),
    Fault(
        "timeout",
        "Klaviyo times out",
        "Once. After two seconds without a response (ten when deployed) the function retries.",
        {"delay": _SLOW, "reset": "answering"},
    ),
    Fault(
        "refused",
        "Klaviyo rejects content (400)",
        "Once, on a write. Retrying would not help, so the message becomes a dead letter that says why.",
        {"path": _WRITES, "method": "POST", "status": 400, "body": _REJECTION},
    ),
    Fault(
        "lost",
        "Response lost after a write",
        "Once. Klaviyo saves the write, but the connection breaks before it responds. The function retries, and the "
        "write counts once.",
        {"path": _WRITES, "method": "POST", "reset": "answering", "apply": True},
    ),
    Fault(
        "shop-down",
        "commercetools is down (503)",
        "Until you switch it off. The function can't read the shop, so it writes nothing: it never falls back to old "
        "data.",
        {"path": "^/shop", "status": 503, "headers": {"Retry-After": "600"}},
        lasts=True,
        backend="commercetools",
    ),
)

BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in FAULTS}


def inject(sandbox: Sandbox, fault: Fault) -> None:
    """Make a backend fail. Replaces any other failure."""
    clear(sandbox)
    control = sandbox.commercetools if fault.backend == "commercetools" else sandbox.klaviyo
    control.fail(**{"count": None if fault.lasts else 1, **fault.rule})


def clear(sandbox: Sandbox) -> None:
    """Make both backends work again."""
    sandbox.klaviyo.clear_failures()
    sandbox.commercetools.clear_failures()


def is_active(sandbox: Sandbox) -> bool:
    """True if a failure rule can still hit a call."""
    rules = [*sandbox.klaviyo.failures(), *sandbox.commercetools.failures()]
    return any(rule["count"] is None or rule["hits"] < rule["count"] for rule in rules)
