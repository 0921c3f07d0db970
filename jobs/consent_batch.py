"""Consent of bulk-imported customers: 100 profiles are looked up per call, and 1,000 subscribed per call."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clients.predicates import chunks
from core.errors import DeadLetter
from core.logs import log
from core.rules_consent import Channel
from handlers.consent import Person
from handlers.services import Services
from mappers.consent import ShopAnswer, decide, klaviyo_consent
from mappers.consent_answer import shop_answer
from mappers.consent_bodies import MAX_SUBSCRIBERS, Subscriber
from mappers.documents import Customer
from mappers.mapped import JsonObject

WithRetries = Callable[[Callable[[], Any]], Any]
"""Makes a call, retries it, and returns its result. Raises DeadLetter if the call is refused."""


@dataclass(frozen=True, slots=True)
class _OptIn:
    """A customer who opted in: the answer with its time, and the address, by channel."""

    answers: Mapping[Channel, ShopAnswer]
    addresses: Mapping[Channel, str]


class ConsentBatch:
    """The customers of a batch whose consent field says yes, with a time. It unsubscribes nobody."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rules = services.settings.sync.consent
        self._opt_ins: dict[str, _OptIn] = {}

    def add(self, customer: Customer, attributes: JsonObject) -> None:
        """Record a customer's answers; `attributes` are the profile's."""
        answers = {
            channel: answer
            for channel, place in self._rules.places.items()
            if (answer := shop_answer(customer, place, self._rules)).answer and answer.at
        }
        addresses: dict[Channel, str] = {"email": attributes["email"]}
        if phone := attributes.get("phone_number"):
            addresses["sms"] = phone
        if answers:
            self._opt_ins[customer["id"]] = _OptIn(answers, addresses)

    def subscribe(self, with_retries: WithRetries, ids: Sequence[str]) -> list[str]:
        """Subscribe those of the customers who opted in. Returns the ids that Klaviyo does not list yet, or refuses."""
        opted_in = [own_id for own_id in ids if own_id in self._opt_ins]
        listed: set[str] = set()
        due: list[tuple[str, Subscriber]] = []
        for chunk in chunks(opted_in):
            profiles = with_retries(partial(self._services.klaviyo.lists.profiles, chunk, with_consent=True))
            for profile in profiles:
                own_id = profile["attributes"]["external_id"]
                listed.add(own_id)
                if subscriber := self._subscriber(own_id, profile):
                    due.append((own_id, subscriber))
        remaining = [own_id for own_id in opted_in if own_id not in listed]
        for begin in range(0, len(due), MAX_SUBSCRIBERS):
            part = due[begin : begin + MAX_SUBSCRIBERS]
            try:
                call = partial(self._services.klaviyo.consent.subscribe_all, [subscriber for _, subscriber in part])
                with_retries(call)
            except DeadLetter as refused:  # most likely because of one of them: the live handler finds out which
                log.warning("bulk subscribe refused", status=refused.status, code=refused.code)
                remaining += [own_id for own_id, _ in part]
        return remaining

    def _subscriber(self, own_id: str, profile: JsonObject) -> Subscriber | None:
        opt_in, now = self._opt_ins[own_id], datetime.now(UTC)
        person = Person(str(profile["id"]), profile["attributes"], opt_in.addresses)
        channels = dict(self._to_subscribe(opt_in, person, now))
        if not channels:
            return None
        return Subscriber(person.id, channels, {channel: opt_in.answers[channel].at for channel in channels})

    def _to_subscribe(self, opt_in: _OptIn, person: Person, now: datetime) -> Iterator[tuple[Channel, str]]:
        for channel, answer in opt_in.answers.items():
            decision = decide(answer, klaviyo_consent(person.attributes, channel), self._rules, now)
            if decision.action == "subscribe" and (address := person.address(channel)):
                yield channel, address
