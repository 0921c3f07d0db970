"""The decision about consent for every combination of inputs, compared with the rules of docs/consent.md."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.rules_consent import CHANNELS, Channel, ConsentRules
from mappers.consent import Decision, KlaviyoConsent, Marker, Reason, ShopAnswer, decide, klaviyo_consent, parsed_marker

HOUR = timedelta(hours=1)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RECORDED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The time of the consent in Klaviyo."""
TIMES = {
    "no time": None,
    "before": RECORDED_AT - timedelta(days=1),
    "same time": RECORDED_AT,
    "after": RECORDED_AT + timedelta(days=1),
    "in the future": NOW + timedelta(days=1),
}
CONSENTS = ("SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED")
SUPPRESSIONS = (None, "UNSUBSCRIBE", "USER_SUPPRESSED", "SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL", "NEW_REASON")
CONFLICTS = ("newest", "klaviyo", "commercetools")
SOURCES = ("commercetools", "Footer form", None)


def profile_with(
    channel: Channel, consent: str, *, suppression: str | None = None, source: str | None = None, **more: Any
) -> Any:
    """Attributes of a profile, as in Klaviyo's answers."""
    has_time = consent != "NEVER_SUBSCRIBED"
    marketing = {
        "consent": consent,
        "consent_timestamp": RECORDED_AT.isoformat() if has_time else None,
        "custom_method_detail": source,
        "suppression": [{"reason": suppression, "timestamp": RECORDED_AT.isoformat()}] if suppression else [],
        **more,
    }
    return {"subscriptions": {channel: {"marketing": marketing}}, "properties": {}}


def expected(  # noqa: PLR0911, C901 - the rules one by one, in the order of the docs
    *, answer: bool | None, consent: str, suppression: str | None, conflict: str, time: str, source: str | None,
    confirmed: bool,
) -> str:  # fmt: skip
    """The action that docs/consent.md prescribes, written case by case without the code under test."""
    has_time = time in ("before", "same time", "after")
    is_later = time == "after"
    if answer is None:
        return "nothing"
    if answer is False:
        if consent in ("UNSUBSCRIBED", "NEVER_SUBSCRIBED"):
            return "nothing"
        if conflict == "commercetools":
            return "unsubscribe"
        if is_later:
            return "unsubscribe"
        if source == "commercetools":
            return "unsubscribe"
        return "nothing"
    if consent == "SUBSCRIBED":
        return "nothing"
    if suppression in ("SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL", "NEW_REASON"):
        return "nothing"
    if confirmed and not has_time:
        return "nothing"
    said_no = consent == "UNSUBSCRIBED" or suppression in ("UNSUBSCRIBE", "USER_SUPPRESSED")
    if not said_no:
        return "subscribe"
    if conflict == "commercetools":
        return "subscribe"
    if conflict == "klaviyo":
        return "nothing"
    return "subscribe" if is_later else "nothing"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("consent", CONSENTS)
@pytest.mark.parametrize("answer", [True, False, None], ids=["yes", "no", "nothing"])
def test_every_case_follows_the_rules(
    *, answer: bool | None, consent: str, conflict: Any, time: str, channel: Channel
) -> None:
    """The decision is the expected one for each suppression and source, with and without `confirmed`."""
    for suppression, source, confirmed in itertools.product(SUPPRESSIONS, SOURCES, (False, True)):
        rules = ConsentRules(conflict=conflict, confirmed=confirmed)
        attributes = profile_with(channel, consent, suppression=suppression, source=source)
        decision = decide(ShopAnswer(answer, TIMES[time]), klaviyo_consent(attributes, channel), rules, NOW)
        wanted = expected(
            answer=answer, consent=consent, suppression=suppression, conflict=conflict, time=time, source=source,
            confirmed=confirmed,
        )  # fmt: skip
        assert decision.action == wanted, (suppression, source, confirmed, decision.reason)
        assert (decision.marker is not None) is (wanted != "nothing")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("reason", ["SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL"])
@pytest.mark.parametrize("consent", CONSENTS)
def test_complaints_and_bounces_are_never_lifted(consent: str, reason: str, conflict: Any, channel: Channel) -> None:
    """Neither a newer yes nor `conflict = "commercetools"` lifts them. Suppressions of a single list count too."""
    for more in (
        {"suppression": [_suppressed(reason)]},
        {"suppression": [], "list_suppressions": [_suppressed(reason)]},
    ):
        attributes = profile_with(channel, consent, **more)  # type: ignore[arg-type]
        for at in (NOW, None):
            decision = decide(
                ShopAnswer(True, at), klaviyo_consent(attributes, channel), ConsentRules(conflict=conflict), NOW
            )
            assert decision.action == "nothing"


