"""docs/deploy.md: its commands are ones that the programs know, and its figures those of deploy.sh."""

import re
import shlex
from pathlib import Path

from commands.running import ROOT
from tests.deploy.deployment import Cloud, lint

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def _commands(program: str) -> list[str]:
    """The commands of one program in the page's shell blocks, each on one line."""
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = (re.search(rf"(?:^|\$\(){re.escape(program)} .*?(?=\s+#|\)$|$)", line) for line in lines)
    return [match[0].removeprefix("$(") for match in found if match]


def test_gcloud_knows_the_documented_commands(tmp_path: Path) -> None:
    """Nothing in the page that the linter of gcloud minds."""
    # A file that is missing would hide every other mistake.
    env_vars = tmp_path / "env.yaml"
    env_vars.write_text("THREADS: '8'\n", encoding="utf-8")
    address = "https://klaviyo-sync.run.app"
    commands = [
        command.replace("--env-vars-file=env.yaml", f"--env-vars-file={env_vars}").replace("$URL", address)
        for command in _commands("gcloud")
    ]
    assert len(commands) >= 7
    assert lint(commands, tmp_path) == []


def test_script_takes_the_documented_options(tmp_path: Path) -> None:
    """Every documented call of deploy.sh is one that it accepts."""
    cloud = Cloud(tmp_path)
    (cloud.work / ".env").touch()
    calls = _commands("./deploy.sh")
    assert len(calls) == 3
    for call in calls:
        run = cloud.run(*shlex.split(call)[1:], "--dry-run")
        assert run.status == 0, run.err


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
