"""Having consent in Klaviyo follow the answer in the shop: a customer's field or group."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from clients.klaviyo import CLOCKS_DIFFER, KnownProfile
from clients.retrying import current_budget
from core.errors import DeadLetter
from core.rules_consent import Channel
from handlers.customer_profile import Following
from handlers.services import Services
from mappers.consent import Decision, Found, Marker, Wanted, Why, decided, found
from mappers.consent_answer import Told, current_value, is_unreadable, wanted
from mappers.consent_bodies import Subscriber
from mappers.documents import Customer
from mappers.mapped import JsonObject, Mapped

_ATTRIBUTES: Mapping[Channel, str] = {"email": "email", "sms": "phone_number"}


@dataclass(frozen=True, slots=True)
class Person:
    """Whose consent it is: Klaviyo's id (empty: it can't be read), what it says, and the addresses of the shop."""

    id: str
    attributes: JsonObject
    addresses: Mapping[Channel, str]

    def address(self, channel: Channel) -> str:
        """The address, if it is the one that this profile has: another one may be another person's."""
        own = self.addresses.get(channel, "")
        known = self.attributes.get(_ATTRIBUTES[channel]) if self.id else own
        return own if str(known or "").lower() == own.lower() else ""


def after_a_copy(services: Services) -> Following | None:
    """What follows the copy of a customer to a profile; None with consent switched off, and in most jobs."""
    if not (services.follows_consent and services.settings.sync.consent.places):
        return None
    return lambda customer, mapped, known: follow(customer, person(mapped, known), services, {})


def follow(customer: Customer, whose: Person, services: Services, told: Mapping[Channel, Told]) -> None:
    """Have consent follow the customer's answers; `told` are those that a message told, and that still hold."""
    rules = services.settings.sync.consent
    wants: dict[Channel, Wanted] = {}
    for channel, place in rules.places.items():
        wants[channel] = wanted(customer, place, rules, told.get(channel))
        if is_unreadable(current_value(customer, place)):
            current_budget().cuts.append(f"consent {channel}: consent_unreadable")
    settle(whose, wants, services)


def person(mapped: Mapped, known: KnownProfile) -> Person:
    """Who was written, and what Klaviyo answered."""
    own = mapped.body["data"]["attributes"]
    addresses: dict[Channel, str] = {channel: own[name] for channel, name in _ATTRIBUTES.items() if own.get(name)}
    return Person(known.id, known.attributes, addresses)


def settle(whose: Person, wants: Mapping[Channel, Wanted], services: Services) -> None:
    """Change the consent of a person where the table says so, and leave the markers.

    Decided once more under a lock: another message of this instance may be at the same address, and two confirmation
    mails are one too many. What Klaviyo refuses otherwise than `Consent` knows names consent as its part.
    """
    decisions = _decisions(whose, wants, services)
    if _is_to_do(whose, decisions, services):
        with services.one_at_a_time([f"consent/{whose.addresses.get('email', whose.id).lower()}"]):
            decisions = _decisions(whose, wants, services)
            try:
                _act(whose, wants, decisions, services)
            except DeadLetter as refused:
                refused.part = refused.part or "consent"
                raise
    for channel, decision in decisions.items():
        current_budget().consent.append(f"{channel} {decision.action}: {decision.why}")
        if decision.why in (Why.UNCONFIRMED, Why.UNKNOWN):
            current_budget().cuts.append(f"consent {channel}: {decision.why}")


def _decisions(whose: Person, wants: Mapping[Channel, Wanted], services: Services) -> dict[Channel, Decision]:
    now = datetime.now(UTC)
    decisions: dict[Channel, Decision] = {}
    for channel, want in wants.items():
        decision = decided(want, _found(whose, channel, services), services.settings.sync.consent, now)
        if decision.action != "nothing" and not whose.address(channel):
            decision = Decision("nothing", Why.NO_ADDRESS)
        decisions[channel] = decision
    return decisions


def _found(whose: Person, channel: Channel, services: Services) -> Found:
    told = found(whose.attributes, channel)
    address = whose.address(channel)
    return services.consents.seen(channel, address, whose.id, told) if address else told


def _is_to_do(whose: Person, decisions: Mapping[Channel, Decision], services: Services) -> bool:
    return any(
        decision.action != "nothing"
        or decision.marker is not None
        or services.consents.not_left(channel, whose.address(channel), whose.id)
        for channel, decision in decisions.items()
    )


def _act(
    whose: Person, wants: Mapping[Channel, Wanted], decisions: Mapping[Channel, Decision], services: Services
) -> None:
    consent = services.klaviyo.consent
    by_action: dict[str, dict[Channel, str]] = {"subscribe": {}, "unsubscribe": {}, "nothing": {}}
    for channel, decision in decisions.items():
        by_action[decision.action][channel] = whose.address(channel)
    markers: dict[Channel, Marker] = {}

    def acted(channel: Channel) -> None:
        marker = decisions[channel].marker
        if marker:
            markers[channel] = marker
            services.consents.acted(channel, whose.address(channel), whose.id, marker, is_left=False)

    if addresses := by_action["unsubscribe"]:
        consent.unsubscribe(addresses)
        for channel in addresses:
            acted(channel)
    if addresses := by_action["subscribe"]:
        since = {channel: _in_the_past(wants[channel].at) for channel in addresses}
        # Nobody can have confirmed a box that was ticked a moment ago.
        confirmed = services.settings.sync.consent.confirmed and not any(wants[channel].order for channel in addresses)
        for channel in consent.subscribe(Subscriber(whose.id, addresses, since), confirmed=confirmed):
            acted(channel)
    for channel, address in by_action["nothing"].items():
        acted(channel)
        if marker := services.consents.not_left(channel, address, whose.id):
            markers[channel] = marker
    _leave(whose, markers, services)


def _in_the_past(at: datetime | None) -> datetime | None:
    """The time of a yes as Klaviyo takes it: its clock may be behind this one, and it refuses what is to come."""
    return min(at, datetime.now(UTC) - CLOCKS_DIFFER) if at else None


def _leave(whose: Person, markers: Mapping[Channel, Marker], services: Services) -> None:
    if not markers:
        return
    services.klaviyo.consent.mark(whose.id, markers)
    for channel, marker in markers.items():
        services.consents.acted(channel, whose.address(channel), whose.id, marker, is_left=True)
