"""deploy.sh's Pub/Sub commands, run by the real gcloud against the Pub/Sub emulator."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.emulator import Emulator, EmulatorError, running_emulator
from tests.deploy.deployment import EVENTARC, SETTINGS, WHERE, Cloud, pubsub_names, pubsub_of

pytestmark = [pytest.mark.xdist_group("emulator"), pytest.mark.timeout(600)]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator. Skips the test where there is none, or fails it with REQUIRE_EMULATOR set."""
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


def test_pubsub_commands_do_what_they_say(emulator: Emulator, tmp_path: Path) -> None:
    """Topics and subscriptions are as they should be after a first run and after a second, and gone after --delete."""
    cloud = Cloud(tmp_path)
    topics = {f"projects/my-project/topics/{name}" for name in ("klaviyo-sync", "klaviyo-sync-dead-letters")}
    dead_letters = "projects/my-project/subscriptions/klaviyo-sync-dead-letters"
    with pubsub_of(emulator) as forwarding:
        for _ in ("first", "second"):
            run = cloud.run(settings={**SETTINGS, **forwarding})
            assert run.status == 0, run.err
            assert pubsub_names(emulator, "topics") == topics
            assert pubsub_names(emulator, "subscriptions") == {EVENTARC, dead_letters}
        source = _subscription(emulator, EVENTARC)
        letters = _subscription(emulator, dead_letters)
        run = cloud.run("--delete", "--yes", settings={**WHERE, **forwarding})
        assert run.status == 0, run.err
    assert (source["ackDeadlineSeconds"], source["messageRetentionDuration"]) == (600, "604800s")
    assert source["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
    assert source["deadLetterPolicy"] == {
        "deadLetterTopic": "projects/my-project/topics/klaviyo-sync-dead-letters",
        "maxDeliveryAttempts": 100,
    }
    assert source["pushConfig"]["pushEndpoint"]
    assert letters["topic"] == "projects/my-project/topics/klaviyo-sync-dead-letters"
    assert letters["messageRetentionDuration"] == "604800s"  # the emulator's longest: the stand-in shortens it
    assert pubsub_names(emulator, "topics") == set()
    assert dead_letters not in pubsub_names(emulator, "subscriptions")
