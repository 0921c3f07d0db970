"""What each Klaviyo call does: one method an operation, named after the SDK's."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bulk_answers import BulkAnswers
from sandbox.bulk_jobs import BulkJobs
from sandbox.catalog import Catalog
from sandbox.catalog_answers import CatalogAnswers
from sandbox.events import Events
from sandbox.klaviyo_content import check_event, identifier_problems
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.metric_answers import MetricAnswers
from sandbox.pages import Row, filters, page, sparse
from sandbox.profiles import Profiles, as_compared, resource

ACCOUNT = {
    "type": "account",
    "id": "SANDBX",
    "attributes": {
        "test_account": True,
        "public_api_key": "SANDBX",
        "preferred_currency": "EUR",
        "timezone": "UTC",
        "locale": "en-US",
        "industry": None,
        "contact_information": {
            "default_sender_name": "Sandbox",
            "default_sender_email": "sandbox@example.com",
            "website_url": "https://shop.example",
            "organization_name": "Sandbox",
            "street_address": dict.fromkeys(("address1", "address2", "city", "region", "country", "zip"), ""),
        },
    },
    "links": {"self": "https://a.klaviyo.com/api/accounts/SANDBX/"},
}
EVENT_PAGES = (200, 1000)
PROFILE_PAGES = (20, 100)

_PROFILE_FILTERS = dict.fromkeys(("id", "email", "phone_number", "external_id"), ("equals", "any"))
_PROFILE_FIELDS = (
    "id", "email", "phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title",
    "image", "created", "updated", "last_event_date", "location", "properties",
)  # fmt: skip


class Answers:
    """The calls of one account; everything that they refuse is raised as Refused."""

    def __init__(self, profiles: Profiles, events: Events, catalog: Catalog, jobs: BulkJobs) -> None:
        self._profiles = profiles
        self._events = events
        self.of_catalog = CatalogAnswers(catalog)
        self._of_metrics = MetricAnswers(events)
        self._bulk = BulkAnswers(profiles, catalog, jobs)
        self.erased: list[str] = []

    def answer(self, operation: str, request: Request, body: Any) -> Answer:
        """Do what was asked; `body` has been checked against its table."""
        identity = request.segments[2] if len(request.segments) > 2 else ""  # noqa: PLR2004 - /api/<kind>/<id>
        data = body["data"] if body else {}
        if request.method == "PATCH" and isinstance(data, dict) and data["id"] != identity:
            raise Refused(400, "The id of the body is not the one of the URL.", pointer="/data/id")
        if "bulk" in operation:
            return self._bulk.answer(operation, request, identity, data)
        if "catalog" in operation:
            return self.of_catalog.answer(operation, request, identity, data)
        if "metric" in operation:
            return self._of_metrics.answer(operation, request, data)
        own: Callable[[Request, str, Any], Answer] = getattr(self, operation)
        return own(request, identity, data)

    def create_event(self, _: Request, __: str, data: Mapping[str, Any]) -> Answer:
        """202: kept, or passed over when it is known."""
        attributes = data["attributes"]
        check_event(attributes)
        told = attributes["profile"]["data"]
        profile = self._profiles.of_event(told.get("id"), told["attributes"], told.get("meta"))
        if profile is not None:
            self._events.add(profile, attributes)
        return Answer(202)

    def get_events(self, request: Request, _: str, __: Any) -> Answer:
        """The newest first, by arrival."""
        conditions = filters(request, {"metric_id": ("equals",), "profile_id": ("equals",)})
        wanted = {condition.field: condition.value for condition in conditions}
        rows = [
            Row(event.number, lambda event=event: self._events.resource(event, request.origin))  # type: ignore[misc]
            for event in reversed(self._events.all)
            if wanted.get("metric_id", self._events.metric_id(event)) == self._events.metric_id(event)
            and wanted.get("profile_id", event.profile_id) == event.profile_id
        ]
        default, largest = EVENT_PAGES
        return Answer(200, page(request, rows, default=default, largest=largest, falling=True))

    def get_accounts(self, request: Request, _: str, __: Any) -> Answer:
        """The one account."""
        return Answer(200, {"data": [ACCOUNT], "links": {"self": f"{request.origin}/api/accounts"}})

    def create_or_update_profile(self, request: Request, _: str, data: Mapping[str, Any]) -> Answer:
        """201 for a new profile, 200 for a known one."""
        _check_identifiers(data["attributes"])
        profile, new = self._profiles.upsert(data.get("id"), data["attributes"], data.get("meta"))
        return Answer(201 if new else 200, {"data": resource(profile, request.origin)})

    def create_profile(self, request: Request, _: str, data: Mapping[str, Any]) -> Answer:
        """201."""
        _check_identifiers(data["attributes"])
        return Answer(201, {"data": resource(self._profiles.create(data["attributes"]), request.origin)})

    def update_profile(self, request: Request, identity: str, data: Mapping[str, Any]) -> Answer:
        """200."""
        _check_identifiers(data["attributes"], at_least_one=False)
        profile = self._profiles.update(identity, data["attributes"], data.get("meta"))
        return Answer(200, {"data": resource(profile, request.origin)})

    def get_profile(self, request: Request, identity: str, _: Any) -> Answer:
        """One profile."""
        cut = sparse(request, "profile", _PROFILE_FIELDS)
        profile = self._profiles.find("id", identity)
        if profile is None:
            raise Refused(404, f"A profile with id {identity} does not exist.")
        return Answer(200, {"data": cut(resource(profile, request.origin))})

    def get_profiles(self, request: Request, _: str, __: Any) -> Answer:
        """A page of profiles."""
        conditions = filters(request, _PROFILE_FILTERS)
        cut = sparse(request, "profile", _PROFILE_FIELDS)
        found = self._profiles.listed()
        for condition in conditions:
            values = condition.value if isinstance(condition.value, list) else [condition.value]
            named = {as_compared(condition.field, str(value)) for value in values}
            found = [
                profile for profile in found if as_compared(condition.field, profile.get(condition.field, "")) in named
            ]
        rows = [
            Row(int(profile["id"][-10:]), lambda profile=profile: cut(resource(profile, request.origin)))  # type: ignore[misc]
            for profile in found
        ]
        default, largest = PROFILE_PAGES
        return Answer(200, page(request, rows, default=default, largest=largest))

    def request_profile_deletion(self, _: Request, __: str, data: Mapping[str, Any]) -> Answer:
        """202, and the profile is gone with its events."""
        profile = data["attributes"]["profile"]["data"]
        given = {"id": profile.get("id"), **profile["attributes"]}
        named = [(name, value) for name, value in given.items() if value]
        if len(named) != 1:
            raise Refused(
                400, "Exactly one of id, email and phone_number is needed.", pointer="/data/attributes/profile/data"
            )
        erased = self._profiles.erase(*named[0])
        if erased is not None:
            self._events.erase(erased["id"])
            who = str(erased.get("external_id", erased["id"]))
            self.erased += [who] if who not in self.erased else []
        return Answer(202)


def _check_identifiers(attributes: Mapping[str, Any], *, at_least_one: bool = True) -> None:
    problems = identifier_problems(attributes, "/data/attributes")
    if problems:
        raise Refused.for_problems(problems)
    if at_least_one and not any(attributes.get(name) for name in ("email", "phone_number", "external_id", "_kx")):
        raise Refused(400, "At least one identifier is needed.", pointer="/data/attributes")
