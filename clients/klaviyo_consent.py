"""Change consent in Klaviyo. Calls are accepted at once and processed some time later."""

from collections.abc import Mapping, Sequence

from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import current_budget
from core.errors import Refused
from core.logs import log
from core.rules_consent import Channel, ConsentRules
from mappers.consent import Marker
from mappers.consent_bodies import Subscriber, marker_properties, subscription, unsubscription

_NOT_FOUND = 404


class Consent:
    """Changes of consent. They need the scopes subscriptions:write, lists:write and profiles:write."""

    def __init__(self, calls: KlaviyoCalls, rules: ConsentRules) -> None:
        self._calls = calls
        self._rules = rules

    def subscribe(self, subscriber: Subscriber, *, confirmed: bool) -> frozenset[Channel]:
        """Subscribe a person, and return the channels that Klaviyo accepted.

        A `confirmed` yes is sent as historical, so Klaviyo sends no confirmation mail. Klaviyo refuses SMS if it does
        not serve the number's region, or if an age is required; then only the e-mail is subscribed. An unknown list is
        an error in the settings. It is logged, and nobody is subscribed, so that the profile is still synced.
        """
        try:
            return self._subscribe(subscriber, confirmed=confirmed)
        except Refused as refused:
            if self._is_about_the_list(refused):
                return frozenset()
            if "sms" not in subscriber.addresses:
                raise
        current_budget().cuts.append("consent sms: refused by Klaviyo")
        try:
            return (
                self._subscribe(subscriber.only("email"), confirmed=confirmed)
                if "email" in subscriber.addresses
                else frozenset()
            )
        except Refused as refused:
            if self._is_about_the_list(refused):
                return frozenset()
            raise

    def subscribe_all(self, subscribers: Sequence[Subscriber]) -> None:
        """Subscribe up to 1,000 people as of the time of their yes, without confirmation mails."""
        body = subscription(subscribers, self._rules, historical=True)
        self._calls.send("Profiles", "bulk_subscribe_profiles", body)

    def unsubscribe(self, addresses: Mapping[Channel, str]) -> None:
        """Unsubscribe these addresses from their channels."""
        self._calls.send("Profiles", "bulk_unsubscribe_profiles", unsubscription(addresses))

    def mark(self, profile_id: str, markers: Mapping[Channel, Marker]) -> None:
        """Store markers in a profile's properties. Does nothing if the profile does not exist."""
        attributes = {"properties": marker_properties(markers)}
        body = {"data": {"type": "profile", "id": profile_id, "attributes": attributes}}
        self._calls.find("Profiles", "update_profile", profile_id, body)

    def _subscribe(self, subscriber: Subscriber, *, confirmed: bool) -> frozenset[Channel]:
        body = subscription([subscriber], self._rules, historical=confirmed)
        self._calls.send("Profiles", "bulk_subscribe_profiles", body)
        return frozenset(subscriber.addresses)

    def _is_about_the_list(self, refused: Refused) -> bool:
        if not self._rules.list or not ("list" in refused.pointer or refused.status == _NOT_FOUND):
            return False
        current_budget().cuts.append("consent: the list is unknown")
        log.error("[consent] list names a list that Klaviyo does not have: nobody is subscribed", reason="consent_list")
        return True
