"""Bodies of the calls that change consent. Source: Klaviyo's bulk subscribe and unsubscribe jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.rules_consent import Channel, ConsentRules
from mappers.consent import Marker, property_of
from mappers.mapped import JsonObject

_IDENTIFIERS: Mapping[Channel, str] = {"email": "email", "sms": "phone_number"}
MOST_SUBSCRIBED = 1_000
"""Profiles of one call."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who is subscribed: Klaviyo's own id where it is known, the address by channel, and since when the yes stands."""

    id: str
    addresses: Mapping[Channel, str]
    at: Mapping[Channel, datetime | None]

    def only(self, channel: Channel) -> "Subscriber":
        """The same person by one channel."""
        return Subscriber(self.id, {channel: self.addresses[channel]}, self.at)


def subscription(subscribers: Sequence[Subscriber], rules: ConsentRules, *, historical: bool) -> JsonObject:
    """Body that subscribes people. `historical`: at the time of their yes, and without a confirmation mail."""
    attributes = {
        "historical_import": historical,
        "profiles": {"data": [_subscribed(one, historical=historical) for one in subscribers]},
    }
    if rules.source:
        attributes["custom_source"] = rules.source
    data: JsonObject = {"type": "profile-subscription-bulk-create-job", "attributes": attributes}
    if rules.list:
        data["relationships"] = {"list": {"data": {"type": "list", "id": rules.list}}}
    return {"data": data}


def _subscribed(subscriber: Subscriber, *, historical: bool) -> JsonObject:
    consents = {}
    for channel in subscriber.addresses:
        at = subscriber.at.get(channel)
        time = {"consented_at": at.astimezone(UTC).isoformat()} if historical and at else {}
        consents[channel] = {"marketing": {"consent": "SUBSCRIBED", **time}}
    own_id = {"id": subscriber.id} if subscriber.id else {}
    return {"type": "profile", **own_id, "attributes": {**_addressed(subscriber.addresses), "subscriptions": consents}}


def unsubscription(addresses: Mapping[Channel, str]) -> JsonObject:
    """Body that unsubscribes somebody. Without a list: whoever is not in one would be unsubscribed from everything."""
    consents = {channel: {"marketing": {"consent": "UNSUBSCRIBED"}} for channel in addresses}
    profile = {"type": "profile", "attributes": {**_addressed(addresses), "subscriptions": consents}}
    attributes = {"profiles": {"data": [profile]}}
    return {"data": {"type": "profile-subscription-bulk-delete-job", "attributes": attributes}}


def marks(markers: Mapping[Channel, Marker]) -> JsonObject:
    """The profile's properties that hold the markers."""
    return {property_of(channel): str(marker) for channel, marker in markers.items()}


def _addressed(addresses: Mapping[Channel, str]) -> JsonObject:
    return {_IDENTIFIERS[channel]: address for channel, address in addresses.items()}
