"""Import Klaviyo's SDK without the models that no message needs, which are most of the cost of importing it.

A group of the SDK refers to up to 230 models. Most describe answers, which this package reads raw, or belong to
operations that it never calls. But at import, pydantic builds a schema for every model, and three for every operation
(`Catalogs` has 55). Deferred, an operation's schema is built at its first call, and only the models of its arguments
are imported. Measured: importing `Profiles` then takes a sixth of the CPU.
"""

import builtins
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import GenericAlias, SimpleNamespace
from typing import Any

import pydantic
from pydantic import ConfigDict, GetCoreSchemaHandler

_GROUPS = "openapi_client.api."
_ANNOTATION_MODULES = ("openapi_client.models.", "openapi_client.api_response")
"""Modules that groups import only for annotations."""

_lock = threading.RLock()
"""Held during each import of the SDK, so that there is one at a time."""


@contextmanager
def deferred_models() -> Iterator[None]:
    """Defer the models and the validation of all SDK groups that are imported inside.

    The SDK has no option for this, so Python's `import` and pydantic's `validate_call` are replaced inside, for all
    threads. Only groups get placeholders. Any other module that imports a model gets the model.
    """
    with _lock:
        decorate, plain_import = pydantic.validate_call, builtins.__import__

        def validate_call(function: Callable[..., Any]) -> Callable[..., Any]:
            return decorate(config=ConfigDict(defer_build=True))(function)

        def deferring_import(  # Python's own signature: other threads import at the same time, and may use keywords
            name: str,
            globals: Mapping[str, Any] | None = None,  # noqa: A002
            locals: Mapping[str, Any] | None = None,  # noqa: A002
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            importer = str(globals.get("__name__")) if globals else ""
            if fromlist and name.startswith(_ANNOTATION_MODULES) and importer.startswith(_GROUPS):
                return SimpleNamespace(**{model: _placeholder(name, model) for model in fromlist})
            return plain_import(name, globals, locals, fromlist, level)

        pydantic.validate_call = validate_call  # type: ignore[assignment] # the only form the SDK uses
        builtins.__import__ = deferring_import
        try:
            yield
        finally:
            builtins.__import__ = plain_import
            pydantic.validate_call = decorate


def _placeholder(module: str, model: str) -> type:
    """A class for annotations in place of a model. When pydantic needs its schema, the model is imported."""

    def schema(_: type, __: object, handler: GetCoreSchemaHandler) -> Any:
        with _lock:
            imported = import_module(module)
        return handler.generate_schema(getattr(imported, model))

    members = {"__get_pydantic_core_schema__": classmethod(schema), "__class_getitem__": classmethod(GenericAlias)}
    return type(model, (), members)
