"""Decide whether a yes or a no from the shop changes consent in Klaviyo. docs/consent.md has the whole table.

A person can answer in two places: in the shop, and in Klaviyo by a form or a link. Unless `[consent] conflict` says
otherwise, the latest answer wins. If it is unknown which one that is, nothing changes: a wrong subscribe breaks the
law, and a wrong unsubscribe loses a customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from core.rules_consent import Channel, ConsentRules
from core.times import parsed_time
from mappers.mapped import JsonObject

SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED = "SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED"
"""Values of Klaviyo's `consent`. Source: Klaviyo, Profiles API; the SDK types it as any string."""
LIFTABLE_SUPPRESSIONS = frozenset({"UNSUBSCRIBE", "USER_SUPPRESSED"})
"""Suppressions that a newer yes may lift. All others are final: bounces, complaints, and reasons unknown to us."""

_SOURCES: Mapping[Channel, tuple[str, ...]] = {
    "email": ("custom_method_detail",),
    "sms": ("custom_method_detail", "method_detail"),
}
"""Fields of Klaviyo that may hold our `source`. Klaviyo documents none for SMS, so both are read.

For e-mail, `method_detail` does not count: it may be the name of an imported list.
"""

Action = Literal["nothing", "subscribe", "unsubscribe"]
MarkerWord = Literal["yes", "no", "order"]


class Reason(StrEnum):
    """Why a decision was made, as logged."""

    AGREES = "agrees"
    SAYS_NOTHING = "shop_says_nothing"
    UNKNOWN = "klaviyo_does_not_say"
    SUPPRESSED = "suppressed_for_good"
    NO_STAYS = "no_in_klaviyo_stays"
    NO_TIME = "no_in_klaviyo_and_yes_without_time"
    KLAVIYO_NO_IS_NEWER = "no_in_klaviyo_is_newer"
    ASKED = "asked_already"
    UNCONFIRMED = "confirmed_without_time"
    NEW_YES = "yes_and_never_subscribed"
    SHOP_YES_IS_NEWER = "yes_is_newer"
    SHOP_WINS = "shop_always_wins"
    SHOP_NO_IS_NEWER = "no_is_newer"
    OWN = "no_and_subscribed_by_us"
    NOT_OURS = "no_without_time_and_not_subscribed_by_us"
    KLAVIYO_YES_IS_NEWER = "yes_in_klaviyo_is_newer"
    WITHDRAWN = "no_after_we_asked"
    NO_ADDRESS = "no_address_of_this_profile"


@dataclass(frozen=True, slots=True)
class Marker:
    """The last change that this package made to a profile's consent.

    `word` is the customer's `yes` or `no`, or `order` for a yes at checkout. `at` is the time of the answer, or of the
    call if the answer has none. Klaviyo stores the marker as a property of the profile. It is needed for double opt-in:
    the profile stays NEVER_SUBSCRIBED until the person follows the link in the mail.
    """

    word: MarkerWord
    at: datetime

    def __str__(self) -> str:
        return f"{self.word}@{self.at.astimezone(UTC).isoformat()}"


@dataclass(frozen=True, slots=True)
class ShopAnswer:
    """What the shop says about a channel.

    `answer` is None if the shop says nothing, `at` is None if the time of the answer is unknown. `is_from_order` is
    True for the box at checkout. `is_uncertain` is True for a no that may not be one: a message said that a customer is
    not in the group, but not that they left it. Such a no only takes back a yes that came from the group, not one from
    the checkout or a form.
    """

    answer: bool | None
    at: datetime | None = None
    is_from_order: bool = False
    is_uncertain: bool = False


