"""deploy.sh's Pub/Sub commands, run by the real gcloud against the Pub/Sub emulator."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.emulator import Emulator, EmulatorError, running_emulator
from tests.deploy.deployment import (
    EVENTARC_SUBSCRIPTION,
    PROJECT_AND_REGION,
    SETTINGS,
    Cloud,
    forwarding_pubsub,
    pubsub_names,
)

pytestmark = [pytest.mark.xdist_group("emulator"), pytest.mark.timeout(600)]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The Pub/Sub emulator. Without one, skips the test, or fails it if REQUIRE_EMULATOR is set."""
    try:
        with running_emulator() as emulator:
            yield emulator
    except EmulatorError as error:
        if os.environ.get("REQUIRE_EMULATOR"):
            pytest.fail(f"REQUIRE_EMULATOR is set, but {error}")
        pytest.skip(f"no Pub/Sub emulator: {error}")


def _subscription(emulator: Emulator, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"http://{emulator.host}/v1/{name}", timeout=30).json()
    return answer


def test_pubsub_commands_have_the_intended_effect(emulator: Emulator, tmp_path: Path) -> None:
    """Topics and subscriptions are right after a first and a second run, and deleted after --delete."""
    cloud = Cloud(tmp_path)
    topics = {f"projects/my-project/topics/{name}" for name in ("klaviyo-sync", "klaviyo-sync-dead-letters")}
    dead_letters = "projects/my-project/subscriptions/klaviyo-sync-dead-letters"
    with forwarding_pubsub(emulator) as forwarding:
        for _ in ("first", "second"):
            run = cloud.run(settings={**SETTINGS, **forwarding})
            assert run.status == 0, run.err
            assert pubsub_names(emulator, "topics") == topics
            assert pubsub_names(emulator, "subscriptions") == {EVENTARC_SUBSCRIPTION, dead_letters}
        subscription = _subscription(emulator, EVENTARC_SUBSCRIPTION)
        dead_letter_subscription = _subscription(emulator, dead_letters)
        run = cloud.run("--delete", "--yes", settings={**PROJECT_AND_REGION, **forwarding})
        assert run.status == 0, run.err
    assert (subscription["ackDeadlineSeconds"], subscription["messageRetentionDuration"]) == (600, "604800s")
    assert subscription["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
    assert subscription["deadLetterPolicy"] == {
        "deadLetterTopic": "projects/my-project/topics/klaviyo-sync-dead-letters",
        "maxDeliveryAttempts": 100,
    }
    assert subscription["pushConfig"]["pushEndpoint"]
    assert dead_letter_subscription["topic"] == "projects/my-project/topics/klaviyo-sync-dead-letters"
    # The stand-in for gcloud shortens 31 days to the emulator's maximum.
    assert dead_letter_subscription["messageRetentionDuration"] == "604800s"
    assert pubsub_names(emulator, "topics") == set()
    assert dead_letters not in pubsub_names(emulator, "subscriptions")
