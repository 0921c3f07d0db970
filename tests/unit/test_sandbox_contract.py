"""The stand-in's own tables of fields against Klaviyo's published contract."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox.klaviyo import OPERATIONS
from sandbox.klaviyo_schema import BODIES, Field, Fields
from tests.contract import contract, needs_contract

pytestmark = needs_contract

LEFT_OUT = {
    # The SDK's revision has `meta` beside a profile's attributes; the contract's older one also inside them.
    "create_event/data/attributes/profile/data/attributes/meta",
    # Channels that nobody here subscribes to.
    *(
        f"{operation}/data/attributes/profiles/data/attributes/subscriptions/{channel}"
        for operation in ("bulk_subscribe_profiles", "bulk_unsubscribe_profiles")
        for channel in ("email/open_tracking", "whatsapp", "push")
    ),
}
"""What the contract has and the stand-in refuses."""

STRICTER = {
    # The contract lets the item's `data` be left out; a variant without an item is refused all the same.
    "create_catalog_variant/data/relationships/item/data": ("object", True),
    "bulk_create_catalog_variants/data/attributes/variants/data/relationships/item/data": ("object", True),
}
"""What the stand-in requires and the contract does not."""

Shape = dict[str, tuple[str, bool]]
"""By path: the type of a field, and whether it is required."""


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _of_contract(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], path: str
) -> Iterator[tuple[str, tuple[str, bool]]]:
    schema = _resolved(schema, schemas)
    for name, told in schema.get("properties", {}).items():
        known = _resolved(told, schemas)
        kind = known.get("type", "object" if "properties" in known else "any")
        yield f"{path}/{name}", (kind, name in schema.get("required", ()))
        yield from _of_contract(known.get("items", known), schemas, f"{path}/{name}")


def _of_sandbox(fields: Fields, path: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    kinds = {"references": "array", "strings": "array"}
    for name, known in fields.items():
        yield f"{path}/{name}", (kinds.get(known.kind, known.kind), known.required)
        yield from _of_sandbox(known.fields or {}, f"{path}/{name}")


@pytest.mark.parametrize("operation", sorted(BODIES))
def test_tables_are_those_of_the_contract(operation: str) -> None:
    """Every field has the contract's type, is required where the contract says so, and none is missing."""
    (told,) = (entry for entry in contract()["operations"] if entry["id"] == operation)
    theirs: Shape = dict(_of_contract(told["body"], contract()["schemas"], operation))
    ours: Shape = dict(_of_sandbox(BODIES[operation], operation))
    theirs = {path: shape for path, shape in theirs.items() if not any(path.startswith(left) for left in LEFT_OUT)}
    stricter = {path: shape for path, shape in STRICTER.items() if path in theirs}
    assert ours == {**theirs, **stricter}


def test_paths_are_those_of_the_contract() -> None:
    """Every call has the contract's method and path."""
    told = contract()["operations"]
    theirs = {entry["id"]: (entry["method"], entry["path"].replace("{job_id}", "{id}")) for entry in told}
    for (method, path), operation in OPERATIONS.items():
        if operation == "get_list":  # which this excerpt of the contract leaves out
            continue
        assert theirs[operation] == (method, f"/api/{path}")


def test_a_table_that_differs_would_be_found() -> None:
    """The comparison sees a wrong type and a wrong requirement."""
    (told,) = (entry for entry in contract()["operations"] if entry["id"] == "create_catalog_category")
    theirs = dict(_of_contract(told["body"], contract()["schemas"], "x"))
    assert theirs["x/data/attributes/name"] == ("string", True)
    assert dict(_of_sandbox({"name": Field("number")}, "x/data/attributes")) == {
        "x/data/attributes/name": ("number", False)
    }
