"""Klaviyo's SDK imports its models, and builds the schemas of its operations, only when they are used."""

import ast
import builtins
import inspect
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest
from pydantic import BaseModel, Field, GetCoreSchemaHandler, ValidationError

from clients.deferred_models import deferred_models
from commands.processes import ROOT

GROUPS = ("catalogs", "data_privacy", "events", "profiles")
MODELS = "openapi_client.models."
ANSWERS = "openapi_client.api_response"
WRONG = {"data": {"type": 5, "attributes": {"email": 5, "profile": {"data": 5}, "metric": {"data": 5}}}}


def import_groups(*, deferred: bool) -> dict[str, Any]:
    """Import the groups. Return the models imported with them, and each operation's errors for wrong arguments."""
    with deferred_models() if deferred else nullcontext():
        modules = {group: import_module(f"openapi_client.api.{group}_api") for group in GROUPS}
    models = [name for name in sys.modules if name.startswith(MODELS)]
    problems = {}
    for group, module in modules.items():
        for name, operation in vars(getattr(module, f"{group.title().replace('_', '')}Api")).items():
            if name.endswith("_without_preload_content"):
                _, *parameters = inspect.signature(operation).parameters.values()
                wrong = {one.name: WRONG for one in parameters if one.default is one.empty}
                with pytest.raises(ValidationError) as error:
                    operation(None, **wrong, _request_timeout="soon")
                problems[name] = [(one["type"], one["loc"], one["msg"]) for one in error.value.errors()]
    return {"models": models, "problems": problems}


def import_groups_in_new_process(*, deferred: bool) -> dict[str, Any]:
    """Run `import_groups` in a new process, as this one may have imported the groups before."""
    code = (
        f"import json, tests.unit.{Path(__file__).stem} as here;"
        f" print(json.dumps(here.import_groups(deferred={deferred})))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def test_a_group_imported_without_its_models_validates_the_same() -> None:
    """Every operation of the groups that messages use still validates its arguments by the SDK's own models."""
    deferred, immediate = import_groups_in_new_process(deferred=True), import_groups_in_new_process(deferred=False)

    assert deferred["models"] == []
    assert len(immediate["models"]) > len(GROUPS)
    assert deferred["problems"] == immediate["problems"]
    (problem, *_) = deferred["problems"]["create_or_update_profile_without_preload_content"]
    assert problem[1] == ["profile_upsert_query", "data", "type"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_uses_deferred_names_only_in_annotations(group: str) -> None:
    """A placeholder works for nothing else. If a new SDK breaks this, `deferred_models` has to change."""
    spec = find_spec(f"openapi_client.api.{group}_api")
    assert spec
    module = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    deferred = {
        alias.name for node in imports if str(node.module).startswith((MODELS, ANSWERS)) for alias in node.names
    }
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    annotations = [function.returns for function in functions]
    annotations += [argument.annotation for function in functions for argument in function.args.args]

    assert "ApiResponse" in deferred
    assert len(deferred) > 1
    assert name_counts(deferred, [module]) == name_counts(deferred, [one for one in annotations if one])


def name_counts(wanted: set[str], nodes: list[Any]) -> Counter[str]:
    """How often each of the names is used."""
    uses = [node.id for root in nodes for node in ast.walk(root) if isinstance(node, ast.Name)]
    return Counter(name for name in uses if name in wanted)


def test_a_schema_is_built_at_the_first_call() -> None:
    """Concurrent first calls work too, and arguments are validated as usual."""
    built: list[str] = []

    class Email:
        @classmethod
        def __get_pydantic_core_schema__(cls, _: object, handler: GetCoreSchemaHandler) -> Any:
            built.append(cls.__name__)
            return handler.generate_schema(Annotated[str, Field(max_length=5)])

    with deferred_models():

        @pydantic.validate_call
        def validated(email: Email, times: int = 1) -> tuple[Email, int]:
            return email, times

    send: Any = validated

    assert built == []
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: send("a@b.c", times="2"), range(64))) == {("a@b.c", 2)}
    with pytest.raises(ValidationError):
        send("too long")
    assert built


def test_validation_is_not_deferred_after_the_block() -> None:
    """Python's import and pydantic's decorator are restored, also after a failed import."""
    plain_import = builtins.__import__
    with pytest.raises(ImportError), deferred_models():
        raise ImportError

    with pytest.raises(pydantic.PydanticUserError):
        pydantic.validate_call(int)
    assert builtins.__import__ is plain_import


def test_only_a_group_gets_placeholders() -> None:
    """Imports of other modules inside the block work as usual, also with keyword arguments."""
    with deferred_models():
        from openapi_client.models.profile_upsert_query import ProfileUpsertQuery  # noqa: PLC0415

        decode = __import__(name="json.decoder", globals=None, locals=None, fromlist=["JSONDecoder"], level=0)

    assert issubclass(ProfileUpsertQuery, BaseModel)
    assert decode.JSONDecoder is json.JSONDecoder
