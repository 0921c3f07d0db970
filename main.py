"""Entry points: `sync_event` for Eventarc, `sync_push` for Pub/Sub push. `python main.py` serves `sync_push`."""

# ruff: noqa: E402 - see `gc` below
import gc

# Reference counting frees a message's objects. Collecting less often saves a tenth of the CPU, while importing as well.
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
from core.rules import warnings_for
from core.settings import Settings, load_settings
from core.version import VERSION
from handlers.registry import handled_messages
from handlers.services import Services

gc.freeze()  # what the imports created stays for good, so never scan it

_GRACEFUL_SECONDS = 8
"""Seconds after SIGTERM in which messages in flight can finish: Cloud Run kills the process after ten."""

try:
    SERVICES = Services(load_settings(handled_messages()))
except ConfigurationError as error:
    sys.exit(str(error))
TOKENS = PushTokens.from_settings(SERVICES.settings)


@functions_framework.cloud_event
def sync_event(event: CloudEvent) -> None:
    """Sync the commercetools notification in a Pub/Sub CloudEvent. A 503 has it redelivered."""
    envelope = notification.from_event(event.data, accepts_bare=SERVICES.settings.accepts_bare_notifications)
    if not _acknowledged(envelope):
        # Raising an exception would print a traceback with the SDK's text, which may contain personal data.
        flask.abort(503)


@functions_framework.http
def sync_push(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Sync the commercetools notification in a Pub/Sub push. 204 acknowledges it, 503 has it redelivered.

    With PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT set, a request without a token of that account is answered 401, or 503
    if tokens can't be verified now. GET is the health check. 202 is never sent: the Pub/Sub emulator treats it as a
    refusal.
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
    flask.after_this_request(lambda response: _with_outcome(response, outcome))
    return outcome.acknowledged


def _with_outcome(response: flask.Response, outcome: pipeline.Outcome) -> flask.Response:
    """Add the outcome as a header, for people who send a message by hand."""
    # Escaped as in JSON: the outcome may name a SKU with characters that a header can't have.
    response.headers[notification.OUTCOME_HEADER] = json.dumps(str(outcome))[1:-1]
    return response


def _trace() -> dict[str, Any]:
    headers = flask.request.headers
    return trace_fields(headers.get("traceparent") or headers.get("X-Cloud-Trace-Context"))


def _log_ready(settings: Settings, target: str) -> None:
    port = _port()
    log.info(
        f"{target} is ready{f' on port {port}' if port else ''}, for {settings.ct_project_id}",
        target=target,
        project=settings.ct_project_id,
        version=VERSION,
    )
    for warning in warnings_for(settings.sync):
        log.warning(warning)


def _port() -> str:
    """The served port: the --port of functions-framework, else PORT, else empty."""
    command = click.get_current_context(silent=True)
    return str((command and command.params.get("port")) or os.environ.get("PORT", ""))


def _warn_if_unauthenticated(settings: Settings, target: str) -> None:
    """Warn if nothing authenticates callers. Cloud Run's IAM does; local backends and the emulator need no check."""
    if settings.k_service or settings.has_only_local_backends or os.environ.get("PUBSUB_EMULATOR_HOST"):
        return
    if target == sync_event.__name__:
        log.warning("sync_event does not check who calls: outside Google Cloud, serve sync_push")
    elif not TOKENS:
        log.warning("sync_push does not check who calls: set PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT")


def _serve() -> None:
    """Replace this process by a server of `sync_push` on PORT, else PUB_SUB_PORT, else 8080."""
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
    _log_ready(SERVICES.settings, served)
    _warn_if_unauthenticated(SERVICES.settings, served)
