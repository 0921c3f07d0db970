"""A client for the control API, used by the demo and the tests."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlsplit

TIMEOUT = 30
OK = 200
_DELIVERY_FIELDS = ("notificationType", "projectKey")


class ControlError(Exception):
    """The sandbox rejected a control call; the text says why."""


class Control:
    """Inspects and controls one of the two servers, by its URL. Thread-safe.

    Methods about documents, tokens and the project work on commercetools only; those about keys, limits, jobs,
    consent, profiles, metrics and events on Klaviyo only.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make a control call; `path` is relative to /_control. Raises ControlError."""
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
        """A dump of the backend's whole state."""
        state: dict[str, Any] = self.call("GET", "state")
        return state

    def requests(self, *, since: int = 0, kind: Literal["api", "token"] | None = None) -> list[dict[str, Any]]:
        """Recorded requests with a number above `since`, oldest first; only those of `kind`, if given."""
        record: list[dict[str, Any]] = self.call("GET", f"requests?since={since}")
        return [entry for entry in record if kind in (None, entry["kind"])]

    def forget_requests(self) -> None:
        """Clear the request record."""
        self.call("DELETE", "requests")

    def reset(self) -> None:
        """Restore the initial state, without any documents."""
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
        """Inject a failure into requests whose decoded path matches the regular expression `path`.

        The first `skip` matching requests pass, then `count` fail (None: no limit), each with the probability `rate`.

        The answer is `status` with `headers` and `body`, or the connection is `reset` while the request is being sent
        or answered. Without `status` and `reset` the backend's own answer is sent. The answer is sent after `delay`
        seconds, with `trickle` seconds between two bytes.

        If the backend's own answer is not sent, the request takes no effect, unless `apply` is set. With `late` it
        takes effect only after the `delay`, as if it had been in flight until then.
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
        """The active failure rules, each with its number of hits."""
        rules: list[dict[str, Any]] = self.call("GET", "failures")
        return rules

    def clear_failures(self) -> None:
        """Remove all failure rules."""
        self.call("DELETE", "failures")

    def seed(self, number: int) -> None:
        """Seed the random numbers behind `rate` and lags."""
        self.call("POST", "seed", {"seed": number})

    def put(self, collection: str, document: Mapping[str, Any]) -> None:
        """Store a document unchanged, under its `id`."""
        self.call("PUT", _document(collection, document["id"]), document)

    def put_all(self, documents: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Store documents, given by collection."""
        self.call("POST", "documents", documents)

    def document(self, collection: str, document_id: str) -> dict[str, Any]:
        """The stored document; raises ControlError if there is none."""
        document: dict[str, Any] = self.call("GET", _document(collection, document_id))
        return document

    def patch(self, collection: str, document_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Replace top-level fields, bump version and lastModifiedAt, and return the document."""
        document: dict[str, Any] = self.call("PATCH", _document(collection, document_id), changes)
        return document

    def delete(self, collection: str, document_id: str) -> None:
        """Delete a document; raises ControlError if there is none."""
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
        """Change the token rules; None leaves a rule unchanged.

        `lifetime` is in seconds. `revoke` invalidates all issued tokens. Calls that need one of `deny_scopes` (names
        without the project key) are answered with 403. With `enforce_scopes`, so are calls that need a scope that the
        token was not requested with.
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
        """Replace the project's settings (all but its key): `project(productCatalogModel="Modular")`."""
        self.call("POST", "project", settings)

    def keys(self, accepted: Sequence[str] | None = None, *, scopes: Sequence[str] | None = None) -> None:
        """Set the accepted keys and their scopes (None: any)."""
        names = {"accepted": accepted, "scopes": scopes}
        self.call("POST", "keys", {name: None if value is None else list(value) for name, value in names.items()})

    def limits(self, *, enforce: bool = True, scale: float = 1.0) -> None:
        """Enforce Klaviyo's rate limits, multiplied by `scale`. Resets the rate limit windows."""
        self.call("POST", "limits", {"enforce": enforce, "scale": scale})

    def jobs(self, seconds: float) -> None:
        """Set the duration of new bulk jobs: half of it in the queue, the rest spread evenly over the rows."""
        self.call("POST", "jobs", {"seconds": seconds})

    def linkage(self, lists: Literal["filled", "included", "links"]) -> None:
        """Set which relationships Klaviyo's catalog lists contain (initially `filled`).

        `filled`: each variant names its item. `included`: only a list of items that includes the variants says which
        variant belongs to which item. `links`: no list does, and none includes variants. Reads by id always do.
        """
        self.call("POST", "linkage", {"lists": lists})

    def put_metric(self, name: str, *, integration: str, key: str, category: str = "eCommerce") -> str:
        """Add a metric of another integration, without events: `("Placed Order", integration="Shopify", ...)`.

        Its name may equal that of an existing metric. Returns its id.
        """
        answer: dict[str, str] = self.call(
            "POST", "metrics", {"name": name, "integration": integration, "key": key, "category": category}
        )
        return answer["id"]

    def put_profile(self, **attributes: Any) -> str:
        """Add a profile, even if another profile has the same identifier. Returns its id.

        Calls that match by that identifier find the profile that had it first; the list finds both.
        """
        answer: dict[str, str] = self.call("POST", "profiles", attributes)
        return answer["id"]

    def consent(self, **rules: Any) -> None:
        """Set the account's consent rules: `consent(double_optin=True, lists={"LIST": False}, unserved=["+1"])`.

        `lists` maps list ids to whether they use double opt-in, `unserved` holds the prefixes of phone numbers that
        can't be subscribed, and `age_gated` makes the date of birth required for SMS.
        """
        self.call("POST", "consent", rules)

    def set_consent(self, address: str, consent: str, **fields: Any) -> None:
        """Change consent the way a form or the link in a mail does: `set_consent("a@x.io", "UNSUBSCRIBED")`.

        `fields` are further marketing fields of that channel, such as `consent_timestamp` and `suppression`.
        """
        self.call("POST", "consent/words", {"address": address, "says": {"consent": consent, **fields}})

    def confirm(self, address: str) -> None:
        """Complete double opt-in, the way the link in the confirmation mail does."""
        self.call("POST", "consent/confirmed", {"address": address})

    def drop_events(self, metric: str, *, day: str | None = None, most: int | None = None) -> int:
        """Delete events of a metric, optionally only of one day (`2026-05-01`, in UTC), and at most `most` of them.

        Returns how many were deleted. The same events can be sent again and are then stored.
        """
        answer: dict[str, int] = self.call("DELETE", "events", {"metric": metric, "day": day, "most": most})
        return answer["dropped"]

    def put_delivered_message(self, delivery: Mapping[str, Any]) -> None:
        """Add a message to the Messages API, given as a subscription delivered it.

        `put("messages", ...)` adds one unchanged; `project(messages={"enabled": False})` turns the Messages API off.
        """
        self.put("messages", {name: value for name, value in delivery.items() if name not in _DELIVERY_FIELDS})

    def lag(
        self,
        seconds: float,
        up_to: float | None = None,
        *,
        of: Literal["lists", "profiles", "queries", "availability"] = "lists",
    ) -> None:
        """Make reads lag: they show the state of `seconds` ago, or of a random time between `seconds` and `up_to` ago.

        Klaviyo: `lists` of the catalog, or the list of `profiles`. commercetools: `queries`, or the `availability` in
        projections. Anything else in a read by id is current. Writes from before this call are always visible.
        """
        self.call("POST", "lag", {"of": of, "seconds": seconds, "up_to": up_to})


def _document(collection: str, document_id: str) -> str:
    return f"documents/{collection}/{quote(document_id, safe='')}"
