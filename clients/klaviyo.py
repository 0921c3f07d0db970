"""Write to Klaviyo: profiles, events and the catalog. Every write is idempotent."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clients.failures import BACKEND_KLAVIYO, not_json
from clients.klaviyo_catalog import KlaviyoCatalog
from clients.klaviyo_catalog_jobs import CatalogJobs
from clients.klaviyo_consent import Consent
from clients.klaviyo_imports import ProfileImports
from clients.klaviyo_items import body_of
from clients.klaviyo_lists import SUBSCRIPTIONS, KlaviyoLists
from clients.retrying import current_budget
from core.errors import Refused
from core.logs import log
from core.times import required_time
from mappers.mapped import JsonObject, Mapped
from mappers.profile import profile_body

_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
_CONFLICT = 409
CLOCK_SKEW = timedelta(seconds=5)
"""How far Klaviyo's clock may be behind this machine's."""


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile in Klaviyo's answer: Klaviyo's id (empty if the answer has none), and when it was created.

    `attributes` include consent if it was requested.
    """

    id: str
    created: datetime | None
    attributes: JsonObject = field(default_factory=dict, repr=False)

    def is_newer_than(self, moment: datetime) -> bool:
        """True if it was created after `moment`. Within `CLOCK_SKEW` of it that is uncertain, and also True."""
        return self.created is not None and self.created >= moment - CLOCK_SKEW


class Klaviyo(KlaviyoCatalog):
    """Everything that handlers and jobs do with Klaviyo. Safe to share between threads."""

    def is_ready(self, group: str) -> bool:
        """True if this group of the SDK is imported."""
        return self._calls.is_ready(group)

    def prepare(self, group: str) -> None:
        """Import the SDK's client and one of its groups."""
        self._calls.prepare(group)

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def require_valid(self, group: str, operation: str, body: JsonObject) -> None:
        """Raise Unmappable if the SDK's own validation would refuse this body. Nothing is sent."""
        self._calls.require_valid(group, operation, body)

    @property
    def throttled_calls(self) -> int:
        """Calls that were answered 429."""
        return self._calls.throttled_calls

    def account(self) -> str:
        """Id of the key's account. Needs the scope accounts:read."""
        return str(self._calls.send("Accounts", "get_accounts")["data"][0]["id"])

    @property
    def imports(self) -> ProfileImports:
        """Bulk imports of profiles, for jobs."""
        return ProfileImports(self._calls)

    @property
    def catalog_jobs(self) -> CatalogJobs:
        """Bulk jobs that create items and variants, for jobs."""
        return CatalogJobs(self._calls)

    @property
    def consent(self) -> Consent:
        """Changes of consent, by the rules of [consent]."""
        return Consent(self._calls, self._settings.sync.consent)

    @property
    def lists(self) -> KlaviyoLists:
        """The account's complete lists, for jobs."""
        return KlaviyoLists(self._calls)

    def upsert_profile(self, profile: Mapped, *, with_consent: bool = False) -> KnownProfile:
        """Create or update a profile, without the identifiers that Klaviyo refuses.

        Klaviyo answers 409 `duplicate_profile` if the identifiers belong to different profiles, and 400 for a phone
        number that it does not accept. The weaker identifier is left out first: the phone number, then the e-mail,
        never `external_id`. `with_consent` includes consent in the answer.
        """
        body = body_of(profile)
        options = {"additional_fields_profile": SUBSCRIPTIONS} if with_consent else {}
        for _ in range(2):
            try:
                return _profile_in(self._calls.send("Profiles", "create_or_update_profile", body, **options))
            except Refused as refused:
                body = _without_refused_identifier(body, refused)
        return _profile_in(self._calls.send("Profiles", "create_or_update_profile", body, **options))

    def erase_customer(self, customer_id: str) -> None:
        """Ask Klaviyo to delete a customer's profile and all data about it.

        The list of profiles may lag and miss a new one. If it has none for the customer, an upsert finds the profile,
        or creates one, and that is deleted.
        """
        found = self._calls.send(
            "Profiles",
            "get_profiles",
            filter=f"equals(external_id,{json.dumps(customer_id)})",
            fields_profile=["external_id"],
        )
        profiles = found["data"]  # not .get(): a missing list must raise, and not pass for a customer without profiles
        for profile in profiles:
            self.erase(profile["id"])
        if not profiles:
            self.erase(self.profile_of(customer_id).id)

    def erase_if_new(self, customer_id: str, since: datetime) -> None:
        """Erase a customer's profile if it was created since then, when a message re-created an erased profile.

        An older profile stays: its customer was deleted without erasure, or the erasure is on its way.
        """
        profile = self.profile_of(customer_id)
        if profile.is_newer_than(since):
            self.erase(profile.id)

    def profile_of(self, customer_id: str) -> KnownProfile:
        """A customer's profile, found by an upsert, which may create it: lists may not show a new profile yet."""
        profile = self.upsert_profile(Mapped(profile_body({"external_id": customer_id})))
        if not profile.id:
            raise not_json(BACKEND_KLAVIYO, _OK)
        return profile

    def erase(self, profile_id: str) -> None:
        """Ask Klaviyo to delete a profile by Klaviyo's id, and all data about it. A 404 means that it is deleted."""
        target = {"data": {"type": "profile", "id": profile_id, "attributes": {}}}
        body = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": target}}}
        self._calls.find("Data_Privacy", "request_profile_deletion", body)

    def create_event(self, event: Mapped) -> None:
        """Send an event. Klaviyo drops a repeat, which it recognizes by the `unique_id`."""
        body = body_of(event)
        try:
            self._calls.send("Events", "create_event", body)
        except Refused as refused:
            if not _refuses_phone(refused):
                raise
            self._calls.send("Events", "create_event", _without_phone(body, refused))


def _refuses_phone(refused: Refused) -> bool:
    return refused.status == _BAD_REQUEST and refused.pointer.endswith("phone_number")


def _without_phone(body: JsonObject, refused: Refused) -> JsonObject:
    """The event without its profile's phone number. Raises `refused` if it has none."""
    attributes = body["data"]["attributes"]
    profile = attributes["profile"]["data"]
    kept = {name: value for name, value in profile["attributes"].items() if name != "phone_number"}
    if len(kept) == len(profile["attributes"]):
        raise refused
    current_budget().cuts.append("phone_number: refused by Klaviyo")
    return {
        "data": {**body["data"], "attributes": {**attributes, "profile": {"data": {**profile, "attributes": kept}}}}
    }


def _without_refused_identifier(body: JsonObject, refused: Refused) -> JsonObject:
    """The profile without the identifier that Klaviyo refused. Raises `refused` if there is none to leave out."""
    attributes = dict(body["data"]["attributes"])
    if refused.status == _CONFLICT and refused.code == "duplicate_profile":
        log.warning("profile has a duplicate in Klaviyo", **refused.details)
        weaker = next((name for name in ("phone_number", "email") if attributes.get(name)), None)
    else:
        weaker = "phone_number" if _refuses_phone(refused) and attributes.get("phone_number") else None
    if weaker is None:
        raise refused
    del attributes[weaker]
    current_budget().cuts.append(f"{weaker}: refused by Klaviyo")
    return {"data": {**body["data"], "attributes": attributes}}


def _profile_in(answer: JsonObject) -> KnownProfile:
    """The profile in an answer, empty if unreadable: the write has succeeded, so raising would only repeat it."""
    try:
        profile = answer["data"]
        created = required_time(profile["attributes"]["created"])
        return KnownProfile(str(profile["id"]), created, profile["attributes"])
    except (LookupError, TypeError, ValueError):
        return KnownProfile("", None)
