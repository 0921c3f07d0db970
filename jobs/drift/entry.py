"""From options to an outcome: what both front doors, `python -m jobs reconcile` and `manage.py reconcile`, run."""

import time
from functools import partial
from typing import Any

import handlers  # noqa: F401 - registers every handler
from core.settings import Settings
from jobs.drift.messages import do_messages
from jobs.drift.options import Options
from jobs.drift.run import DriftRun, with_errors
from jobs.drift.state import Memory
from jobs.drift.workers import Crew, with_crew
from jobs.errors_file import ErrorsFile
from jobs.outcome import Outcome, StoppedError
from jobs.progress import Progress
from jobs.services import JobConsent


def reconcile(options: Options, settings: Settings, progress: Progress) -> Outcome:
    """Do what the options ask for. SIGTERM and SIGINT end it early, within ten seconds."""
    consent: JobConsent = "followed" if options.from_messages else "left"
    return with_crew(settings, options.share, progress, partial(_outcome, options), consent=consent)


def _outcome(options: Options, crew: Crew) -> Outcome:
    began = time.monotonic()
    errors = ErrorsFile(options.errors)
    run: DriftRun | None = None
    told: dict[str, Any] = {"command": "reconcile"}
    try:
        memory = Memory.read(options.state, crew.services.settings.ct_project_id)
        memory.write()  # a file that can't be written is known before anything is done
        if options.from_messages and options.since:
            errors.clear()
            messages = do_messages(crew, options.since, errors, fix=options.fix)
            told |= {"messages": messages, "calls": crew.calls, "seconds": _since(began)}
            return with_errors(messages["failed"], options, told)
        run = DriftRun(options, crew, memory, errors)
        if not run.goes_on:
            errors.clear()
        run.do()
    except StoppedError as stopped:
        told |= run.reported() if run else {}
        return Outcome(stopped.code, told, str(stopped), stopped.abandons)
    told |= run.reported() | {"seconds": _since(began)}
    return run.ended(told)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
