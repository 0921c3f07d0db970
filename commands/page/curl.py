"""What happened as a command for a terminal. No secret is in it: keys are named as variables of the shell."""

import base64
import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from commands.page.delivery import Call, Delivery
from commands.running import Sandbox

_REVISION = "2026-10-15"


def pushed(delivery: Delivery, url: str) -> str:
    """The push of a message to the function, as Pub/Sub would send it."""
    data = base64.b64encode(delivery.message.data).decode()
    message = {"data": data, "messageId": f"curl-{delivery.number}", "attributes": {}}
    body = json.dumps({"message": message, "subscription": "projects/sandbox/subscriptions/sandbox"})
    return _command("POST", f"{url}/", {"Content-Type": "application/json"}, body, ())


def called(call: Call, sandbox: Sandbox) -> str:
    """A call that the function made to one of the stand-ins."""
    record = call.record
    control = sandbox.klaviyo if call.backend == "Klaviyo" else sandbox.commercetools
    query = f"?{urlencode(record['query'], doseq=True)}" if record["query"] else ""
    headers: dict[str, str] = {}
    authorization = "Bearer $CT_TOKEN"
    if call.backend == "Klaviyo":
        headers = {"revision": _REVISION, "Accept": "application/vnd.api+json"}
        authorization = "Klaviyo-API-Key $KLAVIYO_AUTH_KEY"
    body = json.dumps(record["body"], ensure_ascii=False) if record["body"] else ""
    if body:
        headers["Content-Type"] = "application/vnd.api+json"
    return _command(
        record["method"], f"{control.url}{record['path']}{query}", headers, body, (f"Authorization: {authorization}",)
    )


def _command(method: str, url: str, headers: Mapping[str, Any], body: str, open_headers: tuple[str, ...]) -> str:
    """`open_headers` stand in double quotes, so that the shell fills in their variables."""
    lines = [f"curl -X {method} {shlex.quote(url)}"]
    lines += [f'-H "{header}"' for header in open_headers]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    lines += [f"-d {shlex.quote(body)}"] if body else []
    return " \\\n  ".join(lines)
