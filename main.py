"""Entry points: `sync_event` for Eventarc, `sync_push` for Pub/Sub push. `python main.py` serves `sync_push`."""

import os
import sys

import flask
import functions_framework
from cloudevents.http import CloudEvent

import pipeline
from core import notification
from core.errors import ConfigurationError
from core.logs import trace_fields
from core.settings import load_settings
from handlers.services import Services

_GRACEFUL_SECONDS = 8
"""Seconds that running messages have to end after SIGTERM: Cloud Run kills after ten."""

try:
    SERVICES = Services(load_settings())
except ConfigurationError as error:
    sys.exit(str(error))


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

    GET answers health. Never 202: the Pub/Sub emulator takes that for a refusal.
    """
    if request.method in ("GET", "HEAD"):
        return "ok\n", 200
    if request.method != "POST":
        return "", 405
    envelope = notification.from_push(request.get_data(), accepts_bare=SERVICES.settings.accepts_bare_notifications)
    return "", 204 if _acknowledged(envelope) else 503


def _acknowledged(envelope: notification.Envelope) -> bool:
    headers = flask.request.headers
    trace = trace_fields(headers.get("traceparent") or headers.get("X-Cloud-Trace-Context"))
    return pipeline.process(envelope, SERVICES, trace).acknowledged


def _serve() -> None:
    """Serve `sync_push` on PORT, else PUB_SUB_PORT, else 8080, in this process's place."""
    settings = SERVICES.settings
    port = os.environ.get("PORT") or str(settings.pub_sub_port)
    os.environ.update(FUNCTION_TARGET=sync_push.__name__, FUNCTION_SIGNATURE_TYPE="http", FUNCTION_SOURCE=__file__)
    command = ["gunicorn", "--bind", f":{port}", "--threads", str(settings.threads), "--timeout", "0"]
    command += ["--graceful-timeout", str(_GRACEFUL_SECONDS)]
    os.execv(sys.executable, [sys.executable, "-m", *command, "functions_framework:app"])  # noqa: S606 - no shell


if __name__ == "__main__":
    _serve()
