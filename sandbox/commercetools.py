"""Stand-in for the commercetools HTTP API: tokens, documents, projections, queries, subscriptions."""

import itertools
from collections.abc import Iterable
from typing import Any

from sandbox import subscriptions
from sandbox.backend import Backend, ControlCallError, control_body
from sandbox.documents import COLLECTIONS, Document, Documents
from sandbox.faults import html
from sandbox.messages import Answer, Request
from sandbox.queries import FIELDS, QueryError, flag, page
from sandbox.subscriptions import Refusal, invalid, not_found
from sandbox.tokens import Tokens, oauth_error

LONGEST_URL = 12_000
RESOURCE_SEGMENTS = 3
"""Number of path segments in `/{projectKey}/{collection}/{id}`."""

_CODES = {
    400: "InvalidInput", 403: "insufficient_scope", 404: "ResourceNotFound", 409: "ConcurrentModification",
    413: "ContentTooLarge", 429: "RateLimitExceeded", 500: "General", 502: "BadGateway", 503: "OverCapacity",
    504: "GatewayTimeout",
}  # fmt: skip
_TOKEN_RULES = ("lifetime", "revoke", "client_secret", "deny_scopes", "enforce_scopes")


class Commercetools(Backend):
    """One project; the URL may use any project key."""

    LAGS = ("queries", "availability")

    def __init__(self) -> None:
        super().__init__()
        self.documents = Documents(**self.lags)
        self.project: Document = {}
        self.tokens = Tokens()
        self._correlation = itertools.count(1)

    def clear(self) -> None:
        """Restore an empty project without tokens."""
        self.documents = Documents(**self.lags)
        self.project = {}
        self.tokens = Tokens()

    def state(self) -> dict[str, Any]:
        """All documents, and the token rules."""
        return {"documents": self.documents.collections, "tokens": self.tokens.as_json()}

    def operation(self, request: Request) -> str:
        """The operation, such as `orders.get`, `orders.query`, `subscriptions.update`, `project.get` or `token`.

        `unknown` if there is none.
        """
        if request.path == "/oauth/token":
            return "token"
        segments = request.segments
        if len(segments) == 1 and request.method == "GET":
            return "project.get"
        if len(segments) < RESOURCE_SEGMENTS - 1 or segments[1] not in FIELDS:
            return "unknown"
        has_id = len(segments) >= RESOURCE_SEGMENTS
        name = {
            "GET": "get" if has_id else "query",
            "POST": "update" if has_id else "create",
            "DELETE": "delete",
        }.get(request.method, "unknown")
        return f"{segments[1]}.{name}"

    def is_authorized(self, request: Request) -> bool:
        """True if the token is valid; for a token request, if the client credentials are."""
        if request.path == "/oauth/token":
            return self.tokens.has_valid_client(request)
        return self.tokens.is_valid(request)

    def error_answer(self, status: int) -> Answer:
        """The error that commercetools would answer with this status."""
        if status == 401:  # noqa: PLR2004 - Unauthorized
            return self._with_correlation_id(oauth_error(401, "invalid_token", "invalid_token"))
        code = _CODES.get(status, "General")
        return self._with_correlation_id(Refusal(status, code, f"Injected failure: status {status}.").answer())

    def respond(self, request: Request) -> Answer:
        """Apply a request to the project and return the answer."""
        if len(request.target) > LONGEST_URL:
            return html(414)
        if request.path == "/oauth/token" and request.method == "POST":
            return self._with_correlation_id(self.tokens.issue(request))
        try:
            return self._with_correlation_id(self._answer(request))
        except Refusal as refusal:
            return self._with_correlation_id(refusal.answer())
        except QueryError as error:
            return self._with_correlation_id(invalid(str(error)).answer())

    def _with_correlation_id(self, answer: Answer) -> Answer:
        answer.headers = {**answer.headers, "X-Correlation-ID": f"projects-sandbox-{next(self._correlation)}"}
        return answer

    def _answer(self, request: Request) -> Answer:
        segments = request.segments
        collection = segments[1] if len(segments) > 1 else ""
        match request.method, segments[2:]:  # the only call that needs no token
            case "GET", [reference, "health"] if collection == "subscriptions":
                self._stored(collection, reference)
                return Answer(200, {})
        if not self.tokens.is_valid(request):
            return oauth_error(401, "invalid_token", "invalid_token")
        of_project = request.method == "GET" and len(segments) == 1
        if not of_project and collection not in FIELDS:
            raise Refusal(404, "ResourceNotFound", f"URI not found: {request.path}")
        scope = self.tokens.missing_scope(request, "project" if of_project else collection)
        if scope:
            message = f"Insufficient scope. One of the following scopes is missing: [{scope}]."
            return oauth_error(403, "insufficient_scope", message)
        match request.method, segments[2:]:
            case "GET", []:
                settings = {"key": segments[0], "version": 1, **self.project}
                return Answer(200, settings if of_project else self._query(collection, request))
            case "GET", [reference]:
                return Answer(200, self._get(collection, reference, request))
            case _ if collection == "subscriptions":
                return self._write_subscription(request, segments[2:])
        raise Refusal(405, "MethodNotAllowed", f"{request.method} is not allowed for {request.path}.")

    def _stored(self, collection: str, reference: str) -> Document:
        """The document with this id or `key=...`; raises Refusal (404)."""
        documents = self.documents.collections[collection]
        if reference.startswith("key="):
            key = reference[4:]
            for document in documents.values():
                if document.get("key") == key:
                    return document
            raise not_found(f"key '{key}'")
        if reference not in documents:
            raise not_found(f"ID '{reference}'")
        return documents[reference]

    def _get(self, collection: str, reference: str, request: Request) -> Document:
        expand = request.query.get("expand", [])
        if collection != "product-projections":
            return self.documents.expanded(
                self._stored(collection, reference), expand, unreadable=self._unreadable_collections(request)
            )
        staged = flag(request.query, "staged", default=True)
        product = self._stored("products", reference)
        projection = self.documents.projection(product, staged=staged)
        if projection is None:
            raise not_found(f"ID '{reference}'")
        return self.documents.expanded(projection, expand, unreadable=self._unreadable_collections(request))

    def _query(self, collection: str, request: Request) -> dict[str, Any]:
        documents: Iterable[Document]
        if collection == "product-projections":
            documents = self.documents.projections(staged=flag(request.query, "staged", default=True))
        elif collection == "messages" and not self.project.get("messages", {}).get("enabled", True):
            # What a project with the Messages API disabled answers is undocumented. Assume an empty list.
            documents = ()
        else:
            documents = self.documents.listed(collection)
            if collection == "customers":
                documents = [_searchable(customer) for customer in documents]
        answer = page(collection, documents, request.query)
        for found in answer["results"] if collection == "customers" else ():
            found.pop("lowercaseEmail")
        expand = request.query.get("expand", [])
        if expand:
            unreadable = self._unreadable_collections(request)
            answer["results"] = [
                self.documents.expanded(document, expand, unreadable=unreadable) for document in answer["results"]
            ]
        return answer

    def _unreadable_collections(self, request: Request) -> set[str]:
        """Collections that the token may not read. References into them are not expanded."""
        return {collection for collection in COLLECTIONS if self.tokens.missing_scope(request, collection)}

    def _write_subscription(self, request: Request, rest: list[str]) -> Answer:
        try:
            body = request.json()
        except ValueError as error:
            raise invalid("Request body does not contain valid JSON.") from error
        match request.method, rest:
            case "POST", []:
                return Answer(201, subscriptions.create(self.documents, body))
            case "POST", [reference]:
                subscription = self._stored("subscriptions", reference)
                return Answer(200, subscriptions.update(self.documents, subscription, body))
            case "DELETE", [reference]:
                subscription = self._stored("subscriptions", reference)
                version = request.query.get("version", [""])[-1]
                subscriptions.check_version(subscription, int(version) if version.isdigit() else None)
                return Answer(200, self.documents.delete("subscriptions", subscription["id"]))
        raise Refusal(405, "MethodNotAllowed", f"{request.method} is not allowed for {request.path}.")

    def backend_control(self, request: Request, path: list[str]) -> Any:
        """Handle `/_control/tokens`, `/_control/project` and `/_control/documents`."""
        match request.method, path:
            case "POST", ["project"]:
                self.project = control_body(request)
                return self.project
            case "POST", ["tokens"]:
                self.tokens.configure(control_body(request, *_TOKEN_RULES))
                return self.tokens.as_json()
            case "POST", ["documents"]:
                bulk = control_body(request, *COLLECTIONS)
                for collection, documents in bulk.items():
                    for document in documents:
                        self._put(collection, str(document.get("id", "")), document)
                return {collection: len(documents) for collection, documents in bulk.items()}
            case method, ["documents", collection, document_id] if collection in COLLECTIONS:
                return self._document(method, collection, document_id, request)
        return NotImplemented

    def _document(self, method: str, collection: str, document_id: str, request: Request) -> Any:
        if method == "PUT":
            return self._put(collection, document_id, control_body(request))
        if document_id not in self.documents.collections[collection]:
            raise ControlCallError(f"there is no document {collection}/{document_id}")
        match method:
            case "GET":
                return self.documents.collections[collection][document_id]
            case "PATCH":
                return self.documents.patch(collection, document_id, control_body(request))
            case "DELETE":
                return self.documents.delete(collection, document_id)
        return NotImplemented

    def _put(self, collection: str, document_id: str, document: Document) -> Document:
        if not document_id or document.get("id", document_id) != document_id:
            raise ControlCallError(f"the document's id is not '{document_id}'")
        return self.documents.put(collection, {**document, "id": document_id})


def _searchable(customer: Document) -> Document:
    """The customer with `lowercaseEmail`, which predicates accept but answers don't contain."""
    return {"lowercaseEmail": str(customer.get("email", "")).lower(), **customer}
