"""Klaviyo's request schemas: tables of fields, and the check of a body against them.

Optional fields may be null, required ones may not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.klaviyo_errors import Problem, Refused
from sandbox.messages import is_number

Kind = Literal["string", "number", "integer", "boolean", "strings", "object", "references", "any"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `fields` are those of an object (None: any content), `choices` the allowed values (empty: any)."""

    kind: Kind
    required: bool = False
    nullable: bool = True
    choices: tuple[Any, ...] = ()
    fields: "Mapping[str, Field] | None" = field(default=None)


Fields = Mapping[str, Field]


def _strings(names: str, *, required: bool = False) -> dict[str, Field]:
    return {name: Field("string", required) for name in names.split()}


def _object(fields: Fields, *, required: bool = True) -> Field:
    return Field("object", required, nullable=not required, fields=fields)


def _resource(kind: str, attributes: Fields, more: Fields | None = None) -> Fields:
    """The fields of a body: `data` with its type, its attributes and `more`."""
    return {"data": _data(kind, attributes, more)}


def _data(kind: str, attributes: Fields, more: Fields | None = None) -> Field:
    return _object({"type": _type(kind), "attributes": _object(attributes), **(more or {})})


def _type(kind: str) -> Field:
    return Field("string", required=True, choices=(kind,))


def _references_to(kind: str, *, required: bool = False) -> Field:
    return Field("references", required, nullable=False, fields={"type": _type(kind), "id": Field("string", True)})


def _relationships(name: str, kind: str) -> dict[str, Field]:
    """The field `relationships.<name>.data[]`."""
    return {"relationships": _object({name: _object({"data": _references_to(kind)}, required=False)}, required=False)}


ID: Fields = {"id": Field("string", required=True)}
OPTIONAL_ID: Fields = {"id": Field("string")}
ANY_OBJECT = Field("object")
_CATALOG_TYPES: Fields = {
    "integration_type": Field("string", choices=("$custom",)),
    "catalog_type": Field("string", choices=("$default",)),
}

_LOCATION: Fields = {
    **_strings("address1 address2 city country region zip timezone ip"),
    "latitude": Field("any"),
    "longitude": Field("any"),
}
PROFILE: Fields = {
    **_strings("email phone_number external_id first_name last_name organization locale title image"),
    "location": _object(_LOCATION, required=False),
    "properties": ANY_OBJECT,
}
_META: Fields = {
    "meta": _object(
        {
            "patch_properties": _object(
                {"append": ANY_OBJECT, "unappend": ANY_OBJECT, "unset": Field("any")}, required=False
            ),
            "patch_identifiers": _object({"append": ANY_OBJECT, "unappend": ANY_OBJECT}, required=False),
        },
        required=False,
    )
}
_METRIC = _data("metric", {"name": Field("string", required=True), "service": Field("string")})
_EVENT_PROFILE: Fields = {**PROFILE, **_strings("anonymous_id _kx")}
EVENT: Fields = {
    "properties": Field("object", required=True),
    "metric": _object({"data": _METRIC}),
    "profile": _object({"data": _data("profile", _EVENT_PROFILE, {**OPTIONAL_ID, **_META})}),
    **_strings("time value_currency unique_id"),
    "value": Field("number"),
    "backfill": Field("boolean"),
}
_COMMON_CATALOG_FIELDS: Fields = {
    **_strings("image_full_url image_thumbnail_url"),
    "images": Field("strings"),
    "custom_metadata": ANY_OBJECT,
    "published": Field("boolean"),
}
_ITEM: Fields = {**_strings("title description url"), "price": Field("number"), **_COMMON_CATALOG_FIELDS}
_VARIANT: Fields = {
    **_ITEM,
    "sku": Field("string"),
    "inventory_quantity": Field("number"),
    "inventory_policy": Field("integer", choices=(0, 1, 2)),
}
_AGGREGATES: Fields = {
    "metric_id": Field("string", required=True),
    "measurements": Field("strings", required=True),
    "filter": Field("strings", required=True),
    "by": Field("strings"),
    "return_fields": Field("strings"),
    "interval": Field("string", choices=("day", "hour", "month", "week")),
    "page_size": Field("integer"),
    **_strings("page_cursor timezone sort"),
}
_ERASED_PROFILE = _data("profile", _strings("email phone_number"), OPTIONAL_ID)
_PARENT = _object({"data": _object({"type": _type("catalog-item"), **ID})})

_NEW_ITEM = _data(
    "catalog-item",
    {**_ITEM, **_strings("external_id title description url", required=True), **_CATALOG_TYPES},
    _relationships("categories", "catalog-category"),
)
_NEW_VARIANT = _data(
    "catalog-variant",
    {
        **_VARIANT,
        **_strings("external_id title description url sku", required=True),
        "price": Field("number", required=True),
        "inventory_quantity": Field("number", required=True),
        **_CATALOG_TYPES,
    },
    {"relationships": _object({"item": _PARENT})},
)
_UPSERTED_PROFILE = _data("profile", {**PROFILE, **_strings("_kx")}, {**OPTIONAL_ID, **_META})


def _subscribers(consent: str, more: Fields) -> Field:
    """`profiles.data[]` of the jobs that change consent. Only subscribing accepts an id and a date of birth."""
    marketing = _object({"consent": Field("string", True, choices=(consent,)), **more}, required=False)
    channels = {
        "email": _object({"marketing": marketing}, required=False),
        "sms": _object({"marketing": marketing, "transactional": marketing}, required=False),
    }
    attributes = {**_strings("email phone_number"), "subscriptions": _object(channels)}
    own_id = OPTIONAL_ID if consent == "SUBSCRIBED" else {}
    age = {"age_gated_date_of_birth": Field("string")} if consent == "SUBSCRIBED" else {}
    row = {"type": _type("profile"), **own_id, "attributes": _object({**attributes, **age})}
    return Field("references", required=True, nullable=False, fields=row)


