"""deploy.sh, run with a stand-in for gcloud that records every command."""

import hashlib
import re
import shlex
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.deployment import (
    ACCOUNTS,
    API_CLIENT,
    AUTH_KEY,
    EVENTARC_SUBSCRIPTION,
    PROJECT_AND_REGION,
    PUBSUB_AGENT,
    RESOURCES,
    SECRET_PARTS,
    SETTINGS,
    Call,
    Cloud,
    Run,
    granted_rights,
    lint_problems,
    printed_commands,
    visible_text,
)

COMMERCETOOLS = "subscriptions@commercetools-platform.iam.gserviceaccount.com"

CREATION_ORDER = [
    "services enable artifactregistry.googleapis.com",
    "pubsub topics create klaviyo-sync",
    "pubsub topics create klaviyo-sync-dead-letters",
    "pubsub subscriptions create klaviyo-sync-dead-letters",
    "iam service-accounts create klaviyo-sync-runtime",
    "iam service-accounts create klaviyo-sync-trigger",
    "iam service-accounts create klaviyo-sync-build",
    "secrets create klaviyo-sync-ct-api-client",
    "secrets versions add klaviyo-sync-ct-api-client",
    "secrets create klaviyo-sync-klaviyo-auth-key",
    "secrets versions add klaviyo-sync-klaviyo-auth-key",
    "secrets add-iam-policy-binding klaviyo-sync-ct-api-client",
    "pubsub topics add-iam-policy-binding klaviyo-sync",
    "functions deploy klaviyo-sync",
    "functions add-invoker-policy-binding klaviyo-sync",
    "functions describe klaviyo-sync",
    "eventarc triggers describe projects/my-project/locations/europe-west1/triggers/klaviyo-sync-123456",
    "projects describe my-project",
    f"pubsub subscriptions add-iam-policy-binding {EVENTARC_SUBSCRIPTION}",
    f"pubsub subscriptions update {EVENTARC_SUBSCRIPTION}",
]


def test_everything_is_created_in_order(first_run: tuple[Cloud, Run]) -> None:
    """A first run creates each resource before those that need it, and no others."""
    cloud, run = first_run
    commands = iter(run.commands)
    for expected in CREATION_ORDER:
        assert any(command.startswith(expected) for command in commands), f"{expected}: missing, or too late"
    assert cloud.created() == RESOURCES
    assert run.out.endswith(
        "== to paste when you are paged:\n"
        "export TOPIC=projects/my-project/topics/klaviyo-sync\n"
        "export DEAD_LETTER_SUBSCRIPTION=projects/my-project/subscriptions/klaviyo-sync-dead-letters\n"
        "export SYNC_SERVICE=klaviyo-sync\n"
        "python3 manage.py status\n"
    )


def test_rights_are_minimal(first_run: tuple[Cloud, Run]) -> None:
    """Each account gets only the roles that it needs, on single resources. Only the build account has project roles."""
    _, run = first_run
    assert granted_rights(run) == {
        ("pubsub topics klaviyo-sync-dead-letters", ACCOUNTS["runtime"], "roles/pubsub.publisher"),
        ("secrets klaviyo-sync-ct-api-client", ACCOUNTS["runtime"], "roles/secretmanager.secretAccessor"),
        ("secrets klaviyo-sync-klaviyo-auth-key", ACCOUNTS["runtime"], "roles/secretmanager.secretAccessor"),
        ("pubsub topics klaviyo-sync", COMMERCETOOLS, "roles/pubsub.publisher"),
        ("functions klaviyo-sync", ACCOUNTS["trigger"], "roles/run.invoker"),
        ("pubsub topics klaviyo-sync-dead-letters", PUBSUB_AGENT, "roles/pubsub.publisher"),
        (f"pubsub subscriptions {EVENTARC_SUBSCRIPTION}", PUBSUB_AGENT, "roles/pubsub.subscriber"),
        ("projects my-project", ACCOUNTS["build"], "roles/artifactregistry.writer"),
        ("projects my-project", ACCOUNTS["build"], "roles/logging.logWriter"),
        ("projects my-project", ACCOUNTS["build"], "roles/storage.objectViewer"),
    }


