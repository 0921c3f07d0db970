"""A function that does nothing with its message: what the framework itself costs."""

import flask
import functions_framework


@functions_framework.http
def sync_push(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Acknowledge."""
    request.get_data()
    return "", 204
