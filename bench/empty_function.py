"""A function that ignores its message: the baseline, which measures the cost of the framework itself."""

import flask
import functions_framework


@functions_framework.http
def sync_push(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Acknowledge the message."""
    request.get_data()
    return "", 204