def _suppressed(reason: str) -> dict[str, str]:
    return {"reason": reason, "timestamp": RECORDED_AT.isoformat(), "list_id": "LIST"}


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"subscriptions": None},
        {"subscriptions": []},
        {"subscriptions": {"email": "SUBSCRIBED"}},
        {"subscriptions": {"email": {"marketing": {}}}, "properties": []},
        {"subscriptions": {"email": {"marketing": {"can_receive_email_marketing": True}}}},
        {"subscriptions": {"email": {"marketing": {"consent": "PENDING"}}}},
        {"subscriptions": {"email": {"marketing": {"consent": None}}}},
    ],
)
@pytest.mark.parametrize("answer", [True, False])
def test_an_unreadable_consent_changes_nothing(*, answer: bool, attributes: Any) -> None:
    """Klaviyo's answer may lack consent, have another shape, or hold an unknown value."""
    for conflict in CONFLICTS:
        rules = ConsentRules(conflict=conflict)  # type: ignore[arg-type]
        assert decide(ShopAnswer(answer, NOW), klaviyo_consent(attributes, "email"), rules, NOW) == Decision(
            "nothing", Reason.UNKNOWN
        )


@pytest.mark.parametrize("channel", [{}, {"email": None}, {"email": {"marketing": None}}])
def test_a_missing_channel_was_never_subscribed(channel: Any) -> None:
    """Klaviyo may leave out a channel of which it knows nothing."""
    assert klaviyo_consent({"subscriptions": channel}, "email") == KlaviyoConsent("NEVER_SUBSCRIBED")