def test_function_flags(first_run: tuple[Cloud, Run]) -> None:
    """The function is private, retries, has a thread per concurrent message, and times out before the ack deadline."""
    _, run = first_run
    call = run.only_call("functions deploy")
    flags = call.flags
    source, env_vars_file = flags.pop("source"), flags.pop("env-vars-file")
    assert Path(source) == ROOT
    assert not Path(env_vars_file).exists()
    assert call.env_vars_mode == "0o600"
    assert flags == {
        "gen2": "",
        "region": "europe-west1",
        "runtime": "python313",
        "entry-point": "sync_event",
        "trigger-topic": "klaviyo-sync",
        "retry": "",
        "service-account": ACCOUNTS["runtime"],
        "trigger-service-account": ACCOUNTS["trigger"],
        "build-service-account": f"projects/my-project/serviceAccounts/{ACCOUNTS['build']}",
        "concurrency": "8",
        "cpu": "1",
        "memory": "512Mi",
        "timeout": "60s",
        "min-instances": "0",
        "max-instances": "5",
        "ingress-settings": "internal-only",
        "no-allow-unauthenticated": "",
        "set-secrets": "CT_API_CLIENT=klaviyo-sync-ct-api-client:latest,"
        "KLAVIYO_AUTH_KEY=klaviyo-sync-klaviyo-auth-key:latest",
        "project": "my-project",
    }
    assert "THREADS: '8'" in call.env_vars.splitlines()


def test_subscription_flags(first_run: tuple[Cloud, Run]) -> None:
    """Eventarc's subscription has backoff, a dead-letter policy and 7 days of retention; dead letters have 31 days."""
    _, run = first_run
    assert run.only_call("pubsub subscriptions update").flags == {
        "dead-letter-topic": "klaviyo-sync-dead-letters",
        "dead-letter-topic-project": "my-project",
        "max-delivery-attempts": "100",
        "min-retry-delay": "10s",
        "max-retry-delay": "600s",
        "ack-deadline": "600",
        "message-retention-duration": "7d",
        "expiration-period": "never",
        "project": "my-project",
    }
    dead_letters = run.only_call("pubsub subscriptions create").flags
    assert dead_letters["message-retention-duration"] == "31d"
    assert dead_letters["expiration-period"] == "never"
    assert dead_letters["topic"] == "klaviyo-sync-dead-letters"


@pytest.mark.parametrize(("threads", "instances"), [("1", "31"), ("8", "5"), ("16", "3"), ("80", "2")])
def test_instances_follow_from_klaviyos_limits(cloud: Cloud, threads: str, instances: str) -> None:
    """More threads per instance mean fewer instances, because Klaviyo accepts only 3500 events per minute."""
    out = cloud.run("--dry-run", "--threads", threads).out
    assert f"--concurrency={threads} " in out
    assert f"--max-instances={instances} " in out
    assert f"THREADS: '{threads}'" in out
    share = re.search(r"KLAVIYO_LIMIT_SHARE: '(.*)'", out)
    assert share
    assert 0.99 < float(share[1]) * int(instances) <= 1


def test_no_secret_is_visible(first_run: tuple[Cloud, Run]) -> None:
    """Secrets only go through a pipe: no command, environment of a command, output or file contains one."""
    cloud, run = first_run
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}
    sent = {call.words.split()[3]: call.stdin for call in run.calls if call.words.startswith("secrets versions add")}
    assert sent == {
        "klaviyo-sync-ct-api-client": hashlib.sha256(API_CLIENT.encode()).hexdigest(),
        "klaviyo-sync-klaviyo-auth-key": hashlib.sha256(AUTH_KEY.encode()).hexdigest(),
    }


def test_a_trace_shows_no_secret(cloud: Cloud) -> None:
    """Not even under `bash -x`."""
    run = cloud.run("--dry-run", SHELLOPTS="xtrace")
    assert run.status == 0
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)


