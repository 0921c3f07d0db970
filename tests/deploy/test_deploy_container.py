"""deploy.sh --container: a Cloud Run service and a push subscription instead of the function."""

import re
import shutil
from pathlib import Path

from commands.processes import ROOT
from tests.deploy.deployment import (
    ACCOUNTS,
    EVENTARC_SUBSCRIPTION,
    PUBSUB_AGENT,
    RESOURCES,
    SECRET_PARTS,
    Cloud,
    Run,
    granted_rights,
    printed_commands,
    visible_text,
)

COMMANDS_IN_ORDER = [
    "service-accounts create klaviyo-sync-build",
    "run deploy klaviyo-sync-container",
    "run services add-iam-policy-binding klaviyo-sync-container",
    "run services describe klaviyo-sync-container",
    "pubsub subscriptions describe klaviyo-sync-push",
    "pubsub subscriptions create klaviyo-sync-push",
    "projects describe my-project",
    "pubsub topics add-iam-policy-binding klaviyo-sync-dead-letters",
    "pubsub subscriptions add-iam-policy-binding klaviyo-sync-push",
]
IMAGE = "europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1"


def test_container_from_nothing(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """One command creates the container and all that it needs: what a function needs, but another trigger."""
    run = cloud.run("--container")
    assert "\nexport SYNC_SERVICE=klaviyo-sync-container\n" in run.out
    assert (run.status, run.err) == (0, "")
    commands = iter(run.commands)
    for expected in COMMANDS_IN_ORDER:
        assert any(expected in command for command in commands), f"{expected}: missing, or too late"
    assert cloud.created() == RESOURCES - {"functions/klaviyo-sync"} | {
        "run-services/klaviyo-sync-container",
        "pubsub-subscriptions/klaviyo-sync-push",
    }
    function_only = {("functions klaviyo-sync", ACCOUNTS["trigger"], "roles/run.invoker")}
    function_only.add((f"pubsub subscriptions {EVENTARC_SUBSCRIPTION}", PUBSUB_AGENT, "roles/pubsub.subscriber"))
    assert granted_rights(run) == granted_rights(first_run[1]) - function_only | {
        ("run services klaviyo-sync-container", ACCOUNTS["trigger"], "roles/run.invoker"),
        ("pubsub subscriptions klaviyo-sync-push", PUBSUB_AGENT, "roles/pubsub.subscriber"),
    }
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}


def test_container_flags(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """The container has the function's settings and size, its subscription the function's queue options and a token."""
    run = cloud.run("--container")
    call, function = run.only_call("run deploy"), first_run[1].only_call("functions deploy")
    assert call.env_vars == function.env_vars
    assert call.env_vars_mode == "0o600"
    flags = {name: value for name, value in call.flags.items() if name != "env-vars-file"}
    assert flags.pop("ingress") == "internal"
    assert Path(flags["source"]) == ROOT
    only_of_functions = {"gen2", "runtime", "entry-point", "trigger-topic", "retry", "trigger-service-account"}
    only_of_functions |= {"ingress-settings", "env-vars-file"}
    assert flags == {name: value for name, value in function.flags.items() if name not in only_of_functions}
    url = "https://klaviyo-sync-container-123456-europe-west1.a.run.app"
    assert run.only_call("pubsub subscriptions create klaviyo-sync-push").flags == {
        **first_run[1].only_call("pubsub subscriptions update").flags,
        "topic": "klaviyo-sync",
        "push-endpoint": f"{url}/projects/my-project/topics/klaviyo-sync",
        "push-auth-token-audience": url,
        "push-auth-service-account": ACCOUNTS["trigger"],
    }


def test_container_second_run(cloud: Cloud) -> None:
    """A second run deploys and updates the subscription, and creates nothing."""
    cloud.run("--container")
    before = cloud.resources()
    again = cloud.run("--container")
    assert (again.status, again.err) == (0, "")
    assert cloud.resources() == before
    assert [command for command in again.commands if re.search(r"\b(create|enable|delete)\b(?!-)", command)] == []
    assert again.only_call("run deploy").words == "run deploy klaviyo-sync-container"
    assert again.only_call("pubsub subscriptions update").flags["push-endpoint"].endswith("/topics/klaviyo-sync")


def test_an_image_is_not_built(cloud: Cloud) -> None:
    """With IMAGE that image is deployed: nothing is uploaded, and there is no build account."""
    run = cloud.run(IMAGE=IMAGE)
    assert run.status == 0, run.err
    flags = run.only_call("run deploy klaviyo-sync-container").flags
    assert flags["image"] == IMAGE
    assert not {"source", "build-service-account"} & set(flags)
    assert "iam-service-accounts/klaviyo-sync-build" not in cloud.resources()
    refused = cloud.run("--dry-run", "--image", "klaviyo-sync:1")
    assert (refused.status, refused.out) == (2, "")
    assert "IMAGE (must be the full name of an image)" in refused.err


def test_container_next_to_a_function_causes_a_warning(deployed: Cloud) -> None:
    """As long as both exist, both process every message. Each deployment names the other's subscription."""
    run = deployed.run("--container")
    assert run.status == 0
    assert EVENTARC_SUBSCRIPTION in run.err
    assert "projects/my-project/subscriptions/klaviyo-sync-push" in deployed.run().err


def test_container_has_a_dry_run(cloud: Cloud) -> None:
    """--dry-run prints every command of a first run, and the printed script can be run."""
    dry = cloud.run("--container", "--dry-run", PATH="/usr/bin:/bin")
    assert (dry.status, dry.err, dry.calls) == (0, "", [])
    script = cloud.folder / "pasted.sh"
    script.write_text(dry.out, encoding="utf-8")
    pasted = cloud.run_printed(script)
    (cloud.work / "env.yaml").unlink()
    shutil.rmtree(cloud.folder / "state" / "resources")
    run = cloud.run("--container")
    for calls in (printed_commands(dry), [list(call.arguments) for call in pasted.calls]):
        assert [[word for word in command if "env-vars-file" not in word] for command in calls] == [
            [word for word in call.arguments if "env-vars-file" not in word] for call in run.calls
        ]


def test_a_container_whose_build_fails_gets_no_subscription(cloud: Cloud) -> None:
    """The run ends with an error when the build fails, before it creates a subscription."""
    cloud.fail("run deploy", "Build failed; check build logs for details")
    run = cloud.run("--container")
    assert run.status == 1
    assert "deploy.sh: failed: gcloud run deploy klaviyo-sync-container" in run.err
    assert run.commands[-1] == "run deploy klaviyo-sync-container"
