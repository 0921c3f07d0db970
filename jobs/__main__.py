"""`python -m jobs backfill …`: what a Cloud Run job starts. Everything that it says is a line of JSON.

Cloud Run runs a job again that exits with anything but 0, so "done with errors" is 0 here: the last line tells.
"""

import sys
from collections.abc import Sequence

from core.errors import ConfigurationError
from core.logs import log
from core.rules import SyncRules
from core.settings import load_settings
from core.wire import encoded
from handlers.registry import consumed
from jobs.ending import BAD_ARGUMENTS, DONE, REFUSED, WITH_ERRORS
from jobs.entry import carried_out
from jobs.flows import leave_unless_wanted
from jobs.leaving import leave
from jobs.options import parsed
from jobs.progress import LoggedProgress

_PROGRAM = "python -m jobs"


def main(arguments: Sequence[str]) -> None:
    """Run a job, and exit."""
    if arguments[:1] != ["backfill"]:
        sys.stderr.write(f"usage: {_PROGRAM} backfill [-h] ...\n")
        sys.exit(BAD_ARGUMENTS)
    rules = SyncRules().backfill
    problem: ConfigurationError | None = None
    try:
        settings = load_settings(consumed())
        rules = settings.sync.backfill
    except ConfigurationError as error:
        problem = error
    options = parsed(arguments[1:], rules, f"{_PROGRAM} backfill")
    if problem:
        log.error("settings are wrong", problems=list(problem.problems))
        sys.exit(REFUSED)
    leave_unless_wanted(options, settings)
    outcome = carried_out(options, settings, LoggedProgress())
    if outcome.said:
        log.warning("backfill stopped" if outcome.code > WITH_ERRORS else "backfill done with errors", why=outcome.said)
    if options.as_json or outcome.report.get("dry_run"):
        sys.stdout.write(encoded(outcome.report).decode() + "\n")
    else:
        log.info("backfill ended", code=outcome.code, **outcome.report)
    leave(outcome, DONE if outcome.code == WITH_ERRORS else outcome.code)


if __name__ == "__main__":
    main(sys.argv[1:])
