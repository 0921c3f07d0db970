"""Models of Klaviyo's SDK are imported, and its operations built, when they are used."""

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


def refused(*, deferred: bool) -> dict[str, Any]:
    """The models that importing the groups imports; and what each of their operations says of wrong arguments."""
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


def refused_elsewhere(*, deferred: bool) -> dict[str, Any]:
    """The same in a process of its own: in this one they may have been imported before."""
    code = (
        f"import json, tests.unit.{Path(__file__).stem} as here; print(json.dumps(here.refused(deferred={deferred})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_group_is_imported_without_its_models_and_validates_as_ever() -> None:
    """Every operation of the groups that messages use, by the SDK's own models."""
    deferred, at_once = refused_elsewhere(deferred=True), refused_elsewhere(deferred=False)

    assert deferred["models"] == []
    assert len(at_once["models"]) > len(GROUPS)
    assert deferred["problems"] == at_once["problems"]
    (problem, *_) = deferred["problems"]["create_or_update_profile_without_preload_content"]
    assert problem[1] == ["profile_upsert_query", "data", "type"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_names_what_is_deferred_in_annotations_only(group: str) -> None:
    """A stand-in does for nothing else: if a new SDK breaks this, `deferred_models` has to change."""
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
    assert named(deferred, [module]) == named(deferred, [one for one in annotations if one])


def named(wanted: set[str], nodes: list[Any]) -> Counter[str]:
    """How often each of the names is used."""
    uses = [node.id for root in nodes for node in ast.walk(root) if isinstance(node, ast.Name)]
    return Counter(name for name in uses if name in wanted)


def test_what_is_validated_is_built_when_called_also_by_many_at_once() -> None:
    """And validates as ever."""
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


def test_what_is_defined_later_is_built_at_once() -> None:
    """Also after an import that failed."""
    plain_import = builtins.__import__
    with pytest.raises(ImportError), deferred_models():
        raise ImportError

    with pytest.raises(pydantic.PydanticUserError):
        pydantic.validate_call(int)
    assert builtins.__import__ is plain_import


def test_only_a_group_is_given_stand_ins() -> None:
    """Other threads import meanwhile, some with keywords."""
    with deferred_models():
        from openapi_client.models.profile_upsert_query import ProfileUpsertQuery  # noqa: PLC0415

        decode = __import__(name="json.decoder", globals=None, locals=None, fromlist=["JSONDecoder"], level=0)

    assert issubclass(ProfileUpsertQuery, BaseModel)
    assert decode.JSONDecoder is json.JSONDecoder
