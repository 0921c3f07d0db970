"""No sequence of messages subscribes somebody whose last word anywhere was no, and none leaves them subscribed.

A person ticks and unticks in the shop, uses forms and links, complains, confirms and orders, while messages about it
are delivered late, twice and in any order, and Klaviyo does its jobs when it gets to them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.rules_consent import ConsentRules
from mappers.consent import Decision, Marker, ShopAnswer, decide, klaviyo_consent
from mappers.consent_answer import (
    answer_from_field_message,
    is_ticked,
    may_have_declined_since,
    shop_answer,
    still_holds,
)

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
PLACE = "custom.newsletter"
STEPS = ("tick", "untick", "edit", "link", "form", "complain", "order", "confirm", "jobs")

Step = Literal["tick", "untick", "edit", "link", "form", "complain", "order", "confirm", "jobs"]
Job = tuple[Literal["subscribe", "unsubscribe"], datetime]


@dataclass
class World:
    """A person, the shop and Klaviyo. `words` are what the person said, wherever, in the order of time."""

    rules: ConsentRules
    double_optin: bool
    minutes: int = 0
    value: bool | None = None
    modified: datetime = BEGAN
    words: list[str] = field(default_factory=list)
    messages: list[Callable[[], object]] = field(default_factory=list)
    marketing: dict[str, Any] = field(default_factory=lambda: {"consent": "NEVER_SUBSCRIBED", "suppression": []})
    marker: Marker | None = None
    jobs: list[str] = field(default_factory=list)
    mails: list[datetime] = field(default_factory=list)
    noes_in_klaviyo: int = 0

    @property
    def now(self) -> datetime:
        """A minute a step."""
        return BEGAN + timedelta(minutes=self.minutes)

    def do(self, step: Step) -> None:
        """What happens next."""
        self.minutes += 1
        if step in ("link", "form", "complain", "confirm"):
            self.run_jobs()  # people are slower than Klaviyo's jobs
        {
            "tick": lambda: self._set(value=True),
            "untick": lambda: self._set(value=False),
            "edit": self._edit,
            "link": lambda: self._says_no("UNSUBSCRIBE"),
            "complain": lambda: self._says_no("SPAM_COMPLAINT"),
            "form": lambda: self._subscribed(source=None),
            "confirm": self._confirm,
            "order": self._order,
            "jobs": self.run_jobs,
        }[step]()

    def deliver(self, number: int) -> None:
        """Deliver any of the messages so far; it may come again."""
        self.minutes += 1
        if self.messages:
            self.messages[number % len(self.messages)]()

    def run_jobs(self) -> None:
        """Klaviyo does what it took, in order."""
        for job in self.jobs:
            if job == "unsubscribe":
                self.marketing |= {"consent": "UNSUBSCRIBED", "consent_timestamp": self.now.isoformat()}
            elif self.double_optin:
                self.mails.append(self.now)
            else:
                self._subscribed(source=self.rules.source, is_word=False)
        self.jobs.clear()

    def _customer(self) -> Any:
        fields = {} if self.value is None else {"newsletter": self.value}
        return {"id": "c", "lastModifiedAt": self.modified.isoformat(), "custom": {"fields": fields}}

    def _set(self, *, value: bool) -> None:
        before, at = self.value, self.now
        if before is value:
            return
        self.value = value
        if value or before:  # a first `false` is a default
            self.words.append("yes" if value else "no")
        payload = {"name": "newsletter", "value": value, **({} if before is None else {"previousValue": before})}
        self.messages.append(lambda: self._told(payload, at))
        self._edit()

    def _edit(self) -> None:
        self.modified = self.now
        self.messages.append(lambda: self._decide(shop_answer(self._customer(), PLACE, self.rules)))

    def _told(self, payload: Any, at: datetime) -> None:
        told = answer_from_field_message(payload, PLACE, at, self.rules)
        assert told is not None
        if still_holds(told, self._customer(), PLACE):
            self._decide(shop_answer(self._customer(), PLACE, self.rules, told))

    def _order(self) -> None:
        at, order = self.now, {"custom": {"fields": {"newsletter": True}}}
        self.words.append("yes")

        def message() -> None:
            if is_ticked(order, self.rules) and not may_have_declined_since(self._customer(), at, self.rules):  # type: ignore[arg-type]
                self._decide(ShopAnswer(True, at, order=True))

        self.messages.append(message)

    def _says_no(self, reason: str) -> None:
        self.words.append("no")
        self.noes_in_klaviyo += 1
        time = self.now.isoformat()
        suppression = [*self.marketing["suppression"], {"reason": reason, "timestamp": time}]
        self.marketing = {"consent": "UNSUBSCRIBED", "consent_timestamp": time, "suppression": suppression}

    def _confirm(self) -> None:
        if self.mails and self.marketing["consent"] != "SUBSCRIBED":
            self._subscribed(source=self.rules.source)

    def _subscribed(self, *, source: str | None, is_word: bool = True) -> None:
        self.words += ["yes"] if is_word else []
        kept = [one for one in self.marketing["suppression"] if one["reason"] == "SPAM_COMPLAINT" and not is_word]
        time = self.now.isoformat()
        self.marketing = {"consent": "SUBSCRIBED", "consent_timestamp": time, "suppression": kept}
        self.marketing["custom_method_detail"] = source

    def _decide(self, want: ShopAnswer) -> Decision:
        properties = {"ct_consent_email": str(self.marker)} if self.marker else {}
        attributes = {"subscriptions": {"email": {"marketing": self.marketing}}, "properties": properties}
        decision = decide(want, klaviyo_consent(attributes, "email"), self.rules, self.now)
        if decision.action == "nothing":
            return decision
        if decision.action == "subscribe":
            assert self.words, "nobody said anything"
            assert self.words[-1] == "yes", f"subscribed after {self.words}: {decision.reason}"
            reasons = {one["reason"] for one in self.marketing["suppression"]}
            assert "SPAM_COMPLAINT" not in reasons, "a complaint would be lifted"
        else:
            assert "no" in self.words, f"unsubscribed after {self.words}: {decision.reason}"
        self.jobs.append(decision.action)
        self.marker = decision.marker
        return decision


steps = st.lists(st.one_of(st.sampled_from(STEPS), st.integers(0, 30)), max_size=40)


def _lived(conflict: Any, history: list[Any], *, double_optin: bool) -> World:
    rules = ConsentRules(email=PLACE, orders="custom.newsletter", conflict=conflict)
    world = World(rules, double_optin)
    for step in history:
        if isinstance(step, int):
            world.deliver(step)
        else:
            world.do(step)
    return world


def _settled(world: World) -> Iterator[None]:
    """Deliver all that is left, until nothing changes any more."""
    for number in range(len(world.messages)):
        world.deliver(number)
        yield
    world.run_jobs()


@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
@given(history=steps, double_optin=st.booleans())
@example(history=["order", 0, "tick", "untick", "jobs", 1, 2, 3], double_optin=False)
@example(history=["tick", 0, "untick", 2, "jobs"], double_optin=False)
@example(history=["order", "tick", "untick", 0], double_optin=False)
def test_nobody_is_subscribed_whose_last_word_was_no(conflict: str, history: list[Any], double_optin: bool) -> None:  # noqa: FBT001
    """Held at every decision; once all is delivered, nobody is subscribed by us whose last word was no."""
    world = _lived(conflict, history, double_optin=double_optin)
    for _ in _settled(world):
        pass
    if world.words and world.words[-1] == "no":
        assert world.marketing["consent"] != "SUBSCRIBED", world.words


@given(history=steps)
def test_one_mail_a_no(history: list[Any]) -> None:
    """With double opt-in one mail is sent, and one more for each no that was followed by a newer yes."""
    world = _lived("newest", history, double_optin=True)
    for _ in _settled(world):
        pass
    assert len(world.mails) <= 1 + world.words.count("no")


@given(history=st.lists(st.one_of(st.sampled_from(("edit", "form", "jobs")), st.integers(0, 30)), max_size=30))
@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
def test_a_field_that_was_never_ticked(conflict: str, history: list[Any]) -> None:
    """Set to false once: whoever uses a form stays subscribed."""
    world = _lived(conflict, ["untick", *history], double_optin=False)
    for _ in _settled(world):
        pass
    if "yes" in world.words:
        assert world.marketing["consent"] == "SUBSCRIBED"
    assert world.jobs == []
