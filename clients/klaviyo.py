"""Writing Klaviyo: profiles, events and the catalog, each write fit to be repeated, with Klaviyo's own rules."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from clients.failures import BACKEND_KLAVIYO, not_json
from clients.klaviyo_catalog import KlaviyoCatalog
from clients.klaviyo_catalog_jobs import CatalogJobs
from clients.klaviyo_consent import Consent
from clients.klaviyo_imports import ProfileImports
from clients.klaviyo_items import noted
from clients.klaviyo_lists import SUBSCRIPTIONS, KlaviyoLists
from clients.retrying import current_budget
from core.errors import Refused
from core.logs import log
from mappers.mapped import JsonObject, Mapped
from mappers.profile import profile_body

_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
_CONFLICT = 409
CLOCKS_DIFFER = timedelta(seconds=5)
"""By which Klaviyo's clock may be behind this machine's."""


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile as Klaviyo answers it: its own id (empty where that can't be read), and when it was made.

    `attributes` tell of consent where it was asked for.
    """

    id: str
    created: datetime | None
    attributes: JsonObject = field(default_factory=dict, repr=False)

    def is_newer_than(self, moment: datetime) -> bool:
        """Whether it was made after that moment of this machine's clock."""
        return self.created is not None and self.created >= moment - CLOCKS_DIFFER


class Klaviyo(KlaviyoCatalog):
    """The writes that handlers need: the catalog's, and those of profiles and events. Safe to share between threads."""

    def is_ready(self, group: str) -> bool:
        """Whether a group of the SDK's operations is imported."""
        return self._calls.is_ready(group)

    def prepare(self, group: str) -> None:
        """Import the SDK's client and a group of its operations."""
        self._calls.prepare(group)

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def require_valid(self, group: str, operation: str, body: JsonObject) -> None:
        """Raise Unmappable where the SDK would refuse the body of an operation; nothing is sent."""
        self._calls.require_valid(group, operation, body)

    @property
    def throttled_calls(self) -> int:
        """Calls that were answered 429."""
        return self._calls.throttled_calls

    def account(self) -> str:
        """Id of the account that the key belongs to; needs the scope accounts:read."""
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
        """What changes consent, by the rules of [consent]."""
        return Consent(self._calls, self._settings.sync.consent)

    @property
    def lists(self) -> KlaviyoLists:
        """The account's whole lists, for jobs."""
        return KlaviyoLists(self._calls)

    def upsert_profile(self, profile: Mapped, *, with_consent: bool = False) -> KnownProfile:
        """Create or update a profile; what identifies another profile, or is no phone number, is left out.

        Source: Klaviyo answers 409 `duplicate_profile` when identifiers point at different profiles, and 400 for a
        phone number it does not take. The weaker identifier goes first: phone, then e-mail, never `external_id`.
        `with_consent`: the answer tells of consent.
        """
        body = noted(profile)
        more = {"additional_fields_profile": SUBSCRIPTIONS} if with_consent else {}
        for _ in range(2):
            try:
                return _known(self._calls.send("Profiles", "create_or_update_profile", body, **more))
            except Refused as refused:
                body = _without_refused_identifier(body, refused)
        return _known(self._calls.send("Profiles", "create_or_update_profile", body, **more))

    def erase_customer(self, customer_id: str) -> None:
        """Ask Klaviyo to delete the profile of a customer and all it knows of it.

        The list may lag behind a profile that was just made. Where it shows none, an upsert says which profile is the
        customer's, and makes one if need be.
        """
        found = self._calls.send(
            "Profiles",
            "get_profiles",
            filter=f"equals(external_id,{json.dumps(customer_id)})",
            fields_profile=["external_id"],
        )
        profiles = found["data"]  # without it the answer is no list of profiles, and "none" would be forgotten
        for profile in profiles:
            self.erase(profile["id"])
        if not profiles:
            self.erase(self.profile_of(customer_id).id)

    def erase_if_new(self, customer_id: str, since: datetime) -> None:
        """Erase the profile of a customer if it was made since then: by what a message sent of somebody who was erased.

        An older one stays: its customer was deleted without erasure, or the erasure is on its way.
        """
        profile = self.profile_of(customer_id)
        if profile.is_newer_than(since):
            self.erase(profile.id)

    def profile_of(self, customer_id: str) -> KnownProfile:
        """The profile of a customer; made where there is none, as no list can be trusted to show a new one."""
        profile = self.upsert_profile(Mapped(profile_body({"external_id": customer_id})))
        if not profile.id:
            raise not_json(BACKEND_KLAVIYO, _OK)
        return profile

    def erase(self, profile_id: str) -> None:
        """Ask Klaviyo to delete a profile, by Klaviyo's own id, and all it knows of it. One that is gone is erased."""
        target = {"data": {"type": "profile", "id": profile_id, "attributes": {}}}
        body = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": target}}}
        self._calls.find("Data_Privacy", "request_profile_deletion", body)

    def create_event(self, event: Mapped) -> None:
        """Send an event; a repetition is Klaviyo's to ignore, by `unique_id`."""
        body = noted(event)
        try:
            self._calls.send("Events", "create_event", body)
        except Refused as refused:
            if not _refuses_phone(refused):
                raise
            self._calls.send("Events", "create_event", _without_phone(body, refused))


def _refuses_phone(refused: Refused) -> bool:
    return refused.status == _BAD_REQUEST and refused.pointer.endswith("phone_number")


def _without_phone(body: JsonObject, refused: Refused) -> JsonObject:
    """The event without its profile's phone number; raises the refusal when there is none to leave out."""
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
    """The profile without the identifier that Klaviyo refused; raises the refusal when there is none to leave out."""
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


def _known(answer: JsonObject) -> KnownProfile:
    """The profile of an answer. The write is done, so what can't be read is no reason to repeat it."""
    try:
        profile = answer["data"]
        created = datetime.fromisoformat(profile["attributes"]["created"])
        return KnownProfile(str(profile["id"]), created.astimezone(UTC), profile["attributes"])
    except (LookupError, TypeError, ValueError):
        return KnownProfile("", None)
