"""Entry points: `sync_event` for Eventarc, `sync_push` for Pub/Sub push. `python main.py` serves `sync_push`."""

# ruff: noqa: E402 - see `gc` below
import gc

# What a message makes is freed without the collector: fewer runs save a tenth of the CPU, and of the imports below.
gc.set_threshold(50_000)

import json
import os
import sys
from http import HTTPStatus
from typing import Any

import click
import flask
import functions_framework
from cloudevents.http import CloudEvent

import pipeline
from clients.push_tokens import PushTokens
from core import notification
from core.errors import ConfigurationError
from core.logs import log, trace_fields
from core.rules import doubts
from core.settings import Settings, load_settings
from core.version import VERSION
from handlers.registry import consumed
from handlers.services import Services

gc.freeze()  # imports stay for good

_GRACEFUL_SECONDS = 8
"""Seconds that running messages have to end after SIGTERM: Cloud Run kills after ten."""

try:
    SERVICES = Services(load_settings(consumed()))
except ConfigurationError as error:
    sys.exit(str(error))
TOKENS = PushTokens.wanted_by(SERVICES.settings)


@functions_framework.cloud_event
def sync_event(event: CloudEvent) -> None:
    """Sync the commercetools notification in a Pub/Sub CloudEvent; refuse it with 503 to have it delivered again."""
    envelope = notification.from_event(event.data, accepts_bare=SERVICES.settings.accepts_bare_notifications)
    if not _acknowledged(envelope):
        # An exception would print a traceback with the SDK's text, and so personal data.
        flask.abort(503)


@functions_framework.http
def sync_push(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Sync the commercetools notification in a Pub/Sub push: 204 acknowledges it, 503 has it delivered again.

    With PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT set, 401 refuses whoever is not Pub/Sub with a token of that account.
    GET answers health. Never 202: the Pub/Sub emulator takes that for a refusal.
    """
    if request.method in ("GET", "HEAD"):
        return "ok\n", 200
    if request.method != "POST":
        return "", 405
    if TOKENS and (refusal := TOKENS.refusal(request.headers.get("Authorization"))):
        log.warning("push refused", status=refusal.status, reason=refusal.reason, code=refusal.code, **_trace())
        return "", refusal.status, {"WWW-Authenticate": "Bearer"} if refusal.status == HTTPStatus.UNAUTHORIZED else {}
    envelope = notification.from_push(request.get_data(), accepts_bare=SERVICES.settings.accepts_bare_notifications)
    return "", 204 if _acknowledged(envelope) else 503


def _acknowledged(envelope: notification.Envelope) -> bool:
    outcome = pipeline.process(envelope, SERVICES, _trace())
    flask.after_this_request(lambda response: _telling(response, outcome))
    return outcome.acknowledged


def _telling(response: flask.Response, outcome: pipeline.Outcome) -> flask.Response:
    """Whoever sends a message by hand wants to know more than its status."""
    # As JSON: a SKU may hold what no header can.
    response.headers[notification.OUTCOME_HEADER] = json.dumps(str(outcome))[1:-1]
    return response


def _trace() -> dict[str, Any]:
    headers = flask.request.headers
    return trace_fields(headers.get("traceparent") or headers.get("X-Cloud-Trace-Context"))


def _say_ready(settings: Settings, target: str) -> None:
    port = _port()
    log.info(
        f"{target} is ready{f' on port {port}' if port else ''}, for {settings.ct_project_id}",
        target=target,
        project=settings.ct_project_id,
        version=VERSION,
    )
    for doubt in doubts(settings.sync):
        log.warning(doubt)


def _port() -> str:
    """The port that is served: what functions-framework's command was told, else PORT; empty where nobody says."""
    command = click.get_current_context(silent=True)
    return str((command and command.params.get("port")) or os.environ.get("PORT", ""))


def _warn_if_anybody_may_call(settings: Settings, target: str) -> None:
    """Off Google no IAM checks who calls. With stand-ins, or Pub/Sub's emulator, nobody needs to."""
    if settings.k_service or settings.reaches_this_machine_only or os.environ.get("PUBSUB_EMULATOR_HOST"):
        return
    if target == sync_event.__name__:
        log.warning("sync_event does not check who calls: off Google serve sync_push")
    elif not TOKENS:
        log.warning("sync_push does not check who calls: set PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT")


def _serve() -> None:
    """Serve `sync_push` on PORT, else PUB_SUB_PORT, else 8080, in this process's place."""
    settings = SERVICES.settings
    port = os.environ.get("PORT") or str(settings.pub_sub_port)
    os.environ.update(
        FUNCTION_TARGET=sync_push.__name__, FUNCTION_SIGNATURE_TYPE="http", FUNCTION_SOURCE=__file__, PORT=port
    )
    command = ["gunicorn", "--bind", f":{port}", "--threads", str(settings.threads), "--timeout", "0"]
    command += ["--graceful-timeout", str(_GRACEFUL_SECONDS)]
    os.execv(sys.executable, [sys.executable, "-m", *command, "functions_framework:app"])  # noqa: S606 - no shell


if __name__ == "__main__":
    _serve()
elif served := os.environ.get("FUNCTION_TARGET"):
    _say_ready(SERVICES.settings, served)
    _warn_if_anybody_may_call(SERVICES.settings, served)
