"""`manage.py backfill status`: the progress of a backfill, from its state file alone."""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from commands.env_file import reads_env_file
from commands.outcome_words import counted
from jobs.options import default_state_path
from jobs.outcome import RefusedStateError
from jobs.reading import COUNT_LIMIT
from jobs.state import PassState, parse_state
from jobs.state_claim import DEAD_AFTER, is_dead

_STDIN = Path("-")
_STANDINGS = {
    "done": "Done.",
    "stopped": "Stopped. Run the same command again to resume.",
    "killed": "Killed. Run the same command again to resume.",
    "running": "Running",
    "silent": "No sign of life",
}
_Report = dict[str, Any]


@click.command(epilog="Example:  python3 manage.py backfill status --state backfill-state.json")
@reads_env_file
@click.option(
    "--state",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=default_state_path,
    metavar="FILE",
    help="The run's state file; - reads it from stdin, such as from `gcloud storage cat gs://...`."
    "  [default: BACKFILL_STATE, else backfill-state.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backfill_status(state: Path, *, as_json: bool) -> None:
    """Show how far a backfill is, when it will end, and which process is running it.

    Reads only the state file; calls neither commercetools nor Klaviyo. Exits with 1 if the file does not exist, with 78
    if it is not a state file.
    """
    report = status_report(_read(state), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(report))
        return
    for line in _status_lines(report):
        click.echo(line)


def status_report(found: Mapping[str, Any], now: datetime) -> _Report:
    """The status report of a parsed state file at `now`, in UTC. Rates are documents per minute over all runs."""
    written = datetime.fromisoformat(found["written"])
    passes = {name: PassState(**one) for name, one in found["passes"].items()}
    silence = max(timedelta(), now - written)
    if not found["owner"]:
        standing = "done" if passes and all(one.finished for one in passes.values()) else "stopped"
    elif is_dead(found["owner"]):
        standing = "killed"
    else:
        standing = "running" if silence.total_seconds() < DEAD_AFTER else "silent"
    return {
        "command": "backfill status",
        "standing": standing,
        "project": found["project"],
        "account": found["account"],
        "since": found["began"]["since"] or None,
        "until": found["began"]["until"],
        "owner": found["owner"],
        "written": found["written"],
        "silence": round(silence.total_seconds()),
        "passes": {name: _pass(one, written) for name, one in passes.items()},
    }


def _pass(state: PassState, written: datetime) -> _Report:
    rate = state.read / state.seconds * 60 if state.seconds else None
    left = None if state.total is None or state.total == COUNT_LIMIT else max(0, state.total - state.read)
    if state.finished:
        left = 0
    minutes = left / rate if left is not None and rate else None
    ends = None if state.finished or minutes is None else (written + timedelta(minutes=minutes)).isoformat()
    return {
        **state.as_report(),
        "finished": state.finished,
        "total": state.total,
        "left": left,
        "per_minute": rate and round(rate, 1),
        "minutes_left": minutes and round(minutes, 1),
        "ends": ends,
    }


def _read(state: Path) -> Mapping[str, Any]:
    try:
        content = sys.stdin.buffer.read() if state == _STDIN else state.read_bytes()
    except FileNotFoundError:
        raise click.ClickException(
            f"{state} does not exist: no backfill has started with it. Name another with --state."
        ) from None
    except OSError as error:
        raise click.ClickException(f"{state}: {error.strerror}") from None
    try:
        return parse_state(content, "The file on stdin" if state == _STDIN else str(state))
    except RefusedStateError as refused:
        click.echo(str(refused), err=True)
        sys.exit(refused.code)


def _status_lines(report: _Report) -> Iterator[str]:
    since = f"from {report['since']} " if report["since"] else ""
    yield f"Backfill of {report['project']} into account {report['account']}, {since}up to {report['until']}"
    for name, one in report["passes"].items():
        yield f"{name}: {', '.join(_pass_words(one))}"
    word, owner = _STANDINGS[report["standing"]], report["owner"]
    if report["standing"] in ("running", "silent"):
        who = owner["execution"] or f"process {owner['pid']} on {owner['host']}"
        word = f"{word}: {who}, last update {report['silence']} seconds ago."
    yield word
    if report["standing"] not in ("done", "running"):
        yield "Passes that have not started are not shown." if report["passes"] else "No pass has started."


def _pass_words(report: _Report) -> Iterator[str]:
    skipped = sum(report["skipped"].values())
    if report["finished"]:
        yield "done"
        yield f"{report['read']:,} read"
    elif report["left"] is None:
        yield f"{report['read']:,} read{' of 10,000 or more' if report['total'] else ', total unknown'}"
    else:
        yield f"{report['read']:,} of about {report['total']:,} read"
    yield f"{report['sent']:,} sent"
    if skipped:
        yield f"{skipped:,} skipped"
    yield counted(report["errors"], "error")
    if report["per_minute"]:
        yield f"{report['per_minute']:,.0f}/min"
    if report["ends"]:
        yield f"{report['left']:,} left"
        yield f"ends about {datetime.fromisoformat(report['ends']):%d %b %H:%M} UTC"
