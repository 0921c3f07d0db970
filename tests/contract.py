"""Klaviyo's own contract, where the reference that holds it stands beside this project.

With REQUIRE_CONTRACT set, as in CI, tests fail without it; else they leave it out.
"""

import json
import os
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CONTRACT = Path(__file__).parents[1].parent / "shared/reference/klaviyo-contract.json"

IS_HELD = CONTRACT.exists() or bool(os.environ.get("REQUIRE_CONTRACT"))
"""Whether bodies are held against the contract."""

needs_contract = pytest.mark.skipif(
    not IS_HELD, reason="the reference with Klaviyo's contract is not beside this project"
)


@cache
def contract() -> dict[str, Any]:
    """Its operations and schemas."""
    content: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))
    return content


@cache
def validator(operation: str) -> jsonschema.Draft202012Validator:
    """Make a validator of an operation's body; what the schema does not name is a mistake, as the SDK drops it."""
    body = next(found["body"] for found in contract()["operations"] if found["id"] == operation)
    schemas = {name: as_json_schema(schema) for name, schema in contract()["schemas"].items()}
    return jsonschema.Draft202012Validator({**as_json_schema(body), "components": {"schemas": schemas}})


def as_json_schema(schema: Any) -> Any:
    """JSON Schema of an OpenAPI schema: `nullable` spelled out, and no properties but those that are named."""
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