@dataclass(frozen=True, slots=True)
class KlaviyoConsent:
    """What Klaviyo says about a channel. `consent` is empty if it can't be read.

    `suppressed` maps the reason of each suppression to its time. `source` is the source that Klaviyo recorded for the
    consent; it equals `[consent] source` if we subscribed the person.
    """

    consent: str
    at: datetime | None = None
    suppressed: Mapping[str, datetime | None] | None = None
    source: str = ""
    marker: Marker | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a channel, why, and the marker to store on the profile.

    There is a marker with every subscribe and unsubscribe, and for a later yes at checkout that changes nothing else.
    """

    action: Action
    reason: Reason
    marker: Marker | None = None


def marker_property(channel: Channel) -> str:
    """Name of the profile property that stores the marker of a channel."""
    return f"ct_consent_{channel}"


def decide(shop: ShopAnswer, klaviyo: KlaviyoConsent, rules: ConsentRules, now: datetime) -> Decision:
    """Decide what the shop's answer changes in Klaviyo. A time in the future counts as unknown."""
    at = shop.at if shop.at and shop.at <= now else None
    if shop.answer is None:
        return Decision("nothing", Reason.SAYS_NOTHING)
    if klaviyo.consent not in (SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED):
        return Decision("nothing", Reason.UNKNOWN)
    if not shop.answer:
        has_sent_yes = klaviyo.marker is not None and klaviyo.marker.word == "yes"
        reason, unsubscribes = (
            (Reason.NOT_OURS, False) if shop.is_uncertain and not has_sent_yes else _after_no(at, klaviyo, rules)
        )
        return Decision("unsubscribe", reason, Marker("no", at or now)) if unsubscribes else Decision("nothing", reason)
    reason, subscribes = _after_yes(at, klaviyo, rules)
    if subscribes and rules.confirmed and not at:
        return Decision("nothing", Reason.UNCONFIRMED)
    if not subscribes:
        return Decision("nothing", reason, _renewed_marker(shop, at, klaviyo, rules))
    # The marker must be newer than the no that this yes overrides, else the next update would subscribe again.
    overridden = [time for time in _times_of_no(klaviyo) if time]
    marked_at = at if at and all(at > time for time in overridden) else now
    return Decision("subscribe", reason, Marker("order" if shop.is_from_order else "yes", marked_at))


def _renewed_marker(
    shop: ShopAnswer, at: datetime | None, klaviyo: KlaviyoConsent, rules: ConsentRules
) -> Marker | None:
    """Marker for a later yes at checkout, if we subscribed the person before and `[consent] email` is set.

    Without this marker, an earlier no that arrives late, or a field that was false all along, would take back the later
    yes.
    """
    is_ours = klaviyo.consent == SUBSCRIBED and bool(rules.source) and klaviyo.source == rules.source
    is_newer = not klaviyo.marker or (at is not None and klaviyo.marker.at < at)
    return Marker("order", at) if shop.is_from_order and at and rules.email and is_ours and is_newer else None


def _after_yes(at: datetime | None, klaviyo: KlaviyoConsent, rules: ConsentRules) -> tuple[Reason, bool]:
    """The reason, and True if a yes of this time subscribes."""
    if klaviyo.consent == SUBSCRIBED:
        return _after_yes_of_subscribed(at, klaviyo)
    if _is_suppressed_for_good(klaviyo):
        return Reason.SUPPRESSED, False
    times_of_no = _times_of_no(klaviyo)
    last_no = None if None in times_of_no else max(filter(None, times_of_no), default=None)
    if _is_asked(klaviyo.marker, times_of_no, last_no):
        return Reason.ASKED, False
    return _yes_against_no(at, last_no, rules) if times_of_no else (Reason.NEW_YES, True)


def _is_suppressed_for_good(klaviyo: KlaviyoConsent) -> bool:
    return any(reason not in LIFTABLE_SUPPRESSIONS for reason in klaviyo.suppressed or ())


def _yes_against_no(at: datetime | None, last_no: datetime | None, rules: ConsentRules) -> tuple[Reason, bool]:
    """The reason, and True if the yes overrides Klaviyo's last no. Both times are None if unknown."""
    match rules.conflict:
        case "commercetools":
            return Reason.SHOP_WINS, True
        case "klaviyo":
            return Reason.NO_STAYS, False
    if at is None:
        return Reason.NO_TIME, False
    return (Reason.SHOP_YES_IS_NEWER, True) if last_no and at > last_no else (Reason.KLAVIYO_NO_IS_NEWER, False)


def _after_yes_of_subscribed(at: datetime | None, klaviyo: KlaviyoConsent) -> tuple[Reason, bool]:
    """Nothing to do, unless our own unsubscribe is still pending: Klaviyo accepts the call first and acts later."""
    marker = klaviyo.marker
    if not marker or marker.word != "no" or not klaviyo.at or klaviyo.at > marker.at:
        return Reason.AGREES, False
    if _is_suppressed_for_good(klaviyo):
        return Reason.SUPPRESSED, False
    return (Reason.SHOP_YES_IS_NEWER, True) if at is None or at > marker.at else (Reason.AGREES, False)


