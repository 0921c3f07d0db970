"""A client of the control API, for the demo and the tests."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlsplit

TIMEOUT = 30
OK = 200
_ONLY_DELIVERED = ("notificationType", "projectKey")


class ControlError(Exception):
    """The sandbox did not take a control call; the text says why."""


class Control:
    """Looks into and steers one of the two servers, by its URL. Any thread may use it.

    What concerns documents and tokens is commercetools' alone; keys and limits are Klaviyo's.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One control call, `path` below /_control; raises ControlError."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/_control/{path}", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != OK:
            raise ControlError(f"{method} /_control/{path}: {response.status} {answer.get('error', '')}")
        return answer

    def state(self) -> dict[str, Any]:
        """All it holds."""
        state: dict[str, Any] = self.call("GET", "state")
        return state

    def requests(self, *, since: int = 0, kind: Literal["api", "token"] | None = None) -> list[dict[str, Any]]:
        """The record of requests with a number above `since`, the oldest first; of one kind, when told."""
        record: list[dict[str, Any]] = self.call("GET", f"requests?since={since}")
        return [entry for entry in record if kind in (None, entry["kind"])]

    def forget_requests(self) -> None:
        """Empty the record."""
        self.call("DELETE", "requests")

    def reset(self) -> None:
        """Back to the state after the start, without any documents."""
        self.call("POST", "reset")

    def fail(  # noqa: PLR0913 - the fields of a rule
        self,
        path: str = "",
        *,
        method: str | None = None,
        count: int | None = None,
        skip: int = 0,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Literal["json", "html", "empty"] | Mapping[str, Any] = "json",
        reset: Literal["sending", "answering"] | None = None,
        delay: float = 0,
        trickle: float = 0,
        rate: float = 1,
        apply: bool = False,
        late: bool = False,
    ) -> None:
        """Make requests fail whose decoded path has a match of the regular expression `path`.

        `count` hits (None: for ever) after `skip` that pass, each with the probability `rate`. `status` with `headers`
        and `body` is answered, or the connection is `reset` while the request is being sent or answered; after `delay`
        seconds, and with `trickle` seconds between two bytes. Without `status` and `reset` the answer is the true one.
        With `apply` the request takes effect before it fails. With `late` it is on its way for the `delay`, and takes
        effect after it.
        """
        self.call(
            "POST",
            "failures",
            {
                "path": path, "method": method, "count": count, "skip": skip, "status": status,
                "headers": dict(headers or {}), "body": body, "reset": reset, "delay": delay, "trickle": trickle,
                "rate": rate, "apply": apply, "late": late,
            },
        )  # fmt: skip

    def failures(self) -> list[dict[str, Any]]:
        """The rules in force, and how often each hit."""
        rules: list[dict[str, Any]] = self.call("GET", "failures")
        return rules

    def clear_failures(self) -> None:
        """Forget all rules."""
        self.call("DELETE", "failures")

    def seed(self, number: int) -> None:
        """Start the randomness of `rate` and of lags anew."""
        self.call("POST", "seed", {"seed": number})

    def put(self, collection: str, document: Mapping[str, Any]) -> None:
        """Store a document as it is, under its `id`."""
        self.call("PUT", _document(collection, document["id"]), document)

    def put_all(self, documents: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Store documents by collection."""
        self.call("POST", "documents", documents)

    def document(self, collection: str, document_id: str) -> dict[str, Any]:
        """A document as it is stored; raises ControlError when there is none."""
        document: dict[str, Any] = self.call("GET", _document(collection, document_id))
        return document

    def patch(self, collection: str, document_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Replace top-level fields; version and lastModifiedAt move on. Returns the document."""
        document: dict[str, Any] = self.call("PATCH", _document(collection, document_id), changes)
        return document

    def delete(self, collection: str, document_id: str) -> None:
        """Take a document out."""
        self.call("DELETE", _document(collection, document_id))

    def tokens(
        self,
        *,
        lifetime: float | None = None,
        revoke: bool = False,
        client_secret: str | None = None,
        deny_scopes: Sequence[str] | None = None,
        enforce_scopes: bool | None = None,
    ) -> None:
        """Change the rules for tokens; what is None stays as it is.

        `deny_scopes` are names without project key: calls that need one answer 403. `enforce_scopes`: so do calls that
        need a scope that was not asked for with the token.
        """
        rules = {
            "lifetime": lifetime,
            "client_secret": client_secret,
            "deny_scopes": None if deny_scopes is None else list(deny_scopes),
            "enforce_scopes": enforce_scopes,
        }
        given = {name: value for name, value in rules.items() if value is not None}
        self.call("POST", "tokens", {**given, "revoke": revoke})

    def project(self, **settings: Any) -> None:
        """The project's own settings, beside its key: `project(productCatalogModel="Modular")`."""
        self.call("POST", "project", settings)

    def keys(self, accepted: Sequence[str] | None = None, *, scopes: Sequence[str] | None = None) -> None:
        """Which keys are accepted, and which scopes they have (None: any)."""
        names = {"accepted": accepted, "scopes": scopes}
        self.call("POST", "keys", {name: None if value is None else list(value) for name, value in names.items()})

    def limits(self, *, enforce: bool = True, scale: float = 1.0) -> None:
        """Enforce Klaviyo's rate limits, multiplied by `scale`; the windows start anew."""
        self.call("POST", "limits", {"enforce": enforce, "scale": scale})

    def jobs(self, seconds: float) -> None:
        """How long each of Klaviyo's bulk jobs takes from now on: half of it queued, then row by row."""
        self.call("POST", "jobs", {"seconds": seconds})

    def linkage(self, lists: Literal["filled", "included", "links"]) -> None:
        """What lists of Klaviyo's catalog tell of relationships (`filled` after the start).

        `filled`: a variant names its item. `included`: only a list of items that includes its variants says which are
        whose. `links`: not even that one, which includes none. Reads by id always tell.
        """
        self.call("POST", "linkage", {"lists": lists})

    def put_metric(self, name: str, *, integration: str, key: str, category: str = "eCommerce") -> str:
        """A metric of another integration, without events, such as `("Placed Order", integration="Shopify", ...)`.

        Returns its id. It may have the name of one of ours.
        """
        answer: dict[str, str] = self.call(
            "POST", "metrics", {"name": name, "integration": integration, "key": key, "category": category}
        )
        return answer["id"]

    def put_profile(self, **attributes: Any) -> str:
        """A new profile, also with an identifier that another one has. Returns its id.

        Calls that match by this identifier find the one that had it first; the list finds both.
        """
        answer: dict[str, str] = self.call("POST", "profiles", attributes)
        return answer["id"]

    def drop_events(self, metric: str, *, day: str | None = None, most: int | None = None) -> int:
        """Lose events of a metric, those of one day (`2026-05-01`, in UTC) if told, and `most` of them if told.

        Returns how many. The same events may be sent again, and are kept then.
        """
        answer: dict[str, int] = self.call("DELETE", "events", {"metric": metric, "day": day, "most": most})
        return answer["dropped"]

    def keep_message(self, delivery: Mapping[str, Any]) -> None:
        """Let the Messages API show a message that a subscription delivered.

        `put("messages", ...)` stores one as it is; `project(messages={"enabled": False})` hides them all.
        """
        self.put("messages", {name: told for name, told in delivery.items() if name not in _ONLY_DELIVERED})

    def lag(
        self,
        seconds: float,
        up_to: float | None = None,
        *,
        of: Literal["lists", "profiles", "queries", "availability"] = "lists",
    ) -> None:
        """Let reads show the state of some seconds ago, with `up_to` of a random time between the two.

        Of Klaviyo the `lists` of its catalog, or that of `profiles`; of commercetools `queries`, or the `availability`
        of projections. Everything else in a read by id is current. What was written before the call does not lag.
        """
        self.call("POST", "lag", {"of": of, "seconds": seconds, "up_to": up_to})


def _document(collection: str, document_id: str) -> str:
    return f"documents/{collection}/{quote(document_id, safe='')}"
