"""What happened as a command for a terminal. No secret is in it: keys are named as variables of the shell."""

import base64
import json
import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

from commands.page.delivery import Call, Delivery
from commands.processes import Sandbox
from sandbox.calls import klaviyo


def pushed(delivery: Delivery, url: str) -> str:
    """The push of a message to the function, as Pub/Sub would send it."""
    data = base64.b64encode(delivery.message.data).decode()
    message = {"data": data, "messageId": f"curl-{delivery.number}", "attributes": {}}
    body = json.dumps({"message": message, "subscription": "projects/sandbox/subscriptions/sandbox"})
    return _command("POST", f"{url}/", {"Content-Type": "application/json"}, body)


def called(call: Call, sandbox: Sandbox) -> str:
    """A call that the function made to one of the stand-ins."""
    record = call.record
    control, headers = sandbox.commercetools, {"Authorization": "Bearer $CT_TOKEN"}
    if call.backend == "Klaviyo":
        control = sandbox.klaviyo
        with klaviyo(control.url, "$KLAVIYO_AUTH_KEY") as calls:
            headers = calls.headers
    query = f"?{urlencode(record['query'], doseq=True)}" if record["query"] else ""
    body = json.dumps(record["body"], ensure_ascii=False) if record["body"] else ""
    return _command(record["method"], f"{control.url}{record['path']}{query}", headers, body)


def _command(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    lines = [f"curl -X {method} {shlex.quote(url)}"]
    lines += [f"-H {_quoted(f'{name}: {value}')}" for name, value in headers.items()]
    lines += [f"-d {shlex.quote(body)}"] if body else []
    return " \\\n  ".join(lines)


def _quoted(header: str) -> str:
    """In double quotes where the shell is to fill in a variable."""
    return f'"{header}"' if "$" in header else shlex.quote(header)
