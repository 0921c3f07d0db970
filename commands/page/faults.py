"""The menu of failures: what a backend can be told to answer, and what it is there to show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.processes import Sandbox

_SLOW = 6.0
"""Longer than a call may take under the page's own `read_timeout`."""
_WRITES = "^/api/(events|profile-import|catalog-)"
_REFUSAL = {
    "errors": [
        {
            "id": "0e5f0000-0000-4000-8000-000000000001",
            "status": 400,
            "code": "invalid",
            "title": "Invalid input.",
            "detail": "The page told Klaviyo to refuse this.",
            "source": {"pointer": "/data/attributes"},
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the menu. `rule` is what the sandbox is told; `lasts`: until it is switched off."""

    name: str
    label: str
    shows: str
    rule: Mapping[str, Any]
    lasts: bool = False
    backend: str = "Klaviyo"


FAULTS = (
    Fault(
        "throttled",
        "429 with Retry-After: 2",
        "Once. The function waits two seconds and goes on: nobody notices.",
        {"status": 429, "headers": {"Retry-After": "2"}},
    ),
    Fault(
        "throttled-long",
        "429 with Retry-After: 8",
        "Once. Longer than the function waits for, so the message goes back to Pub/Sub.",
        {"status": 429, "headers": {"Retry-After": "8"}},
    ),
    Fault(
        "denied",
        "401, a wrong key",
        "Until you switch it off. A wrong key must not empty the queue: every message waits.",
        {"status": 401},
        lasts=True,
    ),
    Fault(
        "error",
        "500",
        "Once. The call is made again at once, and the message has its effect.",
        {"status": 500},
    ),
    Fault(
        "down",
        "503, an outage",
        "Until you switch it off. Messages wait in Pub/Sub; none is lost.",
        {"status": 503, "headers": {"Retry-After": "600"}},
        lasts=True,
    ),
    Fault(
        "timeout",
        "Timeout",
        "Once. Two seconds without an answer (deployed: ten), then the call is made again.",
        {"delay": _SLOW, "reset": "answering"},
    ),
    Fault(
        "refused",
        "400, content refused",
        "Once, on a write. Trying again would not help: the message becomes a dead letter, with the reason.",
        {"path": _WRITES, "method": "POST", "status": 400, "body": _REFUSAL},
    ),
    Fault(
        "lost",
        "Answer lost after a write",
        "Once. Klaviyo wrote it, but the connection broke. The call is repeated, and counts once.",
        {"path": _WRITES, "method": "POST", "reset": "answering", "apply": True},
    ),
    Fault(
        "shop-down",
        "503 from commercetools",
        "Until you switch it off. The shop can't be read, so nothing is written from memory.",
        {"path": "^/shop", "status": 503, "headers": {"Retry-After": "600"}},
        lasts=True,
        backend="commercetools",
    ),
)

BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in FAULTS}


def arm(sandbox: Sandbox, fault: Fault) -> None:
    """Have the backend fail, in place of any other failure."""
    heal(sandbox)
    control = sandbox.commercetools if fault.backend == "commercetools" else sandbox.klaviyo
    control.fail(**{"count": None if fault.lasts else 1, **fault.rule})


def heal(sandbox: Sandbox) -> None:
    """Both backends answer as they should."""
    sandbox.klaviyo.clear_failures()
    sandbox.commercetools.clear_failures()


def is_armed(sandbox: Sandbox) -> bool:
    """Whether a call to come will fail."""
    rules = [*sandbox.klaviyo.failures(), *sandbox.commercetools.failures()]
    return any(rule["count"] is None or rule["hits"] < rule["count"] for rule in rules)
