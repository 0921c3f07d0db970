"""The page's guided tour: one act after the other, each with what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Deed = Literal["", "heal", "replay", "past", "damage", "reconcile"]


@dataclass(frozen=True, slots=True)
class Act:
    """One press of the page's main button.

    `label` says what will be done, `told` what was seen (empty: a job says it). `samples` are sent after the failure
    `fault` was switched on or the `deed` done; `shown` is the one that the page then shows.
    """

    label: str
    told: str
    samples: Sequence[str] = ()
    shown: str = ""
    fault: str = ""
    deed: Deed = ""


ACTS = (
    Act(
        "Let a customer order",
        "Mira registered and ordered a bag. The shop published seven messages; the function wrote the catalog, her "
        "profile and her order.",
        ("02", "03", "04", "05", "06", "13", "16"),
        "16",
    ),
    Act(
        "Ship her parcel",
        "Her parcel has a tracking number. Klaviyo has it on her timeline, ready for a shipping e-mail.",
        ("76", "78", "80"),
        "76",
    ),
    Act(
        "Take Klaviyo down",
        "Mira moved while Klaviyo is down. The function refuses the message, so Pub/Sub keeps it and delivers it again "
        "after a pause. Nothing is lost.",
        ("15",),
        "15",
        fault="down",
    ),
    Act(
        "Bring Klaviyo back",
        "Klaviyo answers again. Pub/Sub delivered the same message again, and Mira's new address is there.",
        deed="heal",
    ),
    Act(
        "Send what Klaviyo refuses",
        "Klaviyo refuses the content, and another try would change nothing. So the message lies among the dead letters,"
        " with the reason.",
        ("17",),
        "17",
        fault="refused",
    ),
    Act(
        "Replay the dead letter",
        "Whatever Klaviyo minded is mended by now, so the original message was sent again. No event counts twice.",
        deed="replay",
    ),
    Act(
        "Start a sale",
        "Prices went down live, without a publish. The catalog has the new price, and the one before it.",
        ("44", "50"),
        "50",
    ),
    Act(
        "Send something back",
        "Mira announced a return, the item came back, and one broken vase was refunded. Each is an event of its own.",
        ("84", "86", "31"),
        "86",
    ),
    Act(
        "Erase a customer",
        "A customer was deleted with data erasure. Klaviyo was asked to erase the profile.",
        ("14", "41"),
        "41",
    ),
    Act("Damage Klaviyo by hand", "", deed="damage"),
    Act("Reconcile", "", deed="reconcile"),
    Act(
        "Load the shop's past",
        "",
        deed="past",
    ),
)
