"""Whatever people do, and however their messages arrive, Klaviyo ends with the people that the shop has."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from commands.processes import Sandbox, running_function
from sandbox.samples import ENVIRONMENT
from tests.functional.random_people import RandomPeople
from tests.functional.redelivery import Subscription

report = print
"""Printed with a failure, so that the run can be repeated."""

CHANGES = 150
AT_A_TIME = 16
SECONDS = 60
SEEDS = int(os.environ.get("PEOPLE_SEEDS") or 2)
_SLOW: dict[str, Any] = {"delay": 0.15, "rate": 0.2}
"""A fifth of the calls is answered late, so that what was read is stale by then."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(SEEDS))
def test_profiles_and_events_match_the_shop(sandbox: Sandbox, settings_file: Callable[[str], str], number: int) -> None:
    """Two instances get messages twice, late and in any order, while people register, change and are deleted.

    PEOPLE_SEED repeats a run's changes; PEOPLE_SEEDS sets the number of runs.
    """
    seed = int(os.environ.get("PEOPLE_SEED") or random.randrange(2**32)) + number
    report(f"PEOPLE_SEED={seed}")
    rng = random.Random(seed)
    for backend in (sandbox.commercetools, sandbox.klaviyo):
        backend.seed(seed)
        backend.fail(r"^/(shop|api)/", **_SLOW)
    people = RandomPeople(rng, sandbox.commercetools)
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": settings_file("[limits]\nbackoff = 0.02\n")}
    with ExitStack() as stack:
        functions = [stack.enter_context(running_function(environment, threads=AT_A_TIME // 2)) for _ in range(2)]
        subscription = Subscription([function.url for function in functions], random.Random(rng.random()))
        with subscription.pushing(AT_A_TIME):
            _publish(people.open(12), subscription, rng)
            for _ in range(CHANGES):
                subscription.wait_for_room(AT_A_TIME, soon=0.4)
                _publish(people.change(), subscription, rng)
            drained = subscription.drained(SECONDS)
    lines = [line for function in functions for line in function.lines]
    report(Counter((line["outcome"], line.get("reason")) for line in lines if "outcome" in line))
    assert drained, "messages are still not acknowledged"
    state = sandbox.klaviyo.state()
    problems = [*_profile_problems(people, state), *_event_problems(people, state)]
    assert not problems, "\n".join([f"{len(problems)} differences", *problems[:40]])


def _publish(deliveries: list[dict[str, Any]], subscription: Subscription, rng: random.Random) -> None:
    for delivery in deliveries:
        for _ in range(1 + (rng.random() < 0.3)):
            subscription.publish(delivery, rng.uniform(0.5, 3) if rng.random() < 0.2 else 0.4 * rng.random() ** 2)


def _profile_problems(people: RandomPeople, state: dict[str, Any]) -> Iterator[str]:
    """Customers with no, several or wrong profiles, and profiles of people who were erased."""
    profiles = Counter(profile["external_id"] for profile in state["profiles"] if profile.get("external_id"))
    yield from (f"{customer_id} has {count} profiles" for customer_id, count in profiles.items() if count > 1)
    yield from (
        f"{customer_id} was erased but has a profile" for customer_id in sorted(people.erased & profiles.keys())
    )
    by_id = {profile.get("external_id"): profile for profile in state["profiles"]}
    guests = {owner for owner in people.owners.values() if "@" in owner}
    for customer_id, customer in people.customers.items():
        found = by_id.get(customer_id, {})
        for name, field in (("email", "email"), ("first_name", "firstName")):
            if found.get(name) != customer[field]:
                yield f"{customer_id}: {name} is {found.get(name)!r}, not {customer[field]!r}"
    for erased in people.erased:
        yield from (
            f"{erased} was erased but {profile['email']} has a profile"
            for profile in state["profiles"]
            if profile.get("email") in people.emails[erased] - guests
        )


def _event_problems(people: RandomPeople, state: dict[str, Any]) -> Iterator[str]:
    """Missing and duplicate events, and those on another person's profile. Deleted people's events may be missing."""
    owners = {profile["id"]: profile for profile in state["profiles"]}
    counts = Counter((event["metric"], event["unique_id"]) for event in state["events"])
    yield from (f"{key} was sent {count} times" for key, count in counts.items() if count > 1)
    registered = {
        email: customer_id for customer_id, emails in people.emails.items() for email in emails
    }  # an e-mail never changes hands
    for event in state["events"]:
        key = (event["metric"], event["unique_id"])
        profile = owners[event["profile_id"]]
        owner = people.owners[key]
        allowed = {owner, registered.get(owner)}
        if not {profile.get("external_id"), (profile.get("email") or "").lower()} & allowed:
            yield f"{key} belongs to {profile.get('external_id')}, not to {owner}"
    may_be_missing = people.deleted | {email for customer_id in people.deleted for email in people.emails[customer_id]}
    yield from (
        f"{key} is missing" for key in people.owners.keys() - counts.keys() if people.owners[key] not in may_be_missing
    )
