"""Consent: the whole table of wanted, found, conflict, times and channel, against an oracle made from words."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.rules_consent import CHANNELS, Channel, ConsentRules
from mappers.consent import Decision, KlaviyoConsent, Marker, Reason, ShopAnswer, decide, klaviyo_consent, parsed_marker

HOUR = timedelta(hours=1)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When Klaviyo recorded what it has."""
TIMES = {
    "no time": None,
    "before": THEN - timedelta(days=1),
    "at once": THEN,
    "after": THEN + timedelta(days=1),
    "in the future": NOW + timedelta(days=1),
}
CONSENTS = ("SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED")
SUPPRESSIONS = (None, "UNSUBSCRIBE", "USER_SUPPRESSED", "SPAM_COMPLAINT", "HARD_BOUNCE", "INVALID_EMAIL", "NEW_REASON")
CONFLICTS = ("newest", "klaviyo", "commercetools")
SOURCES = ("commercetools", "Footer form", None)


def profile_with(
    channel: Channel, consent: str, *, suppression: str | None = None, source: str | None = None, **more: Any
) -> Any:
    """Attributes of a profile as Klaviyo answers them."""
    has_time = consent != "NEVER_SUBSCRIBED"
    marketing = {
        "consent": consent,
        "consent_timestamp": THEN.isoformat() if has_time else None,
        "custom_method_detail": source,
        "suppression": [{"reason": suppression, "timestamp": THEN.isoformat()}] if suppression else [],
        **more,
    }
    return {"subscriptions": {channel: {"marketing": marketing}}, "properties": {}}


def expected(  # noqa: PLR0911, C901 - the rules, one after the other, as they are told
    *, answer: bool | None, consent: str, suppression: str | None, conflict: str, time: str, source: str | None,
    confirmed: bool,
) -> str:  # fmt: skip
    """The rules as docs/consent.md tells them, case by case, with none of the code under test."""
    has_time = time in ("before", "at once", "after")
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
def test_the_table(*, answer: bool | None, consent: str, conflict: Any, time: str, channel: Channel) -> None:
    """Every case does what the rules say, whatever suppressions and sources there are."""
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
    """Not by the newest yes, nor by a shop that always wins; those of a single list neither."""
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
    return {"reason": reason, "timestamp": THEN.isoformat(), "list_id": "LIST"}


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
def test_what_klaviyo_does_not_say_changes_nothing(*, answer: bool, attributes: Any) -> None:
    """An answer without consent, one of a shape that is not known, and a word that is new."""
    for conflict in CONFLICTS:
        rules = ConsentRules(conflict=conflict)  # type: ignore[arg-type]
        assert decide(ShopAnswer(answer, NOW), klaviyo_consent(attributes, "email"), rules, NOW) == Decision(
            "nothing", Reason.UNKNOWN
        )


@pytest.mark.parametrize("channel", [{}, {"email": None}, {"email": {"marketing": None}}])
def test_a_channel_that_is_left_out_was_never_subscribed(channel: Any) -> None:
    """Klaviyo need not tell of a channel of which it has nothing."""
    assert klaviyo_consent({"subscriptions": channel}, "email") == KlaviyoConsent("NEVER_SUBSCRIBED")


