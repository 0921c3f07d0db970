"""The page's story: twelve steps, each with a button that plays it and a summary of what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Action = Literal["", "clear_fault", "replay", "backfill", "damage", "reconcile"]
"""What a step does before it sends its samples; the last three are jobs."""


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step of the story, played by the page's main button.

    `label` is the button's text. `summary` is shown once the step is played; if empty, the job's own summary is.
    The step switches on the failure `fault` or performs `action`, then sends `samples`. The page selects the sample
    `shown`.
    """

    label: str
    summary: str
    samples: Sequence[str] = ()
    shown: str = ""
    fault: str = ""
    action: Action = ""


STORY = (
    StoryStep(
        "Place an order",
        "Mira registered and placed an order. The shop published seven messages, and the function wrote the catalog, "
        "her profile and her order to Klaviyo.",
        ("02", "03", "04", "05", "06", "13", "16"),
        "16",
    ),
    StoryStep(
        "Ship the order",
        "The order left in two parcels with tracking numbers. Klaviyo has both on Mira's timeline, ready to trigger "
        "shipping e-mails.",
        ("76", "78", "80"),
        "76",
    ),
    StoryStep(
        "Take Klaviyo down",
        "Klaviyo went down, then Mira changed her address. The function rejects the message, so Pub/Sub keeps it and "
        "redelivers it after a pause. Nothing is lost.",
        ("15",),
        "15",
        fault="down",
    ),
    StoryStep(
        "Bring Klaviyo back",
        "Klaviyo is up again. Pub/Sub redelivered the same message, and Klaviyo has Mira's new address.",
        action="clear_fault",
    ),
    StoryStep(
        "Send what Klaviyo rejects",
        "Klaviyo rejected an order's content, and retrying would not help. The message became a dead letter that "
        "says why.",
        ("17",),
        "17",
        fault="refused",
    ),
    StoryStep(
        "Replay the dead letter",
        "With the cause fixed, the original message was sent again. No event counts twice, even if Klaviyo had it "
        "already.",
        action="replay",
    ),
    StoryStep(
        "Start a sale",
        "A sale lowered prices in the shop; the product did not have to be published again. Klaviyo's catalog shows "
        "the sale price next to the regular price.",
        ("44", "50"),
        "50",
    ),
    StoryStep(
        "Return an item",
        "Mira announced a return, the item came back, and one broken vase was refunded. Each is an event of its own.",
        ("84", "86", "31"),
        "86",
    ),
    StoryStep(
        "Erase a customer",
        "A customer was deleted in the shop, with data erasure. The function asked Klaviyo to erase the profile too.",
        ("14", "41"),
        "41",
    ),
    StoryStep("Change Klaviyo by hand", "", action="damage"),
    StoryStep("Reconcile", "", action="reconcile"),
    StoryStep("Load the shop's history", "", action="backfill"),
)
