"""Whether a yes or a no of the shop changes consent in Klaviyo: the whole table, as one pure function.

Consent has two masters: a person may answer in the shop, and by a form or a link in Klaviyo. The last word must win,
and where nobody can tell which was the last, nothing is done. A wrong subscribe breaks the law, a wrong unsubscribe
loses a customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from core.rules_consent import Channel, ConsentRules
from mappers.mapped import JsonObject

SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED = "SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED"
"""Klaviyo's `consent`. Source: its reference; the SDK takes any text."""
LIFTED = frozenset({"UNSUBSCRIBE", "USER_SUPPRESSED"})
"""Suppressions that a newer yes may lift. All others stay for good: bounces, complaints, and what is not known yet."""

_SOURCES: Mapping[Channel, tuple[str, ...]] = {
    "email": ("custom_method_detail",),
    "sms": ("custom_method_detail", "method_detail"),
}
"""Where Klaviyo gives our source back; of texts its model has no field for it alone."""

Action = Literal["nothing", "subscribe", "unsubscribe"]
Word = Literal["yes", "no", "order"]


class Why(StrEnum):
    """The reason of a decision, as logs have it."""

    AGREES = "agrees"
    SAYS_NOTHING = "shop_says_nothing"
    UNKNOWN = "klaviyo_does_not_say"
    SUPPRESSED = "suppressed_for_good"
    NO_STAYS = "no_in_klaviyo_stays"
    NO_TIME = "no_in_klaviyo_and_yes_without_time"
    NO_IS_NEWER = "no_in_klaviyo_is_newer"
    ASKED = "asked_already"
    UNCONFIRMED = "confirmed_without_time"
    NEW_YES = "yes_and_never_subscribed"
    NEWER_YES = "yes_is_newer"
    SHOP_WINS = "shop_always_wins"
    NEWER_NO = "no_is_newer"
    OWN = "no_and_subscribed_by_us"
    NOT_OURS = "no_without_time_and_not_subscribed_by_us"
    YES_IS_NEWER = "yes_in_klaviyo_is_newer"
    WITHDRAWN = "no_after_we_asked"
    NO_ADDRESS = "no_address_of_this_profile"


@dataclass(frozen=True, slots=True)
class Marker:
    """What this package did last to a profile's consent: `yes` or `no` of the customer, or the yes of an `order`.

    `at` is the time of the answer, or of the call where the answer had none. Klaviyo keeps it as a property of the
    profile, as double opt-in leaves a profile NEVER_SUBSCRIBED until somebody follows the link in the mail.
    """

    word: Word
    at: datetime

    def __str__(self) -> str:
        return f"{self.word}@{self.at.astimezone(UTC).isoformat()}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the shop says: `answer` None is nothing, `at` None unknown since when. `order`: by the box at checkout.

    `is_doubted`: a no that may be none, as of somebody who may never have been in a group. It takes back our own yes.
    """

    answer: bool | None
    at: datetime | None = None
    order: bool = False
    is_doubted: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What Klaviyo says of a channel; `consent` is empty where it can't be read.

    `suppressed` are the times of suppressions by reason, `source` is our own name where the consent came from us.
    """

    consent: str
    at: datetime | None = None
    suppressed: Mapping[str, datetime | None] | None = None
    source: str = ""
    marker: Marker | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a channel, why, and the marker to leave: where something is done, or a later word was heard."""

    action: Action
    why: Why
    marker: Marker | None = None


def property_of(channel: Channel) -> str:
    """Name of the profile's property that holds the marker of a channel."""
    return f"ct_consent_{channel}"


def decided(wanted: Wanted, found: Found, rules: ConsentRules, now: datetime) -> Decision:
    """What becomes of an answer of the shop. A time in the future is none."""
    at = wanted.at if wanted.at and wanted.at <= now else None
    if wanted.answer is None:
        return Decision("nothing", Why.SAYS_NOTHING)
    if found.consent not in (SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED):
        return Decision("nothing", Why.UNKNOWN)
    if not wanted.answer:
        is_ours = found.marker is not None and found.marker.word == "yes"
        why, unsubscribes = (Why.NOT_OURS, False) if wanted.is_doubted and not is_ours else _no(at, found, rules)
        return Decision("unsubscribe", why, Marker("no", at or now)) if unsubscribes else Decision("nothing", why)
    why, subscribes = _yes(at, found, rules)
    if subscribes and rules.confirmed and not at:
        return Decision("nothing", Why.UNCONFIRMED)
    if not subscribes:
        return Decision("nothing", why, _renewed(wanted, at, found, rules))
    beaten = [moment for moment in _noes(found) if moment]
    marked = at if at and all(at > moment for moment in beaten) else now
    return Decision("subscribe", why, Marker("order" if wanted.order else "yes", marked))


def _renewed(wanted: Wanted, at: datetime | None, found: Found, rules: ConsentRules) -> Marker | None:
    """The marker of a later box at checkout, for somebody whom we subscribed, and whose field may take that back.

    An earlier no that comes late, or a field that was false all the time, is then known for what it is.
    """
    is_ours = found.consent == SUBSCRIBED and bool(rules.source) and found.source == rules.source
    is_new = not found.marker or (at is not None and found.marker.at < at)
    return Marker("order", at) if wanted.order and at and rules.email and is_ours and is_new else None