def test_a_no_without_a_time_is_beaten_by_nothing() -> None:
    """With a time missing, or unreadable, nobody can tell which word is the last."""
    for told in (None, "yesterday"):
        attributes = profile_with("email", "UNSUBSCRIBED", consent_timestamp=told)
        decision = decide(ShopAnswer(True, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW)
        assert decision == Decision("nothing", Reason.NO_IS_NEWER)
        attributes = profile_with("email", "SUBSCRIBED", consent_timestamp=told)
        assert (
            decide(ShopAnswer(False, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action
            == "nothing"
        )


@pytest.mark.parametrize(
    ("other", "action"),
    [((THEN + timedelta(hours=2)).isoformat(), "nothing"), (None, "nothing"), (THEN.isoformat(), "subscribe")],
)
def test_the_last_of_several_noes_counts(other: str | None, action: str) -> None:
    """A yes after one of them and before another changes nothing; nor where the time of one is not known."""
    suppression = [{"reason": "USER_SUPPRESSED", "timestamp": other}]
    attributes = profile_with("email", "UNSUBSCRIBED")
    attributes["subscriptions"]["email"]["marketing"]["suppression"] = suppression
    wanted = ShopAnswer(True, THEN + timedelta(hours=1))
    assert decide(wanted, klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == action


def test_a_complaint_stands_while_our_own_no_is_under_way() -> None:
    """The customer thinks better of it, but has complained meanwhile."""
    attributes = profile_with("email", "SUBSCRIBED", suppression="SPAM_COMPLAINT", source="commercetools")
    attributes["properties"] = {"ct_consent_email": f"no@{(THEN + HOUR).isoformat()}"}
    assert decide(ShopAnswer(True, NOW), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == "nothing"


def test_a_list_of_our_name_is_not_our_source() -> None:
    """`method_detail` names a list that somebody imported."""
    attributes = profile_with("email", "SUBSCRIBED", source=None, method_detail="commercetools")
    assert decide(ShopAnswer(False), klaviyo_consent(attributes, "email"), ConsentRules(), NOW).action == "nothing"


def test_an_unnamed_source_is_nobodys() -> None:
    """Without `source` no consent is ours: an empty text in Klaviyo is not taken for it."""
    attributes = profile_with("email", "SUBSCRIBED", source="")
    assert (
        decide(ShopAnswer(False), klaviyo_consent(attributes, "email"), ConsentRules(source=""), NOW).action
        == "nothing"
    )


@pytest.mark.parametrize(
    ("marker", "consent", "wanted", "action", "why"),
    [
        (f"yes@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True), "nothing", Reason.ASKED),
        (f"yes@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        (f"order@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        ("yes@sometime", "NEVER_SUBSCRIBED", ShopAnswer(True), "subscribe", Reason.NEW_YES),
        ("maybe@2026-03-01T12:00:00Z", "NEVER_SUBSCRIBED", ShopAnswer(True), "subscribe", Reason.NEW_YES),
        (f"yes@{(THEN - HOUR).isoformat()}", "UNSUBSCRIBED", ShopAnswer(True, NOW), "subscribe", Reason.NEWER_YES),
        (f"yes@{(THEN + HOUR).isoformat()}", "UNSUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.ASKED),
        # A no of the shop after we asked takes the request back; one that is older does not.
        (f"yes@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(False), "unsubscribe", Reason.WITHDRAWN),
        (
            f"yes@{THEN.isoformat()}",
            "NEVER_SUBSCRIBED",
            ShopAnswer(False, THEN + HOUR),
            "unsubscribe",
            Reason.WITHDRAWN,
        ),
        (f"yes@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(False, THEN - HOUR), "nothing", Reason.AGREES),
        # The field of whoever ticked the box at checkout may always have been false.
        (f"order@{THEN.isoformat()}", "NEVER_SUBSCRIBED", ShopAnswer(False), "nothing", Reason.AGREES),
        (
            f"order@{THEN.isoformat()}",
            "NEVER_SUBSCRIBED",
            ShopAnswer(False, THEN + HOUR),
            "unsubscribe",
            Reason.WITHDRAWN,
        ),
        (f"order@{THEN.isoformat()}", "SUBSCRIBED", ShopAnswer(False), "nothing", Reason.NOT_OURS),
        (f"order@{THEN.isoformat()}", "SUBSCRIBED", ShopAnswer(False, THEN + HOUR), "unsubscribe", Reason.NEWER_NO),
        # Our unsubscribe is under way, and the customer has thought better of it.
        (
            f"no@{(THEN + HOUR).isoformat()}",
            "SUBSCRIBED",
            ShopAnswer(True, THEN + 2 * HOUR),
            "subscribe",
            Reason.NEWER_YES,
        ),
        (f"no@{(THEN + HOUR).isoformat()}", "SUBSCRIBED", ShopAnswer(True), "subscribe", Reason.NEWER_YES),
        (f"no@{(THEN + HOUR).isoformat()}", "SUBSCRIBED", ShopAnswer(True, THEN), "nothing", Reason.AGREES),
        (f"no@{(THEN - HOUR).isoformat()}", "SUBSCRIBED", ShopAnswer(True, NOW), "nothing", Reason.AGREES),
    ],
)
def test_what_we_did_before_counts(marker: str, consent: str, wanted: ShopAnswer, action: str, why: Reason) -> None:
    """Klaviyo does a job some time after it took it, and double opt-in leaves a profile as it was: the marker tells."""
    attributes = profile_with("email", consent, source="commercetools")
    attributes["properties"] = {"ct_consent_email": marker}
    decision = decide(wanted, klaviyo_consent(attributes, "email"), ConsentRules(), NOW)
    assert (decision.action, decision.reason) == (action, why)


def test_a_marker_reads_as_it_was_written() -> None:
    """In UTC, to the microsecond."""
    for word in ("yes", "no", "order"):
        marker = Marker(word, NOW + timedelta(microseconds=7))
        assert parsed_marker(str(marker)) == marker
    assert str(Marker("yes", NOW)) == "yes@2026-06-01T12:00:00+00:00"


def test_a_shop_that_always_wins_asks_once_a_no() -> None:
    """With `conflict = "commercetools"` an old yes beats a no; the marker is later than that no: no second mail."""
    rules = ConsentRules(conflict="commercetools")
    attributes = profile_with("email", "UNSUBSCRIBED")
    first = decide(ShopAnswer(True, THEN - HOUR), klaviyo_consent(attributes, "email"), rules, NOW)
    assert (first.action, first.marker) == ("subscribe", Marker("yes", NOW))
    attributes["properties"] = {"ct_consent_email": str(first.marker)}
    assert (
        decide(ShopAnswer(True, THEN - HOUR), klaviyo_consent(attributes, "email"), rules, NOW).reason == Reason.ASKED
    )
