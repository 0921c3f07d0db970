"""Stand-in for Klaviyo's API: keys, headers, rate limits, and the routing of calls."""

import math
import re
from datetime import date
from typing import Any

from sandbox.backend import Backend, ControlCallError, control_body
from sandbox.bulk_jobs import BulkJobs
from sandbox.catalog import Catalog
from sandbox.catalog_answers import LINKAGES
from sandbox.events import Events, integration
from sandbox.klaviyo_answers import Answers
from sandbox.klaviyo_content import LARGEST_BODY, LARGEST_PROFILE
from sandbox.klaviyo_errors import JSON_API, Refused
from sandbox.klaviyo_limits import Limits
from sandbox.klaviyo_schema import BODIES, check
from sandbox.messages import Answer, Request
from sandbox.profiles import Profiles

OPERATIONS = {
    ("POST", "events"): "create_event",
    ("GET", "events"): "get_events",
    ("GET", "metrics"): "get_metrics",
    ("POST", "metric-aggregates"): "query_metric_aggregates",
    ("GET", "accounts"): "get_accounts",
    ("GET", "lists/{id}"): "get_list",
    ("POST", "profile-import"): "create_or_update_profile",
    ("POST", "profiles"): "create_profile",
    ("GET", "profiles"): "get_profiles",
    ("GET", "profiles/{id}"): "get_profile",
    ("PATCH", "profiles/{id}"): "update_profile",
    ("POST", "data-privacy-deletion-jobs"): "request_profile_deletion",
    ("POST", "profile-bulk-import-jobs"): "bulk_import_profiles",
    ("POST", "profile-subscription-bulk-create-jobs"): "bulk_subscribe_profiles",
    ("POST", "profile-subscription-bulk-delete-jobs"): "bulk_unsubscribe_profiles",
    ("GET", "profile-bulk-import-jobs"): "get_bulk_import_profiles_jobs",
    ("GET", "profile-bulk-import-jobs/{id}"): "get_bulk_import_profiles_job",
    ("GET", "profile-bulk-import-jobs/{id}/import-errors"): "get_errors_for_bulk_import_profiles_job",
    ("POST", "catalog-item-bulk-create-jobs"): "bulk_create_catalog_items",
    ("GET", "catalog-item-bulk-create-jobs"): "get_bulk_create_catalog_items_jobs",
    ("GET", "catalog-item-bulk-create-jobs/{id}"): "get_bulk_create_catalog_items_job",
    ("POST", "catalog-variant-bulk-create-jobs"): "bulk_create_catalog_variants",
    ("GET", "catalog-variant-bulk-create-jobs"): "get_bulk_create_variants_jobs",
    ("GET", "catalog-variant-bulk-create-jobs/{id}"): "get_bulk_create_variants_job",
    **{
        (method, f"catalog-{plural}{path}"): name.format(kind=kind, plural=plural)
        for kind, plural in (("item", "items"), ("variant", "variants"), ("category", "categories"))
        for method, path, name in (
            ("GET", "", "get_catalog_{plural}"),
            ("POST", "", "create_catalog_{kind}"),
            ("GET", "/{id}", "get_catalog_{kind}"),
            ("PATCH", "/{id}", "update_catalog_{kind}"),
            ("DELETE", "/{id}", "delete_catalog_{kind}"),
        )
    },
    ("GET", "catalog-items/{id}/variants"): "get_variants_for_catalog_item",
    ("GET", "catalog-categories/{id}/relationships/items"): "get_item_ids_for_catalog_category",
    ("GET", "catalog-items/{id}/relationships/categories"): "get_category_ids_for_catalog_item",
    ("POST", "catalog-items/{id}/relationships/categories"): "add_categories_to_catalog_item",
    ("PATCH", "catalog-items/{id}/relationships/categories"): "update_categories_for_catalog_item",
    ("DELETE", "catalog-items/{id}/relationships/categories"): "remove_categories_from_catalog_item",
}
"""By HTTP method and path below /api: the name of the SDK's method."""

