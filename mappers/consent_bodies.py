"""Bodies of the calls that change consent.

Source: Klaviyo, Profiles API, Bulk Subscribe Profiles and Bulk Unsubscribe Profiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.rules_consent import Channel, ConsentRules
from mappers.consent import Marker, marker_property
from mappers.mapped import JsonObject

_IDENTIFIERS: Mapping[Channel, str] = {"email": "email", "sms": "phone_number"}
MAX_SUBSCRIBERS = 1_000
"""Profiles per call."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person to subscribe.

    `id` is the profile's id in Klaviyo, empty if unknown. `addresses` are the e-mail address and phone number to
    subscribe, `at` the times of the yes.
    """

    id: str
    addresses: Mapping[Channel, str]
    at: Mapping[Channel, datetime | None]

    def only(self, channel: Channel) -> "Subscriber":
        """The same person, with one channel only."""
        return Subscriber(self.id, {channel: self.addresses[channel]}, self.at)


def subscription(subscribers: Sequence[Subscriber], rules: ConsentRules, *, historical: bool) -> JsonObject:
    """Body that subscribes people.

    With `historical`, Klaviyo records the time of their yes and sends no confirmation mail.
    """
    attributes = {
        "historical_import": historical,
        "profiles": {"data": [_profile_to_subscribe(subscriber, historical=historical) for subscriber in subscribers]},
    }
    if rules.source:
        attributes["custom_source"] = rules.source
    data: JsonObject = {"type": "profile-subscription-bulk-create-job", "attributes": attributes}
    if rules.list:
        data["relationships"] = {"list": {"data": {"type": "list", "id": rules.list}}}
    return {"data": data}


def _profile_to_subscribe(subscriber: Subscriber, *, historical: bool) -> JsonObject:
    consents = {}
    for channel in subscriber.addresses:
        at = subscriber.at.get(channel)
        time = {"consented_at": at.astimezone(UTC).isoformat()} if historical and at else {}
        consents[channel] = {"marketing": {"consent": "SUBSCRIBED", **time}}
    own_id = {"id": subscriber.id} if subscriber.id else {}
    return {
        "type": "profile",
        **own_id,
        "attributes": {**_identifiers(subscriber.addresses), "subscriptions": consents},
    }


def unsubscription(addresses: Mapping[Channel, str]) -> JsonObject:
    """Body that unsubscribes one person from these channels, for all lists.

    It names no list, because that would not limit it: Klaviyo unsubscribes whoever is not in the list from everything.
    """
    consents = {channel: {"marketing": {"consent": "UNSUBSCRIBED"}} for channel in addresses}
    profile = {"type": "profile", "attributes": {**_identifiers(addresses), "subscriptions": consents}}
    attributes = {"profiles": {"data": [profile]}}
    return {"data": {"type": "profile-subscription-bulk-delete-job", "attributes": attributes}}


def marker_properties(markers: Mapping[Channel, Marker]) -> JsonObject:
    """Profile properties that store the markers."""
    return {marker_property(channel): str(marker) for channel, marker in markers.items()}


def _identifiers(addresses: Mapping[Channel, str]) -> JsonObject:
    return {_IDENTIFIERS[channel]: address for channel, address in addresses.items()}
