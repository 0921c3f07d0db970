"""`manage.py demo`, as run in a fresh clone."""

import os
import re
import subprocess
import sys

import psutil
import pytest

from commands.processes import ROOT
from commands.reason_words import REASONS
from sandbox.samples import samples


def run_demo(columns: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a terminal with this many columns."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo", *options],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_its_output(columns: int) -> None:
    """It shows what each message did, then a profile, drift and its fix, the shop's history, and the next steps."""
    demo = run_demo(columns)
    assert (demo.returncode, demo.stderr) == (0, "")
    lines = [line.rstrip() for line in demo.stdout.splitlines()]
    assert max(map(len, lines)) <= columns
    messages = [next(line for line in lines if line[2:].split()[:1] == [sample.name]) for sample in samples()]
    assert messages == sorted(messages, key=lines.index)
    assert [line for line in messages if line.startswith("x")] == []
    assert any("product-published-tote" in line and "1 item created, 12 variants created" in line for line in messages)
    reasons = [code for line in messages for code in re.findall(r"ignored: (\w+)", line)]
    assert (len(reasons), "deleted_meanwhile" in reasons) == (sum(one.outcome == "ignored" for one in samples()), True)
    unwrapped = " ".join(re.sub(r"\d+ ms$", "", line) for line in lines).split()
    for code in set(reasons):
        assert f"ignored: {code} ({REASONS[code]})" in " ".join(unwrapped)
    end = lines[lines.index("What Klaviyo now knows about one customer") :]
    assert end[1] == "Dr. Mira Falkner-Roth <mira.falkner@example.com>"
    timeline = [" ".join(line.split()) for line in end]
    for entry in ("Placed Order 311.90 EUR", "Refunded Order 64.00 EUR", "Confirmed Shipment 243.00 EUR"):
        assert any(f"{entry} S-20001" in line for line in timeline)
    drift = [" ".join(line.split()) for line in lines[lines.index("And if somebody changes Klaviyo by hand") :]]
    assert "! items 1 missing, 1 differing (title)" in drift
    assert "✓ items 2 fixed" in drift
    history = lines[lines.index("And the history before the first message") :]
    assert any(line.startswith("✓ orders") and "Placed Order x" in line for line in history)
    assert "events with their original times (some estimated); none starts a flow" in " ".join(history)
    assert any(line.startswith("Next: make page") for line in history)
    assert "create_catalog_item" not in demo.stdout
    headings = [line for line in lines[: lines.index("What Klaviyo now knows about one customer")] if line.isalpha()]
    assert len(headings) == len(set(headings)) > 5
    assert lines.count("And later") == 1


def test_it_stops_its_processes_on_sigterm() -> None:
    """On SIGTERM, as on Ctrl-C, the stand-ins and the function stop too."""
    command = [sys.executable, "manage.py", "demo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if "category-created-women" in line)
        started = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.stdout.read()
    assert (len(started) > 1, psutil.wait_procs(started, timeout=30)[1]) == (True, [])


def test_verbose_shows_the_calls() -> None:
    """With `--verbose`, each message is followed by its calls."""
    lines = run_demo(120, "--verbose").stdout.splitlines()
    row = next(number for number, line in enumerate(lines) if "customer-created " in line)
    assert [line.strip() for line in lines[row + 1 : row + 3]] == [
        "commercetools: customers.get x2",
        "Klaviyo: create_or_update_profile",
    ]
