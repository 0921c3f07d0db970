"""Klaviyo's API contract, to validate bodies with. It is read from a reference folder next to this project.

Without that folder, tests that need the contract are skipped. With REQUIRE_CONTRACT set, as in CI, they fail.
"""

import json
import os
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CONTRACT = Path(__file__).parents[2] / "shared/reference/klaviyo-contract.json"

IS_CHECKED = CONTRACT.exists() or bool(os.environ.get("REQUIRE_CONTRACT"))
"""True if bodies are validated against the contract."""

needs_contract = pytest.mark.skipif(
    not IS_CHECKED, reason="the reference with Klaviyo's contract is not next to this project"
)


@cache
def contract() -> dict[str, Any]:
    """The contract's operations and schemas."""
    content: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))
    return content


@cache
def validator(operation: str) -> jsonschema.Draft202012Validator:
    """Validator for an operation's body. Fields that the schema does not name are errors, as the SDK drops them."""
    body = next(found["body"] for found in contract()["operations"] if found["id"] == operation)
    schemas = {name: as_json_schema(schema) for name, schema in contract()["schemas"].items()}
    return jsonschema.Draft202012Validator({**as_json_schema(body), "components": {"schemas": schemas}})


def as_json_schema(schema: Any) -> Any:
    """Convert an OpenAPI schema to JSON Schema: `nullable` becomes a null type, and unknown fields are errors."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: as_json_schema(part) for name, part in deepcopy(schema).items() if name != "nullable"}
    if isinstance(plain.get("properties"), dict) and plain.get("type") == "object":
        plain["additionalProperties"] = False
    if schema.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
