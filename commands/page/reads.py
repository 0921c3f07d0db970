"""What the function read from commercetools. The sandbox's record has no answers, so they are asked for again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests

from commands.processes import PATIENCE

_MOST = 6
_OK = 200


@dataclass(frozen=True, slots=True)
class Read:
    """One answer; nothing changes in the sandbox between the function's question and this one."""

    path: str
    answer: Any


def answers(url: str, record: Iterable[Mapping[str, Any]]) -> list[Read]:
    """The answers to what was asked, each once, at most six of them."""
    asked = dict.fromkeys(
        entry["path"] + ("?" + urlencode(entry["query"], doseq=True) if entry["query"] else "")
        for entry in record
        if entry["method"] == "GET" and entry["status"] == _OK
    )
    if not asked:
        return []
    with requests.Session() as session:
        token = session.post(
            f"{url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=("sandbox", "sandbox-secret"),
            timeout=PATIENCE,
        ).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return [
            Read(path.partition("?")[0], answer.json())
            for path in list(asked)[:_MOST]
            if (answer := session.get(url + path, headers=headers, timeout=PATIENCE)).status_code == _OK
        ]
