"""The last answer wins: after a no, this package neither subscribes a person nor leaves them subscribed.

In random histories, a person ticks and unticks a field in the shop, uses Klaviyo's forms and links, complains, confirms
and orders. Messages arrive late, twice and in any order, and Klaviyo processes its jobs at any time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

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
Step = Literal["tick", "untick", "edit", "link", "form", "complain", "order", "confirm", "jobs"]
STEPS = get_args(Step)


@dataclass
class World:
    """A person, the shop and Klaviyo. `answers` holds what the person said, in the shop or in Klaviyo, oldest first."""

    rules: ConsentRules
    double_optin: bool
    minutes: int = 0
    value: bool | None = None
    modified: datetime = BEGAN
    answers: list[str] = field(default_factory=list)
    messages: list[Callable[[], object]] = field(default_factory=list)
    marketing: dict[str, Any] = field(default_factory=lambda: {"consent": "NEVER_SUBSCRIBED", "suppression": []})
    marker: Marker | None = None
    jobs: list[str] = field(default_factory=list)
    mails: list[datetime] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """The current time; each step takes a minute."""
        return BEGAN + timedelta(minutes=self.minutes)

    def do(self, step: Step) -> None:
        """Do a step of the history."""
        self.minutes += 1
        if step in ("link", "form", "complain", "confirm"):
            self.run_jobs()  # a person acts after Klaviyo's jobs have finished
        {
            "tick": lambda: self._set_field(value=True),
            "untick": lambda: self._set_field(value=False),
            "edit": self._edit,
            "link": lambda: self._say_no("UNSUBSCRIBE"),
            "complain": lambda: self._say_no("SPAM_COMPLAINT"),
            "form": lambda: self._set_subscribed(source=None),
            "confirm": self._confirm,
            "order": self._order,
            "jobs": self.run_jobs,
        }[step]()

    def deliver(self, number: int) -> None:
        """Deliver one of the messages sent so far, perhaps not for the first time."""
        self.minutes += 1
        if self.messages:
            self.messages[number % len(self.messages)]()

    def run_jobs(self) -> None:
        """Let Klaviyo process the jobs that it accepted, in order."""
        for job in self.jobs:
            if job == "unsubscribe":
                self.marketing |= {"consent": "UNSUBSCRIBED", "consent_timestamp": self.now.isoformat()}
            elif self.double_optin:
                self.mails.append(self.now)
            else:
                self._set_subscribed(source=self.rules.source, is_answer=False)
        self.jobs.clear()

    def _customer(self) -> Any:
        fields = {} if self.value is None else {"newsletter": self.value}
        return {"id": "c", "lastModifiedAt": self.modified.isoformat(), "custom": {"fields": fields}}

    def _set_field(self, *, value: bool) -> None:
        before, at = self.value, self.now
        if before is value:
            return
        self.value = value
        if value or before:  # a first `false` is only a default
            self.answers.append("yes" if value else "no")
        payload = {"name": "newsletter", "value": value, **({} if before is None else {"previousValue": before})}
        self.messages.append(lambda: self._handle_field_message(payload, at))
        self._edit()

    def _edit(self) -> None:
        self.modified = self.now
        self.messages.append(lambda: self._decide(shop_answer(self._customer(), PLACE, self.rules)))

    def _handle_field_message(self, payload: Any, at: datetime) -> None:
        answer = answer_from_field_message(payload, PLACE, at, self.rules)
        assert answer is not None
        if still_holds(answer, self._customer(), PLACE):
            self._decide(shop_answer(self._customer(), PLACE, self.rules, answer))

    def _order(self) -> None:
        at, order = self.now, {"custom": {"fields": {"newsletter": True}}}
        self.answers.append("yes")

        def message() -> None:
            if is_ticked(order, self.rules) and not may_have_declined_since(self._customer(), at, self.rules):  # type: ignore[arg-type]
                self._decide(ShopAnswer(True, at, is_from_order=True))

        self.messages.append(message)

    def _say_no(self, reason: str) -> None:
        self.answers.append("no")
        time = self.now.isoformat()
        suppression = [*self.marketing["suppression"], {"reason": reason, "timestamp": time}]
        self.marketing = {"consent": "UNSUBSCRIBED", "consent_timestamp": time, "suppression": suppression}

    def _confirm(self) -> None:
        if self.mails and self.marketing["consent"] != "SUBSCRIBED":
            self._set_subscribed(source=self.rules.source)

    def _set_subscribed(self, *, source: str | None, is_answer: bool = True) -> None:
        self.answers += ["yes"] if is_answer else []
        kept = [one for one in self.marketing["suppression"] if one["reason"] == "SPAM_COMPLAINT" and not is_answer]
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
            assert self.answers, "the person has given no answer"
            assert self.answers[-1] == "yes", f"subscribed after {self.answers}: {decision.reason}"
            reasons = {one["reason"] for one in self.marketing["suppression"]}
            assert "SPAM_COMPLAINT" not in reasons, "a complaint would be lifted"
        else:
            assert "no" in self.answers, f"unsubscribed after {self.answers}: {decision.reason}"
        self.jobs.append(decision.action)
        self.marker = decision.marker
        return decision


steps = st.lists(st.one_of(st.sampled_from(STEPS), st.integers(0, 30)), max_size=40)


def _world_after(conflict: Any, history: list[Any], *, double_optin: bool) -> World:
    rules = ConsentRules(email=PLACE, orders="custom.newsletter", conflict=conflict)
    world = World(rules, double_optin)
    for step in history:
        if isinstance(step, int):
            world.deliver(step)
        else:
            world.do(step)
    return world


def _settle(world: World) -> None:
    """Deliver every message once more, then let Klaviyo process its jobs."""
    for number in range(len(world.messages)):
        world.deliver(number)
    world.run_jobs()


@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
@given(history=steps, double_optin=st.booleans())
@example(history=["order", 0, "tick", "untick", "jobs", 1, 2, 3], double_optin=False)
@example(history=["tick", 0, "untick", 2, "jobs"], double_optin=False)
@example(history=["order", "tick", "untick", 0], double_optin=False)
def test_a_last_no_wins(conflict: str, history: list[Any], double_optin: bool) -> None:  # noqa: FBT001
    """No decision subscribes a person after their last no. Once all is delivered, they are not subscribed."""
    world = _world_after(conflict, history, double_optin=double_optin)
    _settle(world)
    if world.answers and world.answers[-1] == "no":
        assert world.marketing["consent"] != "SUBSCRIBED", world.answers


@given(history=steps)
def test_double_opt_in_sends_one_mail_and_one_more_per_no(history: list[Any]) -> None:
    """At most that many: the same yes never causes a second mail."""
    world = _world_after("newest", history, double_optin=True)
    _settle(world)
    assert len(world.mails) <= 1 + world.answers.count("no")


@given(history=st.lists(st.one_of(st.sampled_from(("edit", "form", "jobs")), st.integers(0, 30)), max_size=30))
@pytest.mark.parametrize("conflict", ["newest", "klaviyo"])
def test_a_default_false_does_not_unsubscribe(conflict: str, history: list[Any]) -> None:
    """If the field was only ever false, no job is sent, and a person who subscribes by a form stays subscribed."""
    world = _world_after(conflict, ["untick", *history], double_optin=False)
    _settle(world)
    if "yes" in world.answers:
        assert world.marketing["consent"] == "SUBSCRIBED"
    assert world.marker is None, "a job was sent"
