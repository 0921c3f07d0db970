"""Klaviyo's consent: the two jobs that change it, double opt-in, suppressions, and what people do themselves."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sandbox.bulk_jobs import BulkJobs
from sandbox.klaviyo_content import identifier_problems, parse_time
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.profiles import Profile, Profiles

SUBSCRIBE, UNSUBSCRIBE = "profile-subscription-bulk-create-job", "profile-subscription-bulk-delete-job"
MAX_SUBSCRIBED, MAX_UNSUBSCRIBED = 1_000, 100
_ADDRESSES = {"email": "email", "sms": "phone_number"}
_LIFTED_REASONS = ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED")
_ROWS = "/data/attributes/profiles/data"

Row = Mapping[str, Any]


class Consents:
    """The consent of an account's profiles. Each profile stores its own under `subscriptions`.

    `lists` maps the account's list ids to whether they use double opt-in, `members` maps them to profile ids.
    `unserved` holds the prefixes of phone numbers that can't be subscribed. `confirmations` holds the address of every
    confirmation mail and text message sent.
    """

    def __init__(self, profiles: Profiles, jobs: BulkJobs) -> None:
        self._profiles = profiles
        self._jobs = jobs
        self.double_optin = False
        self.lists: dict[str, bool] = {}
        self.unserved: list[str] = []
        self.age_gated = False
        self.confirmations: list[str] = []
        self.members: dict[str, set[str]] = {}
        self._pending: dict[tuple[str, str], str] = {}
        """Sources of subscriptions that wait for confirmation, by channel and profile id."""

    def configure(self, rules: Mapping[str, Any]) -> None:
        """Set the account's `double_optin`, `lists`, `unserved` (phone number prefixes) and `age_gated`."""
        for name, value in rules.items():
            setattr(self, name, value)

    def answer(self, operation: str, _: Request, data: Mapping[str, Any]) -> Answer:
        """Accept a job: 202 without a body. Raises Refused."""
        attributes = data["attributes"]
        rows: list[Row] = attributes["profiles"]["data"]
        list_reference = ((data.get("relationships") or {}).get("list") or {}).get("data") or {}
        list_id = str(list_reference.get("id") or "")
        if list_id and list_id not in self.lists:
            raise Refused(404, f"A list with id {list_id} does not exist.", pointer="/data/relationships/list/data/id")
        if operation == "bulk_unsubscribe_profiles":
            _require_rows(rows, MAX_UNSUBSCRIBED)
            self._jobs.accept(UNSUBSCRIBE, rows, partial(self._unsubscribe, list_id))
            return Answer(202)
        _require_rows(rows, MAX_SUBSCRIBED)
        historical = bool(attributes.get("historical_import"))
        for index, row in enumerate(rows):
            self._check(row, f"{_ROWS}/{index}/attributes", historical=historical)
        source = attributes.get("custom_source")
        self._jobs.accept(SUBSCRIBE, rows, partial(self._subscribe, list_id, source, historical))
        return Answer(202)

    def confirm(self, address: str) -> None:
        """Complete the double opt-in of an address: its owner followed the link in the confirmation mail."""
        for (channel, profile_id), source in list(self._pending.items()):
            profile = self._profiles.by_id.get(profile_id)
            if profile and profile.get(_ADDRESSES[channel]) == address:
                del self._pending[channel, profile_id]
                self._set_subscribed(profile, channel, source, _now())

    def set_by_person(self, address: str, changes: Mapping[str, Any]) -> None:
        """Change a channel's marketing fields the way a form, a link in a mail or a suppression does."""
        channel = "email" if "@" in address else "sms"
        profile = self._profiles.find(_ADDRESSES[channel], address) or self._profiles.create(
            {_ADDRESSES[channel]: address}
        )
        marketing = {
            **_marketing(profile, channel),
            "consent_timestamp": _now(),
            "custom_method_detail": None,
            **changes,
        }
        self._store_marketing(profile, channel, marketing)

    def _check(self, row: Row, at: str, *, historical: bool) -> None:
        attributes = row["attributes"]
        problems = identifier_problems(attributes, at)
        if problems:
            raise Refused.for_problems(problems)
        for channel, name in _ADDRESSES.items():
            parameters = _parameters(row, channel)
            if parameters is None:
                continue
            time = parameters.get("consented_at")
            if bool(time) is not historical:
                raise Refused(
                    400,
                    "consented_at must be set if and only if historical_import is.",
                    pointer=f"{at}/subscriptions/{channel}",
                )
            if time and parse_time(time) > datetime.now(UTC):
                raise Refused(400, "consented_at must be in the past.", pointer=f"{at}/subscriptions/{channel}")
            if not attributes.get(name):
                raise Refused(400, f"{name} is needed.", pointer=f"{at}/{name}")
            if channel == "sms":
                self._check_sms(attributes, at)

    def _check_sms(self, attributes: Mapping[str, Any], at: str) -> None:
        if attributes["phone_number"].startswith(tuple(self.unserved)):
            raise Refused(400, "There is no sending number for this region.", pointer=f"{at}/phone_number")
        if self.age_gated and not attributes.get("age_gated_date_of_birth"):
            raise Refused(400, "A date of birth is needed.", pointer=f"{at}/age_gated_date_of_birth")

    def _subscribe(self, list_id: str, source: str, historical: bool, row: Row) -> None:  # noqa: FBT001 - bound by partial
        profile = self._profile_of(row)
        needs_confirmation = self.lists[list_id] if list_id else self.double_optin
        for channel in _ADDRESSES:
            parameters = _parameters(row, channel)
            if parameters is None:
                continue
            if needs_confirmation and not historical:
                self.confirmations.append(row["attributes"][_ADDRESSES[channel]])
                self._pending[channel, profile["id"]] = source
                continue
            profile = self._set_subscribed(profile, channel, source, parameters.get("consented_at") or _now())
        if list_id:
            self.members.setdefault(list_id, set()).add(profile["id"])

    def _unsubscribe(self, list_id: str, row: Row) -> None:
        """Remove a list member from the list only; unsubscribe anyone else from the channel altogether."""
        profile = self._profile_of(row)
        if profile["id"] in self.members.get(list_id, ()):
            self.members[list_id].remove(profile["id"])
            return
        for channel in _ADDRESSES:
            if _parameters(row, channel) is None:
                continue
            known = _marketing(profile, channel)
            others = [entry for entry in known["suppression"] if entry["reason"] != "UNSUBSCRIBE"]
            suppression = [*others, {"reason": "UNSUBSCRIBE", "timestamp": _now()}]
            marketing = {**known, "consent": "UNSUBSCRIBED", "consent_timestamp": _now(), "suppression": suppression}
            profile = self._store_marketing(profile, channel, marketing)

    def _profile_of(self, row: Row) -> Profile:
        attributes = {name: row["attributes"][name] for name in _ADDRESSES.values() if row["attributes"].get(name)}
        if row.get("id") in self._profiles.by_id:
            return self._profiles.by_id[row["id"]]
        found = next((profile for name, own in attributes.items() if (profile := self._profiles.find(name, own))), None)
        return found or self._profiles.create(attributes)

    def _set_subscribed(self, profile: Profile, channel: str, source: str, at: str) -> Profile:
        known = _marketing(profile, channel)
        suppression = [entry for entry in known["suppression"] if entry["reason"] not in _LIFTED_REASONS]
        marketing = {
            **known,
            "consent": "SUBSCRIBED",
            "consent_timestamp": at,
            "custom_method_detail": source,
            "suppression": suppression,
        }
        return self._store_marketing(profile, channel, marketing)

    def _store_marketing(self, profile: Profile, channel: str, marketing: Mapping[str, Any]) -> Profile:
        stored = {**profile.get("subscriptions", {}), channel: {"marketing": dict(marketing)}}
        return self._profiles.replace(profile["id"], {"subscriptions": stored})


