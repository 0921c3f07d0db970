"""Klaviyo's calls: one method per operation, with the name of the SDK's method."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bulk_answers import BulkAnswers
from sandbox.bulk_jobs import BulkJobs
from sandbox.catalog import Catalog
from sandbox.catalog_answers import CatalogAnswers
from sandbox.consent import Consents, subscriptions
from sandbox.events import Events
from sandbox.klaviyo_content import check_event, identifier_problems
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.metric_answers import MetricAnswers
from sandbox.pages import Row, filters, page, sparse_fields
from sandbox.profiles import Profile, Profiles, normalized, resource

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
    "image", "created", "updated", "last_event_date", "location", "properties", "subscriptions",
)  # fmt: skip


class Answers:
    """Answers one account's calls. Rejected requests raise Refused."""

    def __init__(self, profiles: Profiles, events: Events, catalog: Catalog, jobs: BulkJobs) -> None:
        self._profiles = profiles
        self._events = events
        self.catalog_answers = CatalogAnswers(catalog)
        self._metric_answers = MetricAnswers(events)
        self._bulk_answers = BulkAnswers(profiles, catalog, jobs)
        self.consents = Consents(profiles, jobs)
        self.erased: list[str] = []

    def answer(self, operation: str, request: Request, body: Any) -> Answer:
        """Carry out a call whose `body` has already passed the schema check."""
        identity = request.segments[2] if len(request.segments) > 2 else ""  # noqa: PLR2004 - /api/<kind>/<id>
        data = body["data"] if body else {}
        if request.method == "PATCH" and isinstance(data, dict) and data["id"] != identity:
            raise Refused(400, "The id in the body is not the id in the URL.", pointer="/data/id")
        if operation in ("bulk_subscribe_profiles", "bulk_unsubscribe_profiles"):
            return self.consents.answer(operation, request, data)
        if "bulk" in operation:
            return self._bulk_answers.answer(operation, request, identity, data)
        if "catalog" in operation:
            return self.catalog_answers.answer(operation, request, identity, data)
        if "metric" in operation:
            return self._metric_answers.answer(operation, request, data)
        own: Callable[[Request, str, Any], Answer] = getattr(self, operation)
        return own(request, identity, data)

    def create_event(self, _: Request, __: str, data: Mapping[str, Any]) -> Answer:
        """202: store the event, unless it is a duplicate."""
        attributes = data["attributes"]
        check_event(attributes)
        given = attributes["profile"]["data"]
        profile = self._profiles.upsert_for_event(given.get("id"), given["attributes"], given.get("meta"))
        if profile is not None:
            self._events.add(profile, attributes)
        return Answer(202)

    def get_events(self, request: Request, _: str, __: Any) -> Answer:
        """A page of events, newest first by arrival."""
        conditions = filters(request, {"metric_id": ("equals",), "profile_id": ("equals",)})
        wanted = {condition.field: condition.value for condition in conditions}
        rows = [
            Row(event.number, lambda event=event: self._events.resource(event, request.origin))  # type: ignore[misc]
            for event in reversed(self._events.all)
            if wanted.get("metric_id", self._events.metric_id(event)) == self._events.metric_id(event)
            and wanted.get("profile_id", event.profile_id) == event.profile_id
        ]
        default, largest = EVENT_PAGES
        return Answer(200, page(request, rows, default=default, largest=largest, descending=True))

    def get_accounts(self, request: Request, _: str, __: Any) -> Answer:
        """The one account."""
        return Answer(200, {"data": [ACCOUNT], "links": {"self": f"{request.origin}/api/accounts"}})

    def get_list(self, request: Request, identity: str, _: Any) -> Answer:
        """200 for one of the account's lists."""
        if identity not in self.consents.lists:
            raise Refused(404, f"A list with id {identity} does not exist.")
        opt_in = "double_opt_in" if self.consents.lists[identity] else "single_opt_in"
        attributes = {"name": f"List {identity}", "opt_in_process": opt_in}
        links = {"self": f"{request.origin}/api/lists/{identity}/"}
        return Answer(200, {"data": {"type": "list", "id": identity, "attributes": attributes, "links": links}})

    def create_or_update_profile(self, request: Request, _: str, data: Mapping[str, Any]) -> Answer:
        """201 for a new profile, 200 for an existing one."""
        _check_identifiers(data["attributes"])
        profile, new = self._profiles.upsert(data.get("id"), data["attributes"], data.get("meta"))
        return Answer(201 if new else 200, {"data": _profile_resource(profile, request)})

    def create_profile(self, request: Request, _: str, data: Mapping[str, Any]) -> Answer:
        """201 with the new profile."""
        _check_identifiers(data["attributes"])
        return Answer(201, {"data": _profile_resource(self._profiles.create(data["attributes"]), request)})

    def update_profile(self, request: Request, identity: str, data: Mapping[str, Any]) -> Answer:
        """200 with the changed profile."""
        _check_identifiers(data["attributes"], at_least_one=False)
        profile = self._profiles.update(identity, data["attributes"], data.get("meta"))
        return Answer(200, {"data": _profile_resource(profile, request)})

    def get_profile(self, request: Request, identity: str, _: Any) -> Answer:
        """200 with one profile."""
        select = sparse_fields(request, "profile", _PROFILE_FIELDS)
        profile = self._profiles.find("id", identity)
        if profile is None:
            raise Refused(404, f"A profile with id {identity} does not exist.")
        return Answer(200, {"data": select(_profile_resource(profile, request))})

    def get_profiles(self, request: Request, _: str, __: Any) -> Answer:
        """A page of profiles."""
        conditions = filters(request, _PROFILE_FILTERS)
        select = sparse_fields(request, "profile", _PROFILE_FIELDS)
        found = self._profiles.listed()
        for condition in conditions:
            values = condition.value if isinstance(condition.value, list) else [condition.value]
            named = {normalized(condition.field, str(value)) for value in values}
            found = [
                profile for profile in found if normalized(condition.field, profile.get(condition.field, "")) in named
            ]
        rows = [
            Row(int(profile["id"][-10:]), lambda profile=profile: select(_profile_resource(profile, request)))  # type: ignore[misc]
            for profile in found
        ]
        default, largest = PROFILE_PAGES
        return Answer(200, page(request, rows, default=default, largest=largest))

    def request_profile_deletion(self, _: Request, __: str, data: Mapping[str, Any]) -> Answer:
        """202: erase the profile and its events immediately."""
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
            name = str(erased.get("external_id", erased["id"]))
            self.erased += [name] if name not in self.erased else []
        return Answer(202)


def _check_identifiers(attributes: Mapping[str, Any], *, at_least_one: bool = True) -> None:
    problems = identifier_problems(attributes, "/data/attributes")
    if problems:
        raise Refused.for_problems(problems)
    if at_least_one and not any(attributes.get(name) for name in ("email", "phone_number", "external_id", "_kx")):
        raise Refused(400, "At least one identifier is needed.", pointer="/data/attributes")


def _profile_resource(profile: Profile, request: Request) -> dict[str, Any]:
    """The profile as a JSON:API resource, with the fields that `additional-fields[profile]` adds."""
    shown = resource(profile, request.origin)
    additional = ",".join(request.query.get("additional-fields[profile]", [])).split(",")
    unknown = [name for name in additional if name not in ("", "subscriptions", "predictive_analytics")]
    if unknown:
        raise Refused(400, f"'{unknown[0]}' is not an additional field.", parameter="additional-fields[profile]")
    if "subscriptions" in additional:
        shown["attributes"]["subscriptions"] = subscriptions(profile)
    return shown
