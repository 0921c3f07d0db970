"""From options to an outcome: what `python -m jobs reconcile` and `manage.py reconcile` both run."""

import time
from functools import partial
from typing import Any

import handlers  # noqa: F401 - registers every handler
from core.settings import Settings
from jobs.drift.messages import replay_messages
from jobs.drift.options import Options
from jobs.drift.run import DriftRun, outcome_with_errors
from jobs.drift.state import ReconcileState
from jobs.drift.workers import WorkerPool, with_worker_pool
from jobs.errors_file import ErrorsFile
from jobs.outcome import Outcome, StoppedError
from jobs.progress import Progress
from jobs.services import ConsentMode


def reconcile(options: Options, settings: Settings, progress: Progress) -> Outcome:
    """Run the comparison, or replay messages. SIGTERM and SIGINT end it within ten seconds."""
    consent: ConsentMode = "followed" if options.from_messages else "left"
    return with_worker_pool(settings, options.share, progress, partial(_outcome, options), consent=consent)


def _outcome(options: Options, pool: WorkerPool) -> Outcome:
    began = time.monotonic()
    errors = ErrorsFile(options.errors)
    run: DriftRun | None = None
    report: dict[str, Any] = {"command": "reconcile"}
    try:
        state = ReconcileState.read(options.state, pool.services.settings.ct_project_id)
        state.write()  # fail early if the file can't be written
        if options.from_messages and options.since:
            errors.clear()
            messages = replay_messages(pool, options.since, errors, fix=options.fix)
            report |= {"messages": messages, "calls": pool.calls, "seconds": _since(began)}
            return outcome_with_errors(messages["failed"], options, report)
        run = DriftRun(options, pool, state, errors)
        if not run.is_resumed:
            errors.clear()
        run.do()
    except StoppedError as stopped:
        report |= run.as_report() if run else {}
        return Outcome(stopped.code, report, str(stopped), stopped.leaves_threads)
    report |= run.as_report() | {"seconds": _since(began)}
    return run.outcome(report)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
