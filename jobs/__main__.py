"""`python -m jobs backfill|reconcile|prices …`: the entry point of the Cloud Run jobs. All output is lines of JSON.

Cloud Run retries a job that exits with anything but 0. So "finished with errors" and "found drift" exit with 0 here,
and the last line of the output says which it was.
"""

import sys
from collections.abc import Sequence

from core.errors import ConfigurationError
from core.logs import log
from core.rules import SyncRules
from core.settings import Settings, load_settings
from core.wire import encoded
from handlers.registry import handled_messages
from jobs import options as backfill_options
from jobs import prices_due
from jobs.drift import options as drift_options
from jobs.drift.entry import reconcile
from jobs.entry import run_backfill
from jobs.exiting import exit_process
from jobs.flows import exit_unless_confirmed
from jobs.outcome import BAD_ARGUMENTS, DONE, DRIFT, REFUSED, WITH_ERRORS, Outcome
from jobs.progress import LoggedProgress

_PROGRAM = "python -m jobs"
_JOBS = ("backfill", "reconcile", "prices")
_EXIT_ZERO = (WITH_ERRORS, DRIFT)
_ALERT_AFTER_RUNS = 2
"""This many runs in a row with more drift than `[reconcile] max_drift` are logged as an error."""


def main(arguments: Sequence[str]) -> None:
    """Run a job, then exit."""
    name = arguments[0] if arguments else ""
    if name not in _JOBS:
        sys.stderr.write(f"usage: {_PROGRAM} {{{','.join(_JOBS)}}} [-h] ...\n")
        sys.exit(BAD_ARGUMENTS)
    rules = SyncRules()
    settings: Settings | None = None
    problems: Sequence[str] = ()
    try:
        settings = load_settings(handled_messages())
        rules = settings.sync
    except ConfigurationError as error:
        problems = error.problems
    run = {"backfill": _backfill, "reconcile": _reconcile, "prices": _prices}[name]
    outcome, prints_report = run(arguments[1:], rules, settings, problems)
    if outcome.message:
        log.warning(f"{name} stopped" if outcome.code > DRIFT else f"{name} ended", why=outcome.message)
    if prints_report:
        sys.stdout.write(encoded(outcome.report).decode() + "\n")
    elif "drifting_runs" in outcome.report and "seconds" in outcome.report:  # a comparison that was not stopped
        _log_reconciled(outcome)
    else:
        log.info(f"{name} ended", code=outcome.code, **outcome.report)
    exit_process(outcome, DONE if outcome.code in _EXIT_ZERO else outcome.code)


def _log_reconciled(outcome: Outcome) -> None:
    """Log the line behind the drift metric and its alert: an error once there is drift in two runs in a row."""
    write = log.error if outcome.report["drifting_runs"] >= _ALERT_AFTER_RUNS else log.info
    write("reconciled", code=outcome.code, **outcome.report)


def _backfill(
    arguments: Sequence[str], rules: SyncRules, settings: Settings | None, problems: Sequence[str]
) -> tuple[Outcome, bool]:
    """Run a backfill. Returns its outcome, and True if the report is printed as one JSON object instead of logged."""
    options = backfill_options.parse_options(arguments, rules.backfill, f"{_PROGRAM} backfill")
    ready = _require_settings(settings, problems)
    exit_unless_confirmed(options, ready)
    outcome = run_backfill(options, ready, LoggedProgress("backfill"))
    return outcome, options.as_json or bool(outcome.report.get("dry_run"))


def _reconcile(
    arguments: Sequence[str], rules: SyncRules, settings: Settings | None, problems: Sequence[str]
) -> tuple[Outcome, bool]:
    options = drift_options.parse_options(arguments, rules.reconcile, f"{_PROGRAM} reconcile")
    return reconcile(options, _require_settings(settings, problems), LoggedProgress("reconcile")), options.as_json


def _prices(
    arguments: Sequence[str], rules: SyncRules, settings: Settings | None, problems: Sequence[str]
) -> tuple[Outcome, bool]:
    options = prices_due.parse_options(arguments, rules.reconcile, f"{_PROGRAM} prices")
    return prices_due.copy_due(
        options, _require_settings(settings, problems), LoggedProgress("prices")
    ), options.as_json


def _require_settings(settings: Settings | None, problems: Sequence[str]) -> Settings:
    """The settings. Wrong ones end the process, but only after the options are parsed, so that `--help` works."""
    if settings is None:
        log.error("settings are wrong", problems=list(problems))
        sys.exit(REFUSED)
    return settings


if __name__ == "__main__":
    main(sys.argv[1:])
