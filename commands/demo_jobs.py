"""Run the demo's jobs in a process of their own, with the command line that a Cloud Run job starts."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from commands.processes import ROOT, TIMEOUT, Sandbox
from sandbox.samples import ENVIRONMENT


def run_sandbox_job(sandbox: Sandbox, *arguments: str, rules: str = "") -> tuple[int, dict[str, Any]]:
    """Run a job against the sandbox with `rules` as its sync.toml. Returns its exit code and report."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "sync.toml")
        config.write_text(rules, encoding="utf-8")
        settings = {"PYTHONPATH": str(ROOT), "BACKFILL_STATE": "", "RECONCILE_STATE": ""}
        settings |= {"SYNC_CONFIG": str(config)} if rules else {}
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments, "--json", "--share", "1"],
            cwd=folder,
            env={**os.environ, **sandbox.environment, **ENVIRONMENT, **settings},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    lines = done.stdout.splitlines()
    report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return done.returncode, report
