"""From options to an outcome: what `python -m jobs backfill` and `manage.py backfill` both run."""

import hashlib
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import handlers  # noqa: F401 - registers every handler
from clients.failures import ACCESS_DENIED
from clients.retrying import message_budget
from core.errors import TryAgain
from core.logs import log
from core.settings import Settings
from handlers.services import Services
from jobs.backfill import backfill
from jobs.dry_run import DryRun
from jobs.errors_file import ErrorsFile
from jobs.estimate import estimates_report
from jobs.malloc import share_one_heap
from jobs.options import Options, selection_times, with_times
from jobs.outcome import BAD_ARGUMENTS, DONE, INTERRUPTED, WITH_ERRORS, Outcome, StoppedError, stop_on_signals
from jobs.passes import ALL, Pass
from jobs.progress import Progress
from jobs.reading import Reader
from jobs.run import Run, await_all
from jobs.services import job_services
from jobs.state import StateFile
from jobs.state_claim import claim
from jobs.units import access_denied

_WITHOUT_EFFECT_ON_BODIES = {"limits", "backfill", "reconcile"}
_FORBIDDEN = 403
_NO_CONSENT_TIME = (
    "--with-consent needs [consent] email or sms, and consented_at: nobody may be subscribed without the time of their"
    " consent. Nothing was sent."
)


def run_backfill(options: Options, settings: Settings, progress: Progress) -> Outcome:
    """Run the backfill. SIGTERM and SIGINT end it within ten seconds."""
    if options.with_consent and not (settings.sync.consent.places and settings.sync.consent.consented_at):
        return Outcome(BAD_ARGUMENTS, {"command": "backfill", "passes": {}}, _NO_CONSENT_TIME)
    share_one_heap()
    services = job_services(settings, options.share, consent="loaded" if options.with_consent else "left")
    leaves_threads = False
    try:
        if options.dry_run:  # nothing is written, so a signal may kill it anywhere
            return _dry_run(options, services, progress)
        with stop_on_signals() as stop:
            outcome = _run(options, services, progress, stop)
        leaves_threads = outcome.leaves_threads
        return outcome
    finally:
        progress.close()
        if not leaves_threads:
            services.close()


def _run(options: Options, services: Services, progress: Progress, stop: threading.Event) -> Outcome:
    state: StateFile | None = None
    run: Run | None = None
    passes = _passes(options)
    stopped: StoppedError | None = None
    try:
        state = claim(
            options.state,
            _identity(services, stop),
            options.resume_key,
            selection_times(options.selection),
            stop,
            restart=options.restart,
            keep_rules=options.keep_rules,
        )
        errors = ErrorsFile(options.errors)
        if state.is_new:
            errors.clear()
        selection = with_times(options.selection, state.times)
        if done := [] if state.is_new else [one.name for one in passes if state.pass_state(one.name).finished]:
            log.info(
                f"backfill: resuming the run in {options.state}, which loads what existed at {state.times['until']};"
                f" finished: {', '.join(done)}. --restart starts over"
            )
        run = Run(
            services=services,
            reader=_reader(services, stop),
            selection=selection,
            state=state,
            errors=errors,
            progress=progress,
            stop=stop,
            page=options.page,
        )
        backfill(run, passes)
    except StoppedError as error:
        stopped = error
    try:
        if state:
            state.release()
    except StoppedError as error:
        stopped = stopped or error
    report: dict[str, Any] = {"command": "backfill", "passes": {}}
    if state:
        report["passes"] = {name: one.as_report() for name, one in state.passes.items()}
    if stopped:
        return Outcome(stopped.code, report, str(stopped), stopped.leaves_threads)
    failed = sum(one["errors"] for one in report["passes"].values()) + (run.failed_recoveries if run else 0)
    message = f"{failed} failed: {options.errors} says why. --ids {options.errors} retries them."
    return Outcome(WITH_ERRORS, report, message) if failed else Outcome(DONE, report)


def _dry_run(options: Options, services: Services, progress: Progress) -> Outcome:
    dry_run = DryRun(services, _reader(services), options.selection, progress)
    estimates = {}
    try:
        for one in _passes(options):
            estimates[one.name] = dry_run.estimate_pass(one, options.page)
    except StoppedError as stopped:
        return Outcome(stopped.code, {"command": "backfill", "passes": {}}, str(stopped))
    report = {"command": "backfill", **estimates_report(estimates, options.share)}
    report["new_profiles"] = dry_run.new_profiles.as_report()
    report["placed_states"] = services.settings.sync.order.placed_states
    return Outcome(DONE, report)


def _passes(options: Options) -> Sequence[Pass]:
    return [one for one in ALL if one.name in options.selection.passes]


def _reader(services: Services, stop: threading.Event | None = None) -> Reader:
    rules = services.settings.sync
    return Reader(services.commercetools, rules.limits, rules.backfill.read_timeout, stop)


def _identity(services: Services, stop: threading.Event) -> dict[str, str]:
    """What a state file belongs to: the project, the account, and a hash of the settings that shape the bodies."""
    settings = services.settings
    without = _WITHOUT_EFFECT_ON_BODIES | (set() if services.follows_consent else {"consent"})
    rules = {
        "sync": settings.sync.model_dump(mode="json", exclude=without),
        "locale": settings.preferred_locale,
        "currency": settings.preferred_currency,
        "url": settings.product_url_template,
    }
    worker = ThreadPoolExecutor(1)  # so that signals are handled during the call to Klaviyo
    account = worker.submit(_account, services)
    worker.shutdown(wait=False)
    await_all([account], stop, lambda: None)
    return {
        "project": settings.ct_project_id,
        "account": account.result(),
        "rules": hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16],
    }


def _account(services: Services) -> str:
    """Klaviyo's account id, or a hash of the key if it lacks accounts:read.

    Raises StoppedError if Klaviyo does not answer or rejects the key.
    """
    with message_budget(services.settings.sync.limits, waits=True):
        try:
            return services.klaviyo.account()
        except TryAgain as error:
            if error.status == _FORBIDDEN:
                key = services.settings.klaviyo_auth_key.get_secret_value()
                return f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            if error.status in ACCESS_DENIED:
                raise access_denied(error) from None
            raise StoppedError(
                INTERRUPTED, f"Klaviyo does not answer ({error.reason}). Run the same command again to resume."
            ) from None
