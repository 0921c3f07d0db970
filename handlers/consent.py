"""Update consent in Klaviyo from the answer in the shop: a customer's custom field or group."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.klaviyo import CLOCK_SKEW, KnownProfile
from clients.retrying import current_budget
from core.errors import DeadLetter
from core.rules_consent import Channel
from handlers.customer_profile import AfterWrite
from handlers.services import Services
from mappers.consent import Decision, KlaviyoConsent, Marker, Reason, ShopAnswer, decide, klaviyo_consent
from mappers.consent_answer import MessageAnswer, current_value, is_unreadable, shop_answer
from mappers.consent_bodies import Subscriber
from mappers.documents import Customer
from mappers.mapped import JsonObject, Mapped

_ADDRESS_ATTRIBUTES: Mapping[Channel, str] = {"email": "email", "sms": "phone_number"}


@dataclass(frozen=True, slots=True)
class Person:
    """The person whose consent it is.

    `id` is the profile's id, empty if Klaviyo's answer can't be read, and `attributes` are the profile's in Klaviyo.
    `addresses` are those in the shop.
    """

    id: str
    attributes: JsonObject
    addresses: Mapping[Channel, str]

    def address(self, channel: Channel) -> str:
        """The shop's address; empty if the profile has another one, as the shop's may then be another person's."""
        own = self.addresses.get(channel, "")
        known = self.attributes.get(_ADDRESS_ATTRIBUTES[channel]) if self.id else own
        return own if str(known or "").lower() == own.lower() else ""


def consent_after_copy(services: Services) -> AfterWrite | None:
    """The consent update to run after a customer is copied; None if consent is off, or a job leaves it alone."""
    if not (services.follows_consent and services.settings.sync.consent.places):
        return None
    return lambda customer, mapped, known: update_consent(customer, person_of(mapped, known), services, {})


def update_consent(
    customer: Customer, person: Person, services: Services, message_answers: Mapping[Channel, MessageAnswer]
) -> None:
    """Update consent from the customer's answers. `message_answers` are the answers in a message that still hold."""
    rules = services.settings.sync.consent
    answers: dict[Channel, ShopAnswer] = {}
    for channel, place in rules.places.items():
        answers[channel] = shop_answer(customer, place, rules, message_answers.get(channel))
        if is_unreadable(current_value(customer, place)):
            current_budget().cuts.append(f"consent {channel}: consent_unreadable")
    apply_consent(person, answers, services)


def person_of(mapped: Mapped, known: KnownProfile) -> Person:
    """The person a profile was written for, from the body and Klaviyo's answer."""
    own = mapped.body["data"]["attributes"]
    addresses: dict[Channel, str] = {
        channel: own[name] for channel, name in _ADDRESS_ATTRIBUTES.items() if own.get(name)
    }
    return Person(known.id, known.attributes, addresses)


def apply_consent(person: Person, answers: Mapping[Channel, ShopAnswer], services: Services) -> None:
    """Change a person's consent where the decision table says so (`mappers.consent`), and write the markers.

    Decides again while holding the address's lock: another message may have acted on the same address, and one
    confirmation mail is enough. A refusal that `clients.klaviyo_consent` does not handle names consent as its part.
    """
    decisions = _decisions(person, answers, services)
    if _needs_action(person, decisions, services):
        with services.one_at_a_time([f"consent/{person.addresses.get('email', person.id).lower()}"]):
            decisions = _decisions(person, answers, services)
            try:
                _act(person, answers, decisions, services)
            except DeadLetter as refused:
                refused.part = refused.part or "consent"
                raise
    for channel, decision in decisions.items():
        current_budget().consent.append(f"{channel} {decision.action}: {decision.reason}")
        if decision.reason in (Reason.UNCONFIRMED, Reason.UNKNOWN):
            current_budget().cuts.append(f"consent {channel}: {decision.reason}")


def _decisions(person: Person, answers: Mapping[Channel, ShopAnswer], services: Services) -> dict[Channel, Decision]:
    now = datetime.now(UTC)
    decisions: dict[Channel, Decision] = {}
    for channel, answer in answers.items():
        decision = decide(answer, _current_consent(person, channel, services), services.settings.sync.consent, now)
        if decision.action != "nothing" and not person.address(channel):
            decision = Decision("nothing", Reason.NO_ADDRESS)
        decisions[channel] = decision
    return decisions


def _current_consent(person: Person, channel: Channel, services: Services) -> KlaviyoConsent:
    shown = klaviyo_consent(person.attributes, channel)
    address = person.address(channel)
    return services.recent_consents.corrected(channel, address, person.id, shown) if address else shown


def _needs_action(person: Person, decisions: Mapping[Channel, Decision], services: Services) -> bool:
    return any(
        decision.action != "nothing"
        or decision.marker is not None
        or services.recent_consents.unstored_marker(channel, person.address(channel), person.id)
        for channel, decision in decisions.items()
    )


def _act(
    person: Person, answers: Mapping[Channel, ShopAnswer], decisions: Mapping[Channel, Decision], services: Services
) -> None:
    consent = services.klaviyo.consent
    by_action: dict[str, dict[Channel, str]] = {"subscribe": {}, "unsubscribe": {}, "nothing": {}}
    for channel, decision in decisions.items():
        by_action[decision.action][channel] = person.address(channel)
    markers: dict[Channel, Marker] = {}

    def remember(channel: Channel) -> None:
        marker = decisions[channel].marker
        if marker:
            markers[channel] = marker
            services.recent_consents.remember(channel, person.address(channel), person.id, marker, is_stored=False)

    if addresses := by_action["unsubscribe"]:
        consent.unsubscribe(addresses)
        for channel in addresses:
            remember(channel)
    if addresses := by_action["subscribe"]:
        since = {channel: _in_the_past(answers[channel].at) for channel in addresses}
        # A box that was ticked a moment ago can't have been confirmed yet.
        confirmed = services.settings.sync.consent.confirmed and not any(
            answers[channel].is_from_order for channel in addresses
        )
        for channel in consent.subscribe(Subscriber(person.id, addresses, since), confirmed=confirmed):
            remember(channel)
    for channel, address in by_action["nothing"].items():
        remember(channel)
        if marker := services.recent_consents.unstored_marker(channel, address, person.id):
            markers[channel] = marker
    _store_markers(person, markers, services)


def _in_the_past(at: datetime | None) -> datetime | None:
    """The time of a yes, moved into Klaviyo's past: its clock may be slow, and it refuses times in the future."""
    return min(at, datetime.now(UTC) - CLOCK_SKEW) if at else None


def _store_markers(person: Person, markers: Mapping[Channel, Marker], services: Services) -> None:
    if not markers:
        return
    services.klaviyo.consent.mark(person.id, markers)
    for channel, marker in markers.items():
        services.recent_consents.remember(channel, person.address(channel), person.id, marker, is_stored=True)