PROFILE_WRITES = ("create_profile", "update_profile", "create_or_update_profile")
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}(\.pre)?")
_KEY = "Klaviyo-API-Key "
_SCOPE_AREAS = (
    ("catalog", "catalogs"),
    ("variants_job", "catalogs"),
    ("event", "events"),
    ("metric", "metrics"),
    ("account", "accounts"),
)
"""Parts of an operation's name, and the area of its scope. All other operations belong to `profiles`."""
_CONSENT_OPERATIONS = ("bulk_subscribe_profiles", "bulk_unsubscribe_profiles")


def required_scope(operation: str) -> str:
    """The scope that a call needs. A bulk import needs two; only `lists:write`, the rarer one, is checked."""
    if operation == "bulk_import_profiles":
        return "lists:write"
    if operation in _CONSENT_OPERATIONS:
        return "subscriptions:write"
    if operation.startswith("get_bulk_import_profiles") or operation == "get_list":
        return "lists:read"
    kind = "read" if operation.startswith(("get_", "query_")) else "write"
    if operation == "request_profile_deletion":
        return "data-privacy:write"
    area = next((area for part, area in _SCOPE_AREAS if part in operation), "profiles")
    return f"{area}:{kind}"


class Klaviyo(Backend):
    """One Klaviyo account."""

    LAGS = ("lists", "profiles")

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Restore an empty account that accepts any key."""
        self.profiles = Profiles(self.lags["profiles"])
        self.events = Events()
        self.catalog = Catalog(self.lags["lists"])
        self.limits = Limits()
        self.jobs = BulkJobs()
        self._accepted_keys: frozenset[str] | None = None
        self._scopes: frozenset[str] | None = None
        self._answers = Answers(self.profiles, self.events, self.catalog, self.jobs)

    def state(self) -> dict[str, Any]:
        """Profiles, events, catalog, erased customers, and the addresses that got a confirmation."""
        self.jobs.run_due_rows()
        counts = self.events.counts()
        return {
            "profiles": [
                {**profile, "events": counts.get(profile["id"], 0)} for profile in self.profiles.by_id.values()
            ],
            "events": [event.as_json() for event in self.events.all],
            **self.catalog.as_json(),
            "erased": self._answers.erased,
            "confirmations": self._answers.consents.confirmations,
        }

    def operation(self, request: Request) -> str:
        """The name of the SDK's method; `unknown` if there is none."""
        segments = request.segments
        if segments[0] != "api":
            return "unknown"
        pattern = "/".join("{id}" if index == 1 else segment for index, segment in enumerate(segments[1:]))
        return OPERATIONS.get((request.method, pattern), "unknown")

    def is_authorized(self, request: Request) -> bool:
        """True if the request carries an accepted key."""
        given = request.headers.get("authorization", "")
        key = given[len(_KEY) :].strip()
        return given.startswith(_KEY) and bool(key) and (self._accepted_keys is None or key in self._accepted_keys)

    def error_answer(self, status: int) -> Answer:
        """The error that Klaviyo would answer with this status."""
        return Refused(status, f"Injected failure: status {status}.").answer()

    def respond(self, request: Request) -> Answer:
        """Apply a request to the account and return the answer."""
        self.jobs.run_due_rows()
        operation = self.operation(request)
        headers: dict[str, str] = {}
        try:
            self._check_headers(request, operation)
            wait, headers = self.limits.count(operation)
            if wait:
                answer = _throttled(max(1, math.ceil(wait)))
            else:
                answer = self._answers.answer(operation, request, _checked_body(request, operation))
        except Refused as refused:
            answer = refused.answer()
        answer.content_type = JSON_API
        answer.headers = {**headers, **answer.headers}
        return answer

    def _check_headers(self, request: Request, operation: str) -> None:
        if not self.is_authorized(request):
            given = "authorization" in request.headers
            raise Refused(401, "Incorrect authentication credentials." if given else "")
        if operation == "unknown":
            raise Refused(404, f"There is no {request.method} {request.path}.")
        needed = [
            required_scope(operation),
            *(("lists:write", "profiles:write") if operation in _CONSENT_OPERATIONS else ()),
        ]
        for name in needed if self._scopes is not None else ():
            if name not in (self._scopes or ()):
                raise Refused(403, f"Your key is missing the scope {name}.")
        if not _REVISION.fullmatch(request.headers.get("revision", "")):
            raise Refused(400, "A revision header is required.", parameter="revision")

    def backend_control(self, request: Request, path: list[str]) -> Any:
        """Handle `/_control/keys`, `limits`, `jobs`, `linkage`, `metrics`, `profiles`, `consent` and `events`."""
        match request.method, path:
            case "POST", ["keys"]:
                rules = control_body(request, "accepted", "scopes")
                if "accepted" in rules:
                    self._accepted_keys = _set_or_none(rules["accepted"])
                if "scopes" in rules:
                    self._scopes = _set_or_none(rules["scopes"])
                return {}
            case "POST", ["limits"]:
                rules = control_body(request, "enforce", "scale")
                self.limits = Limits()
                self.limits.enforce = bool(rules.get("enforce", True))
                self.limits.scale = float(rules.get("scale", 1.0))
                return {"enforce": self.limits.enforce, "scale": self.limits.scale}
            case "POST", ["jobs"]:
                self.jobs.seconds = float(control_body(request, "seconds")["seconds"])
                return {"seconds": self.jobs.seconds}
            case "POST", ["linkage"]:
                linkage = control_body(request, "lists")["lists"]
                if linkage not in LINKAGES:
                    raise ControlCallError(f"lists must be one of: {', '.join(LINKAGES)}")
                self._answers.catalog_answers.linkage = linkage
                return {"lists": linkage}
        return self._control_content(request, path)

    def _control_content(self, request: Request, path: list[str]) -> Any:
        """Handle the control calls for state that no call of Klaviyo's API can create."""
        match request.method, path:
            case "POST", ["metrics"]:
                rules = control_body(request, "name", "integration", "key", "category")
                source = integration(rules["integration"], rules["key"], rules["category"])
                return {"id": self.events.add_metric(rules["name"], source).id}
            case "POST", ["profiles"]:
                return {"id": self.profiles.put(control_body(request))["id"]}
            case "POST", ["consent", *action]:
                return self._control_consent(request, action)
            case "DELETE", ["events"]:
                rules = control_body(request, "metric", "day", "most")
                day, most = rules.get("day"), rules.get("most")
                return {"dropped": self.events.drop(rules["metric"], day and date.fromisoformat(day), most)}
        return NotImplemented

    def _control_consent(self, request: Request, action: list[str]) -> Any:
        """Handle the control calls for the account's consent rules and for what people do in Klaviyo themselves."""
        consents = self._answers.consents
        match action:
            case []:
                consents.configure(control_body(request, "double_optin", "lists", "unserved", "age_gated"))
            case ["words"]:
                rules = control_body(request, "address", "says")
                consents.set_by_person(rules["address"], rules["says"])
            case ["confirmed"]:
                consents.confirm(control_body(request, "address")["address"])
            case _:
                return NotImplemented
        return {}


def _set_or_none(names: Any) -> frozenset[str] | None:
    if names is not None and not isinstance(names, list):
        raise ControlCallError("must be a list of strings, or null for no restriction")
    return None if names is None else frozenset(names)


def _throttled(seconds: int) -> Answer:
    detail = f"Request was throttled. Expected available in {seconds} second(s)."
    return Refused(429, detail, headers={"Retry-After": str(seconds)}).answer()


def _checked_body(request: Request, operation: str) -> Any:
    """The request's body, checked against the schema; None if the call has no body. Raises Refused."""
    if operation not in BODIES:
        return None
    if not request.headers.get("content-type", "").startswith(JSON_API):
        raise Refused(415, f"Content-Type must be {JSON_API}.")
    if len(request.body) > (LARGEST_PROFILE if operation in PROFILE_WRITES else LARGEST_BODY):
        raise Refused(413, "The payload is too large.", pointer="/data")
    try:
        body = request.json()
    except ValueError as error:
        raise Refused(400, f"JSON parse error: {error}", pointer="/data") from error
    check(operation, body)
    return body
