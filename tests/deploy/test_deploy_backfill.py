"""deploy.sh --backfill: the Cloud Run job that loads a shop's history, with or without another deployment."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from commands.processes import ROOT
from tests.deploy.deployment import (
    PROJECT_AND_REGION,
    SECRET_PARTS,
    Cloud,
    Run,
    granted_rights,
    printed_commands,
    visible_text,
)

JOB = "klaviyo-sync-backfill"
JOBS_ACCOUNT = "klaviyo-sync-jobs@my-project.iam.gserviceaccount.com"
BUCKET = "my-project-klaviyo-sync-jobs"
IMAGE = "europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1"
RESOURCES = {
    "iam-service-accounts/klaviyo-sync-jobs",
    "secrets/klaviyo-sync-ct-api-client",
    "secrets/klaviyo-sync-klaviyo-auth-key",
    f"storage-buckets/{BUCKET}",
    f"run-jobs/{JOB}",
}


def test_job_from_nothing(cloud: Cloud) -> None:
    """One command creates the job, its account and its bucket, with minimal rights."""
    run = cloud.run("--backfill")
    assert (run.status, run.err) == (0, "")
    assert cloud.created() == RESOURCES
    assert granted_rights(run) == {
        ("secrets klaviyo-sync-ct-api-client", JOBS_ACCOUNT, "roles/secretmanager.secretAccessor"),
        ("secrets klaviyo-sync-klaviyo-auth-key", JOBS_ACCOUNT, "roles/secretmanager.secretAccessor"),
        (f"storage buckets gs://{BUCKET}", JOBS_ACCOUNT, "roles/storage.objectUser"),
    }
    assert f"next: gcloud run jobs execute {JOB} --region=europe-west1 --project=my-project" in run.out
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}


def test_job_flags(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """The job has the function's settings and secrets, one task with retries, and its state file in the bucket."""
    call, function = (
        cloud.run("--backfill").only_call("beta run jobs deploy"),
        first_run[1].only_call("functions deploy"),
    )
    (user,) = re.findall(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    options = f"uid={user};gid={user};metadata-cache-ttl-secs=0"
    flags = {name: value for name, value in call.flags.items() if name != "env-vars-file"}
    assert Path(flags.pop("source")) == ROOT
    assert flags == {
        "command": "python,-m,jobs",
        "args": "backfill",
        "tasks": "1",
        "parallelism": "1",
        "max-retries": "3",
        "task-timeout": "24h",
        "cpu": "1",
        "memory": "1Gi",
        "add-volume": f"name=state,type=cloud-storage,bucket={BUCKET},mount-options={options}",
        "add-volume-mount": "volume=state,mount-path=/state",
        "service-account": JOBS_ACCOUNT,
        **{name: function.flags[name] for name in ("region", "set-secrets", "project")},
    }
    job_lines = set(call.env_vars.splitlines())
    function_lines = set(function.env_vars.splitlines())
    assert {line.partition(":")[0] for line in function_lines - job_lines} == {
        "DEAD_LETTER_TOPIC",
        "KLAVIYO_LIMIT_SHARE",
        "THREADS",
    }
    assert job_lines - function_lines == {"BACKFILL_STATE: '/state/backfill-state.json'"}
    assert call.env_vars_mode == "0o600"


def test_deploy_sh_and_terraform_create_the_same_job(cloud: Cloud) -> None:
    """Its program, folder, retries, timeout and size are the same."""
    flags: dict[str, Any] = cloud.run("--backfill").only_call("beta run jobs deploy").flags
    jobs = (ROOT / "terraform" / "jobs.tf").read_text(encoding="utf-8")
    assert 'command = ["python", "-m", "jobs"]' in jobs
    (backfill,) = re.findall(r"^    backfill = \{\n(.*?)^    \}", jobs, re.MULTILINE | re.DOTALL)
    assert 'arguments   = ["backfill"]\n' in backfill
    assert f"timeout     = {int(flags['task-timeout'].removesuffix('h')) * 3600}\n" in backfill
    assert f"max_retries = {flags['max-retries']} " in backfill
    for name, flag in (("task_count ", "tasks"), ("parallelism", "parallelism")):
        assert f"{name} = {flags[flag]}" in jobs
    assert f'limits = {{ cpu = "{flags["cpu"]}", memory = "{flags["memory"]}" }}' in jobs
    options = flags["add-volume"].partition("mount-options=")[2].split(";")
    assert f"mount_options = {json.dumps(options)}" in jobs


def test_job_next_to_a_function(deployed: Cloud) -> None:
    """The job leaves the function and its topics alone, and a second run creates nothing."""
    before = deployed.resources()
    run = deployed.run("--backfill")
    assert run.status == 0, run.err
    assert deployed.resources() >= before
    assert not [call for call in run.commands if re.search(r"functions|pubsub|run deploy", call.replace("enable", ""))]
    again = deployed.run("--backfill")
    assert [command for command in again.commands if re.search(r"\b(create|enable|delete)\b(?!-)", command)] == []


def test_job_of_an_image(cloud: Cloud) -> None:
    """With IMAGE nothing is built, and only the job is deployed, no container."""
    run = cloud.run("--backfill", IMAGE=IMAGE)
    assert run.status == 0, run.err
    flags = run.only_call("beta run jobs deploy").flags
    assert (flags["image"], "source" in flags) == (IMAGE, False)
    assert cloud.created() == RESOURCES


def test_job_has_a_dry_run(cloud: Cloud) -> None:
    """--dry-run prints every command of a first run, and the printed script can be run."""
    dry = cloud.run("--backfill", "--dry-run", PATH="/usr/bin:/bin")
    assert (dry.status, dry.err, dry.calls) == (0, "", [])
    script = cloud.folder / "pasted.sh"
    script.write_text(dry.out, encoding="utf-8")
    pasted = cloud.run_printed(script)
    assert pasted.status == 0, pasted.err
    shutil.rmtree(cloud.folder / "state" / "resources")
    run = cloud.run("--backfill")
    for calls in (printed_commands(dry), [list(call.arguments) for call in pasted.calls]):
        assert [[word for word in command if "env-vars-file" not in word] for command in calls] == [
            [word for word in call.arguments if "env-vars-file" not in word] for call in run.calls
        ]


def test_a_job_whose_build_fails(cloud: Cloud) -> None:
    """The run ends with an error, and does not suggest starting a job that does not exist."""
    cloud.fail("run jobs deploy", "Build failed; check build logs for details")
    run = cloud.run("--backfill")
    assert run.status == 1
    assert f"deploy.sh: failed: gcloud beta run jobs deploy {JOB}" in run.err
    assert "next:" not in run.out


def test_delete_includes_the_job(deployed: Cloud) -> None:
    """--delete also deletes the job, its bucket and its account, and its question lists them."""
    deployed.run("--backfill")
    asked = deployed.run("--delete", settings=PROJECT_AND_REGION, answer="n\n")
    assert f"{JOB} (europe-west1), with its bucket {BUCKET}" in asked.out
    assert deployed.run("--delete", "--yes").status == 0
    assert deployed.created() == set()