_LIST = _object({"data": _object({"type": _type("list"), **ID}, required=False)}, required=False)
_LIST_RELATIONSHIP: Fields = {"relationships": _object({"list": _LIST}, required=False)}


def _job(kind: str, name: str, row: Field, more: Fields | None = None) -> Fields:
    """The fields of a bulk job, whose rows are `data.attributes.<name>.data[]`."""
    rows = Field("references", required=True, nullable=False, fields=row.fields)
    return _resource(kind, {name: _object({"data": rows})}, more)


BODIES: dict[str, Fields] = {
    "create_event": _resource("event", EVENT),
    "create_profile": _resource("profile", PROFILE),
    "update_profile": _resource("profile", PROFILE, {**ID, **_META}),
    "create_or_update_profile": {"data": _UPSERTED_PROFILE},
    "bulk_import_profiles": _job(
        "profile-bulk-import-job", "profiles", _UPSERTED_PROFILE, _relationships("lists", "list")
    ),
    "query_metric_aggregates": _resource("metric-aggregate", _AGGREGATES),
    "bulk_subscribe_profiles": _resource(
        "profile-subscription-bulk-create-job",
        {
            "custom_source": Field("string"),
            "historical_import": Field("boolean"),
            "profiles": _object({"data": _subscribers("SUBSCRIBED", {"consented_at": Field("string")})}),
        },
        _LIST_RELATIONSHIP,
    ),
    "bulk_unsubscribe_profiles": _resource(
        "profile-subscription-bulk-delete-job",
        {"profiles": _object({"data": _subscribers("UNSUBSCRIBED", {})})},
        _LIST_RELATIONSHIP,
    ),
    "request_profile_deletion": _resource("data-privacy-deletion-job", {"profile": _object({"data": _ERASED_PROFILE})}),
    "create_catalog_item": {"data": _NEW_ITEM},
    "bulk_create_catalog_items": _job("catalog-item-bulk-create-job", "items", _NEW_ITEM),
    "update_catalog_item": _resource("catalog-item", _ITEM, {**ID, **_relationships("categories", "catalog-category")}),
    "create_catalog_variant": {"data": _NEW_VARIANT},
    "bulk_create_catalog_variants": _job("catalog-variant-bulk-create-job", "variants", _NEW_VARIANT),
    "update_catalog_variant": _resource("catalog-variant", _VARIANT, ID),
    "create_catalog_category": _resource(
        "catalog-category",
        {**_strings("external_id name", required=True), **_CATALOG_TYPES},
        _relationships("items", "catalog-item"),
    ),
    "update_catalog_category": _resource(
        "catalog-category", _strings("name"), {**ID, **_relationships("items", "catalog-item")}
    ),
    **{
        f"{verb}_catalog_item": {"data": _references_to("catalog-category", required=True)}
        for verb in ("add_categories_to", "update_categories_for", "remove_categories_from")
    },
}
"""By operation: the fields of the body."""


def check(operation: str, body: Any) -> None:
    """Raise Refused with every problem of a body."""
    if not isinstance(body, dict):
        raise Refused(400, "The request body must be a JSON object.", pointer="/data")
    problems: list[Problem] = []
    _check_fields(body, BODIES[operation], "", problems)
    if problems:
        raise Refused.for_problems(problems)


def _check_fields(value: Mapping[str, Any], fields: Fields, pointer: str, problems: list[Problem]) -> None:
    for name, content in value.items():
        known = fields.get(name)
        if known is None:
            problems.append(Problem(f"{pointer}/{name}", f"'{name}' is not a valid field."))
        elif content is not None:
            _check_content(content, known, f"{pointer}/{name}", problems)
        elif known.required or not known.nullable:
            problems.append(Problem(f"{pointer}/{name}", f"'{name}' may not be null."))
    problems += [
        Problem(f"{pointer}/{name}", f"'{name}' is a required field.")
        for name, known in fields.items()
        if known.required and name not in value
    ]


def _check_content(content: Any, known: Field, at: str, problems: list[Problem]) -> None:
    if not _TYPE_CHECKS[known.kind](content):
        problems.append(Problem(at, f"'{at.rpartition('/')[2]}' is not of type {known.kind}."))
    elif known.choices and content not in known.choices:
        problems.append(Problem(at, f"'{content}' is not one of {', '.join(map(str, known.choices))}."))
    elif known.kind == "references":
        for index, reference in enumerate(content):
            if isinstance(reference, dict):
                _check_fields(reference, known.fields or {}, f"{at}/{index}", problems)
            else:
                problems.append(Problem(f"{at}/{index}", "A resource identifier must be an object."))
    elif known.fields is not None:
        _check_fields(content, known.fields, at, problems)


_TYPE_CHECKS: Mapping[Kind, Callable[[Any], bool]] = {
    "string": lambda content: isinstance(content, str),
    "number": is_number,
    "integer": lambda content: isinstance(content, int) and not isinstance(content, bool),
    "boolean": lambda content: isinstance(content, bool),
    "object": lambda content: isinstance(content, dict),
    "references": lambda content: isinstance(content, list),
    "strings": lambda content: isinstance(content, list) and all(isinstance(element, str) for element in content),
    "any": lambda _: True,
}
