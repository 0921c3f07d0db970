"""What the function read from commercetools.

The sandbox records requests but not response bodies, so the page sends the same reads again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus, urlencode

import requests

from commands.processes import TIMEOUT

_MAX_READS = 6
_OK = 200


@dataclass(frozen=True, slots=True)
class Read:
    """One repeated read; `path` includes the query.

    The response is the one the function got: the sandbox does not change in between.
    """

    path: str
    response: Any


def path_with_query(record: Mapping[str, Any]) -> str:
    """Path and query of a recorded request, percent-encoded as in its URL."""
    return str(record["path"]) + ("?" + urlencode(record["query"], doseq=True) if record["query"] else "")


def readable(path_and_query: str) -> str:
    """A path with its query as people read it, without percent-encoding."""
    path, mark, query = path_and_query.partition("?")
    return unquote(path) + mark + unquote_plus(query)


def repeat_reads(url: str, record: Iterable[Mapping[str, Any]]) -> list[Read]:
    """Repeat the successful reads of a request record: each one once, the first six at most."""
    paths = dict.fromkeys(
        path_with_query(entry) for entry in record if entry["method"] == "GET" and entry["status"] == _OK
    )
    if not paths:
        return []
    with requests.Session() as session:
        token = session.post(
            f"{url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=("sandbox", "sandbox-secret"),
            timeout=TIMEOUT,
        ).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return [
            Read(path, response.json())
            for path in list(paths)[:_MAX_READS]
            if (response := session.get(url + path, headers=headers, timeout=TIMEOUT)).status_code == _OK
        ]