def subscriptions(profile: Profile) -> dict[str, Any]:
    """The profile's consent as Klaviyo answers it, with only the fields that each channel has."""
    shown = {channel: dict(_marketing(profile, channel)) for channel in _ADDRESSES}
    shown["email"]["can_receive_email_marketing"] = not shown["email"]["suppression"]
    sms = shown["sms"]
    sms["can_receive_sms_marketing"] = sms["consent"] == "SUBSCRIBED"
    for name in ("suppression", "list_suppressions", "custom_method_detail"):
        sms.pop(name, None)
    return {channel: {"marketing": marketing} for channel, marketing in shown.items()}


def _marketing(profile: Profile, channel: str) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "consent": "NEVER_SUBSCRIBED",
        "consent_timestamp": None,
        "custom_method_detail": None,
        "suppression": [],
        "list_suppressions": [],
    }
    known = (profile.get("subscriptions") or {}).get(channel) or {}
    return {**defaults, **known.get("marketing", {})}


def _parameters(row: Row, channel: str) -> Mapping[str, Any] | None:
    """The marketing parameters of a channel; None if the row does not mention it."""
    return ((row["attributes"]["subscriptions"].get(channel) or {}).get("marketing")) or None


def _require_rows(rows: list[Row], most: int) -> None:
    if not 0 < len(rows) <= most:
        raise Refused(400, f"1 to {most} profiles are needed.", pointer=_ROWS)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