def _yes(at: datetime | None, found: Found, rules: ConsentRules) -> tuple[Why, bool]:
    if found.consent == SUBSCRIBED:
        return _yes_to_a_subscribed_one(at, found)
    if _is_suppressed_for_good(found):
        return Why.SUPPRESSED, False
    noes = _noes(found)
    last_no = None if None in noes else max(filter(None, noes), default=None)
    if _is_asked(found.marker, noes, last_no):
        return Why.ASKED, False
    return _yes_against_no(at, last_no, rules) if noes else (Why.NEW_YES, True)


def _is_suppressed_for_good(found: Found) -> bool:
    return any(reason not in LIFTED for reason in found.suppressed or ())


def _yes_against_no(at: datetime | None, last_no: datetime | None, rules: ConsentRules) -> tuple[Why, bool]:
    """Whether a yes beats Klaviyo's last no; None is one of which nobody knows the time."""
    match rules.conflict:
        case "commercetools":
            return Why.SHOP_WINS, True
        case "klaviyo":
            return Why.NO_STAYS, False
    if at is None:
        return Why.NO_TIME, False
    return (Why.NEWER_YES, True) if last_no and at > last_no else (Why.NO_IS_NEWER, False)


def _yes_to_a_subscribed_one(at: datetime | None, found: Found) -> tuple[Why, bool]:
    """Nothing to do, unless our own unsubscribe is under way: Klaviyo does it some time after it took the call."""
    told = found.marker
    if not told or told.word != "no" or not found.at or found.at > told.at:
        return Why.AGREES, False
    if _is_suppressed_for_good(found):
        return Why.SUPPRESSED, False
    return (Why.NEWER_YES, True) if at is None or at > told.at else (Why.AGREES, False)


def _is_asked(marker: Marker | None, noes: list[datetime | None], last_no: datetime | None) -> bool:
    """Whether we subscribed the profile since Klaviyo's last no: the person may not have confirmed yet."""
    if not marker or marker.word == "no":
        return False
    return not noes or last_no is None or marker.at > last_no


def _no(at: datetime | None, found: Found, rules: ConsentRules) -> tuple[Why, bool]:
    asked = found.marker if found.marker and found.marker.word != "no" else None
    if found.consent != SUBSCRIBED:
        if asked and (found.at is None or asked.at > found.at):
            return _no_to_one_who_was_asked(at, asked, rules)
        return Why.AGREES, False
    if rules.conflict == "commercetools":
        return Why.SHOP_WINS, True
    is_ours = bool(rules.source) and found.source == rules.source
    if is_ours and asked and asked.word == "order":
        # The field of whoever ticked the box at checkout may have been false all the time. Klaviyo's time is that of
        # its job, the marker's that of the order.
        since: datetime | None = asked.at
    elif is_ours:
        return Why.OWN, True
    else:
        since = found.at
    if at and since and at > since:
        return Why.NEWER_NO, True
    return (Why.YES_IS_NEWER if at else Why.NOT_OURS), False


def _no_to_one_who_was_asked(at: datetime | None, asked: Marker, rules: ConsentRules) -> tuple[Why, bool]:
    """Our own subscribe is under way, or waits for double opt-in: a later no takes it back."""
    if rules.conflict == "commercetools" or (asked.word == "yes" if at is None else at > asked.at):
        return Why.WITHDRAWN, True
    return Why.AGREES, False


def _noes(found: Found) -> list[datetime | None]:
    """When the person said no in Klaviyo, or was suppressed there by hand; None for a no without a time."""
    own = [found.at] if found.consent == UNSUBSCRIBED else []
    return [*own, *(found.suppressed or {}).values()]


def found(attributes: JsonObject, channel: Channel) -> Found:
    """What a profile's attributes, with `subscriptions`, say of a channel. What can't be read is an empty `consent`.

    Klaviyo leaves a channel out, or null, of which it has no consent.
    """
    try:
        subscriptions = attributes["subscriptions"]
        marketing = (subscriptions.get(channel) or {}).get("marketing")
        marker = marker_of((attributes.get("properties") or {}).get(property_of(channel)))
        if marketing is None:
            return Found(NEVER_SUBSCRIBED, marker=marker)
        suppressed: dict[str, datetime | None] = {}
        for one in (*(marketing.get("suppression") or ()), *(marketing.get("list_suppressions") or ())):
            _note(suppressed, str(one.get("reason")), moment(one.get("timestamp")))
        return Found(
            str(marketing["consent"]),
            moment(marketing.get("consent_timestamp")),
            suppressed,
            next((str(marketing[name]) for name in _SOURCES[channel] if marketing.get(name)), ""),
            marker,
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return Found("")


def _note(suppressed: dict[str, datetime | None], reason: str, at: datetime | None) -> None:
    """Keep the latest time of a reason; None, which no yes beats, wins over all."""
    known = suppressed.get(reason, at)
    suppressed[reason] = max(known, at) if known and at else None


def marker_of(text: object) -> Marker | None:
    """The marker that a property holds; None for anything else."""
    word, _, time = text.partition("@") if isinstance(text, str) else ("", "", "")
    at = moment(time)
    match word:
        case "yes" | "no" | "order" if at:
            return Marker(word, at)
    return None


def moment(text: object) -> datetime | None:
    """A time as both backends write it, in UTC where it names no zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
