"""Klaviyo's SDK without the models that no message needs: most of what importing one of its groups costs.

A group names up to 230 models. Most are answers, which are read raw, or belong to operations that nobody calls; and
pydantic builds a schema for each of them, and for each of a hundred operations in three forms. Deferred, an operation
is built when it is first called, and only the models that it takes are imported then. Measured: `Profiles` takes a
sixth of the CPU to import.
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
_ANNOTATING = ("openapi_client.models.", "openapi_client.api_response")
"""What groups import for their annotations alone."""

_lock = threading.RLock()
"""Held for one import of the SDK at a time."""


@contextmanager
def deferred_models() -> Iterator[None]:
    """Defer the models and the validation of the groups of the SDK that are imported meanwhile.

    The SDK takes no configuration for it, so this replaces `import` and `validate_call` until it is imported. Only a
    group gets stand-ins, whichever thread imports it: anyone else who imports a model gets the model.
    """
    with _lock:
        decorate, plain_import = pydantic.validate_call, builtins.__import__

        def validate_call(function: Callable[..., Any]) -> Callable[..., Any]:
            return decorate(config=ConfigDict(defer_build=True))(function)

        def deferring_import(  # Python's signature: other threads import meanwhile, and may pass keywords
            name: str,
            globals: Mapping[str, Any] | None = None,  # noqa: A002
            locals: Mapping[str, Any] | None = None,  # noqa: A002
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            importer = str(globals.get("__name__")) if globals else ""
            if fromlist and name.startswith(_ANNOTATING) and importer.startswith(_GROUPS):
                return SimpleNamespace(**{model: _stand_in(name, model) for model in fromlist})
            return plain_import(name, globals, locals, fromlist, level)

        pydantic.validate_call = validate_call  # type: ignore[assignment] # the SDK uses no other form of it
        builtins.__import__ = deferring_import
        try:
            yield
        finally:
            builtins.__import__ = plain_import
            pydantic.validate_call = decorate


def _stand_in(module: str, model: str) -> type:
    """A class to annotate with in a model's place. To pydantic it is the model, which is then imported."""

    def schema(_: type, __: object, handler: GetCoreSchemaHandler) -> Any:
        with _lock:
            imported = import_module(module)
        return handler.generate_schema(getattr(imported, model))

    members = {"__get_pydantic_core_schema__": classmethod(schema), "__class_getitem__": classmethod(GenericAlias)}
    return type(model, (), members)