def test_second_run_creates_nothing(deployed: Cloud) -> None:
    """A second run finds all resources: it creates nothing and adds no version of a secret."""
    cloud = deployed
    before = cloud.resources()
    second = cloud.run()
    assert second.status == 0, second.err
    assert cloud.resources() == before
    creating = [command for command in second.commands if re.search(r"\b(create|enable|add|delete)\b(?!-)", command)]
    assert creating == []
    assert second.only_call("functions deploy").flags["trigger-topic"] == "klaviyo-sync"
    for secret in SECRET_PARTS:
        assert secret not in visible_text(second)
    assert cloud.leftover_files() == {}


def test_only_a_changed_secret_gets_a_version(deployed: Cloud) -> None:
    """A changed key becomes a new version. The other secret is left alone."""
    run = deployed.run(settings={**SETTINGS, "KLAVIYO_AUTH_KEY": "pk_s3cr3t-of-klaviyo-2"})
    added = [command for command in run.commands if command.startswith("secrets versions add")]
    assert added == ["secrets versions add klaviyo-sync-klaviyo-auth-key"]
    assert run.commands.index(added[0]) < run.commands.index("functions deploy klaviyo-sync"), (
        "the deployment must come later: its new revision reads the new version"
    )


def test_dry_run_prints_what_a_first_run_does(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """A dry run prints each command of a first run, in order, on its own line. It runs none and shows no secret."""
    dry = cloud.run("--dry-run", PATH="/usr/bin:/bin")
    assert (dry.status, dry.err, dry.calls) == (0, "", [])
    assert cloud.leftover_files() == {}
    commands = [[word for word in command if "env-vars-file" not in word] for command in printed_commands(dry)]
    assert commands == [[word for word in call.arguments if "env-vars-file" not in word] for call in first_run[1].calls]
    for secret in SECRET_PARTS:
        assert secret not in dry.out


def test_the_printed_script_can_be_run(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """Run in a shell, the output of a dry run does what deploy.sh does."""
    script = cloud.folder / "pasted.sh"
    script.write_text(cloud.run("--dry-run").out, encoding="utf-8")
    run = cloud.run_printed(script)
    assert [call.words for call in run.calls] == first_run[1].commands
    assert run.only_call("functions deploy").env_vars == first_run[1].only_call("functions deploy").env_vars
    assert [call.stdin for call in run.calls] == [call.stdin for call in first_run[1].calls]


def test_gcloud_accepts_every_command(deployed: Cloud, first_run: tuple[Cloud, Run], tmp_path: Path) -> None:
    """The linter of gcloud accepts every command: of a first run, a second run, and of --delete."""
    deployed.run(
        "--build-service-account", "projects/my-project/serviceAccounts/builder@my-project.iam.gserviceaccount.com"
    )
    deployed.run("--container")
    deployed.run("--container")
    deployed.run(IMAGE="europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1")
    deployed.run("--backfill")
    deployed.run("--delete", "--yes")
    # If the file were missing, the linter would report only that.
    env_vars = tmp_path / "env.yaml"
    env_vars.write_text(first_run[1].only_call("functions deploy").env_vars, encoding="utf-8")
    commands = {
        shlex.join(["gcloud", *_with_env_vars_file(call, env_vars)]): None
        for call in [*first_run[1].calls, *deployed.calls()]
    }
    assert lint_problems(list(commands), tmp_path) == []


def test_the_linter_would_find_a_mistake(first_run: tuple[Cloud, Run], tmp_path: Path) -> None:
    """The test above can fail: the linter finds a misspelt flag."""
    env_vars = tmp_path / "env.yaml"
    env_vars.write_text(first_run[1].only_call("functions deploy").env_vars, encoding="utf-8")
    words = [
        word.replace("--concurrency", "--concurency")
        for word in _with_env_vars_file(first_run[1].only_call("functions deploy"), env_vars)
    ]
    (problem,) = lint_problems([shlex.join(["gcloud", *words])], tmp_path)
    assert "--concurency" in problem["error_message"]


def _with_env_vars_file(call: Call, env_vars: Path) -> list[str]:
    return [f"--env-vars-file={env_vars}" if word.startswith("--env-vars-file=") else word for word in call.arguments]


def test_another_subscription_causes_a_warning(deployed: Cloud) -> None:
    """With two subscriptions every message is processed twice, so the warning names an existing one."""
    (deployed.folder / "state" / "resources" / "push-subscriptions" / "klaviyo-sync-push").touch()
    run = deployed.run()
    assert run.status == 0
    assert "warning: topic klaviyo-sync has other subscriptions" in run.err
    assert "projects/my-project/subscriptions/klaviyo-sync-push" in run.err
    assert EVENTARC_SUBSCRIPTION not in run.err


def test_a_grant_to_a_new_account_is_retried(cloud: Cloud) -> None:
    """A new service account takes a while to be known everywhere, so deploy.sh retries the grant."""
    cloud.fail("secrets add-iam-policy-binding", "INVALID_ARGUMENT: Service account x does not exist.", times=2)
    run = cloud.run()
    assert run.status == 0, run.err
    assert run.commands.count("secrets add-iam-policy-binding klaviyo-sync-ct-api-client") == 3


@pytest.mark.parametrize(
    "command",
    ["services list", "pubsub topics describe", "pubsub topics create", "secrets versions add", "functions deploy",
     "eventarc triggers describe", "pubsub subscriptions update"],
)  # fmt: skip
def test_a_failing_command_ends_the_run(cloud: Cloud, command: str) -> None:
    """The run ends with the first command that fails, and shows gcloud's error and the command."""
    cloud.fail(command, "PERMISSION_DENIED: Permission denied on resource (or it may not exist).")
    run = cloud.run()
    assert run.status == 1
    assert "PERMISSION_DENIED" in run.err
    assert f"deploy.sh: failed: gcloud {command}" in run.err
    assert command in run.commands[-1]
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}


def test_delete_deletes_everything(deployed: Cloud) -> None:
    """After a yes nothing is left. --delete needs only project and region, and may be run again."""
    deployed.run("--container")
    run = deployed.run("--delete", settings=PROJECT_AND_REGION, answer="y\n")
    assert run.status == 0, run.err
    assert "Delete all of it? [y/N]" in run.out
    for name in ("klaviyo-sync-container", "klaviyo-sync-push", "klaviyo-sync-dead-letters"):
        assert name in run.out
    left = {name for name in deployed.resources() if name.partition("/")[0] not in ("api", "version")}
    assert left == set()
    removed = {call.flags["role"] for call in run.calls if "remove-iam-policy-binding" in call.words}
    assert removed == {"roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"}
    again = deployed.run("--delete", "--yes", settings=PROJECT_AND_REGION)
    assert again.status == 0, again.err
    assert "[y/N]" not in again.out
    assert not [command for command in again.commands if " delete " in command]


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yellow\n"])
def test_delete_without_a_yes_deletes_nothing(deployed: Cloud, answer: str) -> None:
    """Any answer but a yes deletes nothing."""
    before = deployed.resources()
    run = deployed.run("--delete", settings=PROJECT_AND_REGION, answer=answer)
    assert (run.status, run.calls) == (1, [])
    assert "nothing was deleted" in run.err
    assert deployed.resources() == before


def test_delete_has_a_dry_run(deployed: Cloud) -> None:
    """--delete --dry-run asks nothing, runs nothing, and prints the commands for a complete deployment."""
    deployed.run("--container")
    deployed.run("--backfill")
    dry = deployed.run("--delete", "--dry-run", settings=PROJECT_AND_REGION)
    assert (dry.status, dry.calls, dry.err) == (0, [], "")
    assert "[y/N]" not in dry.out
    assert printed_commands(dry) == [
        list(call.arguments) for call in deployed.run("--delete", "--yes", settings=PROJECT_AND_REGION).calls
    ]


def test_a_missing_gcloud_is_reported(cloud: Cloud) -> None:
    """Without gcloud one line says where to get it."""
    (cloud.folder / "bin" / "gcloud").unlink()
    for name in ("bash", "dirname", "mktemp", "rm", "tr", "grep", "cat"):
        cloud.add_program(name, f'exec /usr/bin/env -S PATH=/usr/bin:/bin {name} "$@"')
    run = cloud.run(PATH=str(cloud.folder / "bin"))
    assert run.status == 1
    assert run.err.startswith("deploy.sh: gcloud is not installed")
