"""docs/deploy.md and docs/backfill.md: gcloud accepts their commands, and their figures are those of deploy.sh."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.deployment import Cloud, lint_problems, printed_commands

DEPLOY, BACKFILL = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deploy.md", "backfill.md"))


def _gcloud_commands(text: str = DEPLOY) -> list[str]:
    """The gcloud commands of a page, from shell blocks and from sentences, each on one line."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    sentences = re.findall(r"`(gcloud [^`]* --project=[^`]*)`", text.replace("\n", " "))
    found = (re.search(r"(?:^|\$\()gcloud .*?(?=\s+[#|]|\)$|$)", line) for line in blocks)
    return [match[0].removeprefix("$(") for match in found if match] + sentences


def test_gcloud_accepts_the_commands_of_deploy_md(tmp_path: Path) -> None:
    """The linter of gcloud accepts every command of the page."""
    commands = [
        command.replace("$PUBSUB_AGENT", "serviceAccount:a@b.iam.gserviceaccount.com") for command in _gcloud_commands()
    ]
    assert any(command.startswith("gcloud functions delete") for command in commands), (
        "commands in sentences are missing"
    )
    assert any(command.startswith("gcloud pubsub subscriptions create") for command in commands), (
        "commands in blocks are missing"
    )
    assert lint_problems(commands, tmp_path) == []


def test_gcloud_accepts_the_commands_of_backfill_md(tmp_path: Path) -> None:
    """Each of them also names the job or the bucket that deploy.sh and Terraform create."""
    commands = _gcloud_commands(BACKFILL)
    assert len(commands) > 3
    assert [
        one for one in commands if not re.search(r"klaviyo-sync-backfill|gs://my-project-klaviyo-sync-jobs/", one)
    ] == []
    assert lint_problems(commands, tmp_path) == []


def test_figures_are_those_of_the_script(tmp_path: Path) -> None:
    """The page has the attempts, backoff, retention, deadlines and sizes that deploy.sh sets."""
    out = Cloud(tmp_path).run("--dry-run").out
    rows = dict(re.findall(r"^\| ([a-z ]+) \| ([^|]+) \|", DEPLOY, re.MULTILINE))
    flags = dict(re.findall(r"--([a-z-]+)=(\S+)", out))
    assert rows["attempts"] == f"{flags['max-delivery-attempts']}, 10 s to 600 s apart"
    assert (flags["min-retry-delay"], flags["max-retry-delay"]) == ("10s", "600s")
    assert rows["retention"] == "7 days"
    assert rows["ack deadline"] == "600 s"
    assert "--ack-deadline=600 --message-retention-duration=7d" in out
    assert rows["timeout"] == f"{flags['timeout'].removesuffix('s')} s"
    assert rows["dead letters"].endswith("31 days")
    assert "--message-retention-duration=31d" in out
    assert rows["concurrency"].startswith(f"{flags['concurrency']},")
    assert rows["instances"].startswith(f"at most {flags['max-instances']} ")


@pytest.mark.parametrize("subscription", ["klaviyo-sync-push", "klaviyo-sync-dead-letters"])
def test_subscriptions_by_hand_equal_the_scripts(tmp_path: Path, subscription: str) -> None:
    """Subscriptions created by hand have the same options as those of deploy.sh, except for the push endpoint."""
    creation = f"pubsub subscriptions create {subscription}"
    (script,) = (
        command
        for command in printed_commands(Cloud(tmp_path).run("--container", "--dry-run"))
        if creation in " ".join(command)
    )
    (by_hand,) = (shlex.split(command)[1:] for command in _gcloud_commands() if creation in command)
    assert _flags(by_hand) == _flags(script)


def _flags(command: Sequence[str]) -> set[str]:
    return {word for word in command if word.startswith("--") and not word.startswith("--push-")}
