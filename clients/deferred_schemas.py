"""Klaviyo's SDK without the schemas that no message needs: most of what an import of one of its groups costs.

A group imports some two hundred models and has a hundred operations, each in three forms, and pydantic builds a schema
for every one of them. Deferred, it builds those that are used, when they are first used (`defer_build`, pydantic's
configuration). Measured: half of the import of `Profiles`, and more of that of `Catalogs`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict

_lock = threading.Lock()


@contextmanager
def deferred_schemas() -> Iterator[None]:
    """Have pydantic defer the schemas of all models and validated functions that are defined meanwhile.

    Their first use builds them, under pydantic's own lock where two threads do so at once. The SDK's decorators take no
    configuration, so the default is another one for as long as it is imported.
    """
    with _lock:
        configured, decorate = BaseModel.model_config, pydantic.validate_call
        deferred = ConfigDict(defer_build=True)

        def validate_call(function: Callable[..., Any]) -> Callable[..., Any]:
            return decorate(config=deferred)(function)

        BaseModel.model_config = {**configured, **deferred}
        pydantic.validate_call = validate_call  # type: ignore[assignment] # the SDK uses no other form of it
        try:
            yield
        finally:
            BaseModel.model_config, pydantic.validate_call = configured, decorate
