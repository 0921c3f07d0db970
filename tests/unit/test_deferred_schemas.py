"""Schemas of Klaviyo's SDK are built when they are used."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pydantic
import pytest
from pydantic import BaseModel, Field, ValidationError

from clients.deferred_schemas import deferred_schemas
from commands.running import ROOT


def test_what_is_defined_meanwhile_is_built_when_used_also_by_many_at_once() -> None:
    """And validates as ever."""
    with deferred_schemas():

        class Profile(BaseModel):
            email: Annotated[str, Field(max_length=5)]

        @pydantic.validate_call
        def validated(profile: Profile, times: int = 1) -> tuple[str, int]:
            return profile.email, times

    send: Any = validated

    assert not Profile.__pydantic_complete__
    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(
            lambda _: (send({"email": "a@b.c"}, times="2"), Profile(email="a@b.c").model_dump_json()), range(64)
        )
        assert set(sent) == {(("a@b.c", 2), '{"email":"a@b.c"}')}
    with pytest.raises(ValidationError):
        send({"email": "too long"})
    assert Profile.__pydantic_complete__


def test_what_is_defined_later_is_built_at_once() -> None:
    """Also after an import that failed."""
    with pytest.raises(ImportError), deferred_schemas():
        raise ImportError

    class Later(BaseModel):
        name: str

    assert Later.__pydantic_complete__
    with pytest.raises(pydantic.PydanticUserError):
        pydantic.validate_call(int)


def test_a_group_of_the_sdk_is_imported_without_its_schemas() -> None:
    """In a process of its own: here they may have been imported before."""
    code = (
        "from clients.deferred_schemas import deferred_schemas\n"
        "with deferred_schemas():\n"
        "    import openapi_client.api.profiles_api\n"
        "import sys, openapi_client.models.get_profile_response as one\n"
        "sys.exit(one.GetProfileResponse.__pydantic_complete__)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
