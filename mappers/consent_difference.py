"""Where consent in Klaviyo is not what the shop says: for a report, as no comparison may change anybody's consent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from core.rules_consent import Channel
from core.settings import Settings
from mappers.consent import SUBSCRIBED, Action, Why, decided, found
from mappers.consent_answer import wanted
from mappers.documents import Customer
from mappers.mapped import JsonObject


@dataclass(frozen=True, slots=True)
class ConsentDifference:
    """A channel in which both say something else. Holds nothing personal.

    `action` is what a plain change of the customer would bring about, `why` the reason, also where it is nothing.
    """

    channel: Channel
    wanted: Literal["yes", "no"]
    found: str
    action: Action
    why: Why


def consent_difference(
    customer: Customer, profile_attributes: JsonObject, settings: Settings, now: datetime | None = None
) -> tuple[ConsentDifference, ...]:
    """The channels in which a customer's answer and the profile's consent differ; none where the shop says nothing.

    The customer's groups are expanded, and the attributes hold `subscriptions`: where Klaviyo does not say what it has,
    there is nothing to compare.
    """
    rules = settings.sync.consent
    differences = []
    for channel, place in rules.places.items():
        want, have = wanted(customer, place, rules), found(profile_attributes, channel)
        if want.answer is None or not have.consent or want.answer is (have.consent == SUBSCRIBED):
            continue
        decision = decided(want, have, rules, now or datetime.now(UTC))
        said: Literal["yes", "no"] = "yes" if want.answer else "no"
        differences.append(ConsentDifference(channel, said, have.consent, decision.action, decision.why))
    return tuple(differences)