def _is_asked(marker: Marker | None, times_of_no: list[datetime | None], last_no: datetime | None) -> bool:
    """True if we subscribed the profile after Klaviyo's last no, or the time of that no is unknown.

    The person may not have confirmed yet.
    """
    if not marker or marker.word == "no":
        return False
    return not times_of_no or last_no is None or marker.at > last_no


def _after_no(at: datetime | None, klaviyo: KlaviyoConsent, rules: ConsentRules) -> tuple[Reason, bool]:
    """The reason, and True if a no of this time unsubscribes."""
    our_yes = klaviyo.marker if klaviyo.marker and klaviyo.marker.word != "no" else None
    if klaviyo.consent != SUBSCRIBED:
        if our_yes and (klaviyo.at is None or our_yes.at > klaviyo.at):
            return _after_no_to_pending(at, our_yes, rules)
        return Reason.AGREES, False
    if rules.conflict == "commercetools":
        return Reason.SHOP_WINS, True
    is_ours = bool(rules.source) and klaviyo.source == rules.source
    if is_ours and our_yes and our_yes.word == "order":
        # The customer ticked the box at checkout, but their field may have been false all along. So only a no after the
        # order counts. Klaviyo's time is that of its job; the marker's is that of the order.
        since: datetime | None = our_yes.at
    elif is_ours:
        return Reason.OWN, True
    else:
        since = klaviyo.at
    if at and since and at > since:
        return Reason.SHOP_NO_IS_NEWER, True
    return (Reason.KLAVIYO_YES_IS_NEWER if at else Reason.NOT_OURS), False


def _after_no_to_pending(at: datetime | None, our_yes: Marker, rules: ConsentRules) -> tuple[Reason, bool]:
    """Our own subscribe is still pending, or waits for double opt-in. A later no takes it back."""
    if rules.conflict == "commercetools" or (our_yes.word == "yes" if at is None else at > our_yes.at):
        return Reason.WITHDRAWN, True
    return Reason.AGREES, False


def _times_of_no(klaviyo: KlaviyoConsent) -> list[datetime | None]:
    """When the person unsubscribed in Klaviyo, or was suppressed there by hand. None for a no without a time."""
    unsubscribed = [klaviyo.at] if klaviyo.consent == UNSUBSCRIBED else []
    return [*unsubscribed, *(klaviyo.suppressed or {}).values()]


def klaviyo_consent(attributes: JsonObject, channel: Channel) -> KlaviyoConsent:
    """Read the consent of a channel from a profile's attributes, which must include `subscriptions`.

    A channel that is missing or null has never been subscribed. `consent` is empty if the attributes can't be read.
    """
    try:
        subscriptions = attributes["subscriptions"]
        marketing = (subscriptions.get(channel) or {}).get("marketing")
        marker = parsed_marker((attributes.get("properties") or {}).get(marker_property(channel)))
        if marketing is None:
            return KlaviyoConsent(NEVER_SUBSCRIBED, marker=marker)
        suppressed: dict[str, datetime | None] = {}
        for suppression in (*(marketing.get("suppression") or ()), *(marketing.get("list_suppressions") or ())):
            _add_suppression(suppressed, str(suppression.get("reason")), parsed_time(suppression.get("timestamp")))
        return KlaviyoConsent(
            str(marketing["consent"]),
            parsed_time(marketing.get("consent_timestamp")),
            suppressed,
            next((str(marketing[name]) for name in _SOURCES[channel] if marketing.get(name)), ""),
            marker,
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return KlaviyoConsent("")


def _add_suppression(suppressed: dict[str, datetime | None], reason: str, at: datetime | None) -> None:
    """Keep the latest time of each reason. None wins over any time, because no yes is later than an unknown time."""
    known = suppressed.get(reason, at)
    suppressed[reason] = max(known, at) if known and at else None


def parsed_marker(text: object) -> Marker | None:
    """Marker from a property's value; None if the value is not a marker."""
    word, _, time = text.partition("@") if isinstance(text, str) else ("", "", "")
    at = parsed_time(time)
    match word:
        case "yes" | "no" | "order" if at:
            return Marker(word, at)
    return None