def test_consent_without_a_time_is_never_overridden() -> None:
    """If its time is missing or unreadable, it is unknown which answer is the latest."""
    for timestamp in (None, "yesterday"):
        attributes = profile_with("email", "UNSUBSCRIBED", consent_timestamp=timestamp)
        decision = decide(ShopAnswer(True, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW)
        assert decision == Decision("nothing", Reason.KLAVIYO_NO_IS_NEWER)
        attributes = profile_with("email", "SUBSCRIBED", consent_timestamp=timestamp)
        assert (
            decide(ShopAnswer(False, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action
            == "nothing"
        )


@pytest.mark.parametrize(
    ("other", "action"),
    [
        ((RECORDED_AT + timedelta(hours=2)).isoformat(), "nothing"),
        (None, "nothing"),
        (RECORDED_AT.isoformat(), "subscribe"),
    ],
)
def test_a_yes_must_be_newer_than_every_no(other: str | None, action: str) -> None:
    """A yes changes nothing if any no is newer, or has no time."""
    suppression = [{"reason": "USER_SUPPRESSED", "timestamp": other}]
    attributes = profile_with("email", "UNSUBSCRIBED")
    attributes["subscriptions"]["email"]["marketing"]["suppression"] = suppression
    wanted = ShopAnswer(True, RECORDED_AT + timedelta(hours=1))
    assert decide(wanted, klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == action


def test_a_complaint_is_final_while_our_unsubscribe_is_pending() -> None:
    """The customer says yes again after our unsubscribe, but has complained in the meantime."""
    attributes = profile_with("email", "SUBSCRIBED", suppression="SPAM_COMPLAINT", source="commercetools")
    attributes["properties"] = {"ct_consent_email": f"no@{(RECORDED_AT + HOUR).isoformat()}"}
    assert decide(ShopAnswer(True, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == "nothing"


def test_a_list_named_like_our_source_is_not_ours() -> None:
    """For e-mail, `method_detail` may be the name of an imported list, so it is not read as our source."""
    attributes = profile_with("email", "SUBSCRIBED", source=None, method_detail="commercetools")
    assert decide(ShopAnswer(False), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == "nothing"


def test_an_empty_source_matches_nothing() -> None:
    """If `source` is empty, no consent counts as ours, not even one with an empty source in Klaviyo."""
    attributes = profile_with("email", "SUBSCRIBED", source="")
    assert (
        decide(ShopAnswer(False), klaviyo_consent(attributes, "email"), ConsentRules(source=""), NOW).action
        == "nothing"
    )


@pytest.mark.parametrize(
    ("marker", "consent", "wanted", "action", "reason"),
    [
        (f"yes@{RECORDED_AT.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True), "nothing", Reason.ASKED),
        (f"yes@{RECORDED_AT.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        (f"order@{RECORDED_AT.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        ("yes@sometime", "NEVER_SUBSCRIBED", ShopAnswer(True), "subscribe", Reason.NEW_YES),
        ("maybe@2026-03-01T12:00:00Z", "NEVER_SUBSCRIBED", ShopAnswer(True), "subscribe", Reason.NEW_YES),
        (
            f"yes@{(RECORDED_AT - HOUR).isoformat()}",
            "UNSUBSCRIBED",
            ShopAnswer(True, NOW),
            "subscribe",
            Reason.SHOP_YES_IS_NEWER,
        ),
        (f"yes@{(RECORDED_AT + HOUR).isoformat()}", "UNSUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        # A no of the shop after we subscribed takes the subscription back. An older no does not.
        (f"yes@{RECORDED_AT.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(False), "unsubscribe", Reason.WITHDRAWN),
        (
            f"yes@{RECORDED_AT.isoformat()}",
            "NEVER_SUBSCRIBED",
            ShopAnswer(False, RECORDED_AT + HOUR),
            "unsubscribe",
            Reason.WITHDRAWN,
        ),
        (
            f"yes@{RECORDED_AT.isoformat()}",
            "NEVER_SUBSCRIBED",
            ShopAnswer(False, RECORDED_AT - HOUR),
            "nothing",
            Reason.AGREES,
        ),
        # The field of a customer who ticked the box at checkout may have been false all along.
        (f"order@{RECORDED_AT.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(False), "nothing", Reason.AGREES),
        (
            f"order@{RECORDED_AT.isoformat()}",
            "NEVER_SUBSCRIBED",
            ShopAnswer(False, RECORDED_AT + HOUR),
            "unsubscribe",
            Reason.WITHDRAWN,
        ),
        (f"order@{RECORDED_AT.isoformat()}", "SUBSCRIBED", ShopAnswer(False), "nothing", Reason.NOT_OURS),
        (
            f"order@{RECORDED_AT.isoformat()}",
            "SUBSCRIBED",
            ShopAnswer(False, RECORDED_AT + HOUR),
            "unsubscribe",
            Reason.SHOP_NO_IS_NEWER,
        ),
        # Our unsubscribe is pending, and the customer has said yes again.
        (
            f"no@{(RECORDED_AT + HOUR).isoformat()}",
            "SUBSCRIBED",
            ShopAnswer(True, RECORDED_AT + 2 * HOUR),
            "subscribe",
            Reason.SHOP_YES_IS_NEWER,
        ),
        (
            f"no@{(RECORDED_AT + HOUR).isoformat()}",
            "SUBSCRIBED",
            ShopAnswer(True),
            "subscribe",
            Reason.SHOP_YES_IS_NEWER,
        ),
        (
            f"no@{(RECORDED_AT + HOUR).isoformat()}",
            "SUBSCRIBED",
            ShopAnswer(True, RECORDED_AT),
            "nothing",
            Reason.AGREES,
        ),
        (f"no@{(RECORDED_AT - HOUR).isoformat()}", "SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.AGREES),
    ],
)
def test_the_marker_shows_what_we_did_before(
    marker: str, consent: str, wanted: ShopAnswer, action: str, reason: Reason
) -> None:
    """The consent does not show it: Klaviyo processes jobs later, and double opt-in leaves the consent unchanged."""
    attributes = profile_with("email", consent, source="commercetools")
    attributes["properties"] = {"ct_consent_email": marker}
    decision = decide(wanted, klaviyo_consent(attributes, "email"), ConsentRules(), NOW)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_marker_survives_a_round_trip() -> None:
    """Its time is in UTC, to the microsecond."""
    for word in ("yes", "no", "order"):
        marker = Marker(word, NOW + timedelta(microseconds=7))
        assert parsed_marker(str(marker)) == marker
    assert str(Marker("yes", NOW)) == "yes@2026-06-01T12:00:00+00:00"


def test_a_shop_that_always_wins_subscribes_once_per_no() -> None:
    """With `conflict = "commercetools"`, an old yes beats a no. The marker is newer than the no: no second mail."""
    rules = ConsentRules(conflict="commercetools")
    attributes = profile_with("email", "UNSUBSCRIBED")
    first = decide(ShopAnswer(True, RECORDED_AT - HOUR), klaviyo_consent(attributes, "email"), rules, NOW)
    assert (first.action, first.marker) == ("subscribe", Marker("yes", NOW))
    attributes["properties"] = {"ct_consent_email": str(first.marker)}
    assert (
        decide(ShopAnswer(True, RECORDED_AT - HOUR), klaviyo_consent(attributes, "email"), rules, NOW).reason
        == Reason.ASKED
    )
