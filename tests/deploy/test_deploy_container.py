"""deploy.sh --container: a Cloud Run service and a push subscription in the function's place."""

import re
import shutil
from pathlib import Path

from commands.processes import ROOT
from tests.deploy.deployment import ACCOUNTS, AGENT, EVENTARC, HIDDEN, RESOURCES, Cloud, Run, printed, rights, shown

CONTAINER = [
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


def test_container_from_nothing(cloud: Cloud, first: tuple[Cloud, Run]) -> None:
    """One command makes the container and all that it needs, of which most is what a function needs."""
    run = cloud.run("--container")
    assert "\nexport SYNC_SERVICE=klaviyo-sync-container\n" in run.out
    assert (run.status, run.err) == (0, "")
    commands = iter(run.commands)
    for expected in CONTAINER:
        assert any(expected in command for command in commands), f"{expected}: missing, or too late"
    made = {name for name in cloud.resources() if name.partition("/")[0] not in ("api", "version", "feeds")}
    assert made == RESOURCES - {"functions/klaviyo-sync"} | {
        "run-services/klaviyo-sync-container",
        "pubsub-subscriptions/klaviyo-sync-push",
    }
    function_only = {("functions klaviyo-sync", ACCOUNTS["trigger"], "roles/run.invoker")}
    function_only.add((f"pubsub subscriptions {EVENTARC}", AGENT, "roles/pubsub.subscriber"))
    assert rights(run) == rights(first[1]) - function_only | {
        ("run services klaviyo-sync-container", ACCOUNTS["trigger"], "roles/run.invoker"),
        ("pubsub subscriptions klaviyo-sync-push", AGENT, "roles/pubsub.subscriber"),
    }
    for secret in HIDDEN:
        assert secret not in shown(run)
    assert cloud.left_behind() == {}


def test_container_flags(cloud: Cloud, first: tuple[Cloud, Run]) -> None:
    """The container has the function's settings and size; its subscription has the function's queue, and a token."""
    run = cloud.run("--container")
    call, function = run.one("run deploy"), first[1].one("functions deploy")
    assert call.env_vars == function.env_vars
    assert call.env_vars_mode == "0o600"
    flags = {name: value for name, value in call.flags.items() if name != "env-vars-file"}
    assert flags.pop("ingress") == "internal"
    assert Path(flags["source"]) == ROOT
    only_of_functions = {"gen2", "runtime", "entry-point", "trigger-topic", "retry", "trigger-service-account"}
    only_of_functions |= {"ingress-settings", "env-vars-file"}
    assert flags == {name: value for name, value in function.flags.items() if name not in only_of_functions}
    url = "https://klaviyo-sync-container-123456-europe-west1.a.run.app"
    assert run.one("pubsub subscriptions create klaviyo-sync-push").flags == {
        **first[1].one("pubsub subscriptions update").flags,
        "topic": "klaviyo-sync",
        "push-endpoint": f"{url}/projects/my-project/topics/klaviyo-sync",
        "push-auth-token-audience": url,
        "push-auth-service-account": ACCOUNTS["trigger"],
    }


def test_container_again(cloud: Cloud) -> None:
    """A second run deploys, brings the subscription up to date, and makes nothing."""
    cloud.run("--container")
    there = cloud.resources()
    again = cloud.run("--container")
    assert (again.status, again.err) == (0, "")
    assert cloud.resources() == there
    assert [command for command in again.commands if re.search(r"\b(create|enable|delete)\b(?!-)", command)] == []
    assert again.one("run deploy").words == "run deploy klaviyo-sync-container"
    assert again.one("pubsub subscriptions update").flags["push-endpoint"].endswith("/topics/klaviyo-sync")


def test_an_image_is_not_built(cloud: Cloud) -> None:
    """With IMAGE that image is deployed: nothing is uploaded, and nobody may build."""
    run = cloud.run(IMAGE=IMAGE)
    assert run.status == 0, run.err
    flags = run.one("run deploy klaviyo-sync-container").flags
    assert flags["image"] == IMAGE
    assert not {"source", "build-service-account"} & set(flags)
    assert "iam-service-accounts/klaviyo-sync-build" not in cloud.resources()
    refused = cloud.run("--dry-run", "--image", "klaviyo-sync:1")
    assert (refused.status, refused.out) == (2, "")
    assert "IMAGE (must be the whole name of an image)" in refused.err


def test_container_beside_a_function(deployed: Cloud) -> None:
    """While both are there, both feed the sync: whoever goes from one to the other is warned."""
    run = deployed.run("--container")
    assert run.status == 0
    assert EVENTARC in run.err
    assert "projects/my-project/subscriptions/klaviyo-sync-push" in deployed.run().err


def test_container_can_be_looked_at_first(cloud: Cloud) -> None:
    """--dry-run prints every command of a first run, and what it prints can be run."""
    dry = cloud.run("--container", "--dry-run", PATH="/usr/bin:/bin")
    assert (dry.status, dry.err, dry.calls) == (0, "", [])
    script = cloud.folder / "pasted.sh"
    script.write_text(dry.out, encoding="utf-8")
    pasted = cloud.paste(script)
    (cloud.work / "env.yaml").unlink()
    shutil.rmtree(cloud.folder / "state" / "there")
    run = cloud.run("--container")
    for calls in (printed(dry), [list(call.arguments) for call in pasted.calls]):
        assert [[word for word in command if "env-vars-file" not in word] for command in calls] == [
            [word for word in call.arguments if "env-vars-file" not in word] for call in run.calls
        ]


def test_a_container_that_can_not_be_built_is_not_fed(cloud: Cloud) -> None:
    """The run ends where the build fails, and says so: no subscription pushes to nothing."""
    cloud.refuse("run deploy", "Build failed; check build logs for details")
    run = cloud.run("--container")
    assert run.status == 1
    assert "deploy.sh: failed: gcloud run deploy klaviyo-sync-container" in run.err
    assert run.commands[-1] == "run deploy klaviyo-sync-container"
