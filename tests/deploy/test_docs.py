"""docs/deploy.md: its commands are ones that gcloud knows, as docs/backfill.md's, and its figures those of deploy.sh."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.deployment import Cloud, lint, printed

TEXT, HISTORY = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deploy.md", "backfill.md"))


def _gcloud_commands(text: str = TEXT) -> list[str]:
    """A page's commands of gcloud, in shell blocks and in sentences, each on one line."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    sentences = re.findall(r"`(gcloud [^`]* --project=[^`]*)`", text.replace("\n", " "))
    found = (re.search(r"(?:^|\$\()gcloud .*?(?=\s+[#|]|\)$|$)", line) for line in blocks)
    return [match[0].removeprefix("$(") for match in found if match] + sentences


def test_gcloud_knows_the_documented_commands(tmp_path: Path) -> None:
    """Nothing in the page that the linter of gcloud minds."""
    commands = [
        command.replace("$AGENT", "serviceAccount:a@b.iam.gserviceaccount.com") for command in _gcloud_commands()
    ]
    assert any(command.startswith("gcloud functions delete") for command in commands), "of a sentence"
    assert any(command.startswith("gcloud pubsub subscriptions create") for command in commands), "of a block"
    assert lint(commands, tmp_path) == []


def test_gcloud_knows_the_commands_of_a_backfill(tmp_path: Path) -> None:
    """And each names the job, or the bucket, that deploy.sh and Terraform make."""
    commands = _gcloud_commands(HISTORY)
    assert len(commands) > 3
    assert [
        one for one in commands if not re.search(r"klaviyo-sync-backfill|gs://my-project-klaviyo-sync-jobs/", one)
    ] == []
    assert lint(commands, tmp_path) == []


def test_figures_are_those_of_the_script(tmp_path: Path) -> None:
    """Attempts, backoff, retention, deadlines and sizes are told as they are set."""
    out = Cloud(tmp_path).run("--dry-run").out
    rows = dict(re.findall(r"^\| ([a-z ]+) \| ([^|]+) \|", TEXT, re.MULTILINE))
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
def test_what_is_made_by_hand_is_what_the_script_makes(tmp_path: Path, subscription: str) -> None:
    """Subscriptions made by hand keep, repeat and give up as those of deploy.sh; only whom they push to is another."""
    made = f"pubsub subscriptions create {subscription}"
    (script,) = (
        command for command in printed(Cloud(tmp_path).run("--container", "--dry-run")) if made in " ".join(command)
    )
    (by_hand,) = (shlex.split(command)[1:] for command in _gcloud_commands() if made in command)
    assert _flags(by_hand) == _flags(script)


def _flags(command: Sequence[str]) -> set[str]:
    return {word for word in command if word.startswith("--") and not word.startswith("--push-")}
