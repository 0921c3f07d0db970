"""What each Klaviyo call does: one method an operation, named after the SDK's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.bulk_answers import BulkAnswers
from sandbox.bulk_jobs import BulkJobs
from sandbox.catalog import PREFIX, SPARSE, Catalog, Record
from sandbox.events import Events
from sandbox.klaviyo_content import check_catalog, check_event, identifier_problems
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.pages import Row, filters, matches, page, sparse
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
KINDS = {
    "items": "catalog-item", "item": "catalog-item",
    "variants": "catalog-variant", "variant": "catalog-variant",
    "categories": "catalog-category", "category": "catalog-category",
}  # fmt: skip
CATALOG_PAGE = 100
EVENT_PAGES = (200, 1000)
PROFILE_PAGES = (20, 100)

_CATALOG_FILTERS = {
    "catalog-item": {
        "ids": ("any",), "category.id": ("equals",), "title": ("contains",), "published": ("equals",),
    },
    "catalog-variant": {
        "ids": ("any",), "item.id": ("equals",), "sku": ("equals",), "title": ("contains",), "published": ("equals",),
    },
    "catalog-category": {"ids": ("any",), "item.id": ("equals",), "name": ("contains",)},
}  # fmt: skip
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
        self._catalog = catalog
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
            return self._of_catalog(operation, request, identity, data)
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
            if wanted.get("metric_id", self._events.metrics[event.metric]) == self._events.metrics[event.metric]
            and wanted.get("profile_id", event.profile_id) == event.profile_id
        ]
        default, largest = EVENT_PAGES
        return Answer(200, page(request, rows, default=default, largest=largest, falling=True))

    def get_metrics(self, request: Request, _: str, __: Any) -> Answer:
        """All metrics."""
        data = [self._events.metric_resource(name, request.origin) for name in self._events.metrics]
        return Answer(200, {"data": data, "links": {"self": f"{request.origin}/api/metrics", "next": None}})

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

    def _of_catalog(self, operation: str, request: Request, identity: str, data: Any) -> Answer:
        verb, _, what = operation.partition("_")
        related = {
            "get_variants_for_catalog_item": self._variants_of_item,
            "get_item_ids_for_catalog_category": self._items_of_category,
            "get_category_ids_for_catalog_item": self._categories_of_item,
        }.get(operation)
        if related:
            return related(request, identity)
        if operation.endswith(("to_catalog_item", "for_catalog_item", "from_catalog_item")):
            self._catalog.relate(identity, data, operation)
            return Answer(204)
        kind = KINDS[what.removeprefix("catalog_")]
        if verb == "get" and not identity:
            return self._list(request, kind, list(self._catalog.listed().of(kind).values()))
        if verb == "delete":
            self._catalog.delete(kind, identity)
            return Answer(204)
        cut = sparse(request, kind, SPARSE[kind])
        if verb == "get":
            record = self._catalog.find(kind, identity)
        else:
            check_catalog(data["attributes"])
            record = (
                self._catalog.create(kind, data) if verb == "create" else self._catalog.update(kind, identity, data)
            )
        return Answer(201 if verb == "create" else 200, {"data": cut(record.resource(kind, request.origin))})

    def _variants_of_item(self, request: Request, identity: str) -> Answer:
        tables = self._catalog.listed()
        item = identity.removeprefix(PREFIX)
        if not identity.startswith(PREFIX) or item not in tables.items:
            raise Refused(404, f"A catalog-item with id {identity} does not exist.")
        variants = [tables.variants[name] for name in tables.variants_of.get(item, ())]
        return self._list(request, "catalog-variant", variants)

    def _categories_of_item(self, request: Request, identity: str) -> Answer:
        categories = self._catalog.find("catalog-item", identity).categories
        references = [{"type": "catalog-category", "id": PREFIX + name} for name in categories]
        return Answer(200, {"data": references, "links": {"self": request.origin + request.target, "next": None}})

    def _items_of_category(self, request: Request, identity: str) -> Answer:
        tables = self._catalog.listed()
        category = identity.removeprefix(PREFIX)
        if not identity.startswith(PREFIX) or category not in tables.categories:
            raise Refused(404, f"A catalog-category with id {identity} does not exist.")
        rows = [
            Row(item.place, lambda item=item: {"type": "catalog-item", "id": PREFIX + item.external_id})  # type: ignore[misc]
            for item in tables.items.values()
            if category in item.categories
        ]
        return Answer(200, page(request, rows, default=CATALOG_PAGE, largest=CATALOG_PAGE))

    def _list(self, request: Request, kind: str, records: Sequence[Record]) -> Answer:
        cut = sparse(request, kind, SPARSE[kind])
        conditions = filters(request, _CATALOG_FILTERS[kind])
        found = [
            record
            for record in records
            if all(matches(condition, self._value(record, condition.field)) for condition in conditions)
        ]
        sort = request.query.get("sort", ["created"])[-1]
        if sort not in ("created", "-created"):
            raise Refused(400, f"'{sort}' is no way to sort.", parameter="sort")
        falling = sort == "-created"
        rows = [
            Row(record.place, lambda record=record: cut(record.resource(kind, request.origin)))  # type: ignore[misc]
            for record in (reversed(found) if falling else found)
        ]
        return Answer(200, page(request, rows, default=CATALOG_PAGE, largest=CATALOG_PAGE, falling=falling))

    @staticmethod
    def _value(record: Record, field: str) -> Any:
        match field:
            case "ids":
                return PREFIX + record.external_id
            case "item.id":
                return PREFIX + record.item
            case "category.id":
                return [PREFIX + name for name in record.categories]
        return record.attributes.get(field)


def _check_identifiers(attributes: Mapping[str, Any], *, at_least_one: bool = True) -> None:
    problems = identifier_problems(attributes, "/data/attributes")
    if problems:
        raise Refused.for_problems(problems)
    if at_least_one and not any(attributes.get(name) for name in ("email", "phone_number", "external_id", "_kx")):
        raise Refused(400, "At least one identifier is needed.", pointer="/data/attributes")
