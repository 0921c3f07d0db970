"""The Klaviyo stand-in's schemas and paths, checked against Klaviyo's published contract."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox.klaviyo import OPERATIONS
from sandbox.klaviyo_schema import BODIES, Field, Fields
from tests.contract import contract, needs_contract

pytestmark = needs_contract

LEFT_OUT = {
    # The SDK's revision has `meta` next to a profile's attributes; the contract's older revision also inside them.
    "create_event/data/attributes/profile/data/attributes/meta",
    # Channels that this package does not use.
    *(
        f"{operation}/data/attributes/profiles/data/attributes/subscriptions/{channel}"
        for operation in ("bulk_subscribe_profiles", "bulk_unsubscribe_profiles")
        for channel in ("email/open_tracking", "whatsapp", "push")
    ),
}
"""Fields that the contract has and the stand-in rejects."""

STRICTER = {
    # The contract makes the item's `data` optional, but the stand-in rejects a variant without an item anyway.
    "create_catalog_variant/data/relationships/item/data": ("object", True),
    "bulk_create_catalog_variants/data/attributes/variants/data/relationships/item/data": ("object", True),
}
"""Fields that the stand-in requires and the contract does not."""

Shape = dict[str, tuple[str, bool]]
"""By path: a field's type, and True if it is required."""


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _contract_fields(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], path: str
) -> Iterator[tuple[str, tuple[str, bool]]]:
    schema = _resolved(schema, schemas)
    for name, definition in schema.get("properties", {}).items():
        known = _resolved(definition, schemas)
        kind = known.get("type", "object" if "properties" in known else "any")
        yield f"{path}/{name}", (kind, name in schema.get("required", ()))
        yield from _contract_fields(known.get("items", known), schemas, f"{path}/{name}")


def _sandbox_fields(fields: Fields, path: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    kinds = {"references": "array", "strings": "array"}
    for name, known in fields.items():
        yield f"{path}/{name}", (kinds.get(known.kind, known.kind), known.required)
        yield from _sandbox_fields(known.fields or {}, f"{path}/{name}")


@pytest.mark.parametrize("operation", sorted(BODIES))
def test_schemas_match_the_contract(operation: str) -> None:
    """The stand-in has exactly the contract's fields, with the same types and required flags."""
    (entry,) = (entry for entry in contract()["operations"] if entry["id"] == operation)
    theirs: Shape = dict(_contract_fields(entry["body"], contract()["schemas"], operation))
    ours: Shape = dict(_sandbox_fields(BODIES[operation], operation))
    theirs = {path: shape for path, shape in theirs.items() if not any(path.startswith(prefix) for prefix in LEFT_OUT)}
    stricter = {path: shape for path, shape in STRICTER.items() if path in theirs}
    assert ours == {**theirs, **stricter}


def test_paths_match_the_contract() -> None:
    """Every operation has the contract's method and path."""
    operations = contract()["operations"]
    theirs = {entry["id"]: (entry["method"], entry["path"].replace("{job_id}", "{id}")) for entry in operations}
    for (method, path), operation in OPERATIONS.items():
        if operation == "get_list":  # not in this excerpt of the contract
            continue
        assert theirs[operation] == (method, f"/api/{path}")


def test_comparison_sees_types_and_required_flags() -> None:
    """Both sides report a field's type and required flag, so that a difference is found."""
    (entry,) = (entry for entry in contract()["operations"] if entry["id"] == "create_catalog_category")
    theirs = dict(_contract_fields(entry["body"], contract()["schemas"], "x"))
    assert theirs["x/data/attributes/name"] == ("string", True)
    assert dict(_sandbox_fields({"name": Field("number")}, "x/data/attributes")) == {
        "x/data/attributes/name": ("number", False)
    }
