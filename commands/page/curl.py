"""Pushes and calls as curl commands. They contain no secrets: keys are shell variables."""

import base64
import json
import shlex
from collections.abc import Mapping

from commands.page.delivery import Call, Delivery
from commands.page.reads import path_with_query
from commands.processes import Sandbox
from sandbox.calls import klaviyo


def push_command(delivery: Delivery, url: str) -> str:
    """Push a message to the function, as Pub/Sub would."""
    data = base64.b64encode(delivery.message.data).decode()
    message = {"data": data, "messageId": f"curl-{delivery.number}", "attributes": {}}
    body = json.dumps({"message": message, "subscription": "projects/sandbox/subscriptions/sandbox"})
    return _command("POST", f"{url}/", {"Content-Type": "application/json"}, body)


def call_command(call: Call, sandbox: Sandbox) -> str:
    """Repeat a call that the function made to the sandbox."""
    record = call.record
    control, headers = sandbox.commercetools, {"Authorization": "Bearer $CT_TOKEN"}
    if call.backend == "Klaviyo":
        control = sandbox.klaviyo
        with klaviyo(control.url, "$KLAVIYO_AUTH_KEY") as calls:
            headers = calls.headers
    body = json.dumps(record["body"], ensure_ascii=False) if record["body"] else ""
    return _command(record["method"], control.url + path_with_query(record), headers, body)


def _command(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    lines = [f"curl -X {method} {shlex.quote(url)}"]
    lines += [f"-H {_quoted(f'{name}: {value}')}" for name, value in headers.items()]
    lines += [f"-d {shlex.quote(body)}"] if body else []
    return " \\\n  ".join(lines)


def _quoted(header: str) -> str:
    """The header quoted for a shell: in double quotes if the shell has to expand a variable."""
    return f'"{header}"' if "$" in header else shlex.quote(header)
