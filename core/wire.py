"""Encode and decode JSON.

orjson needs a fraction of the CPU, but is stricter than JSON. Whatever it refuses falls back to the standard
library, which accepts lone surrogates, numbers of any size, deeper nesting and, when decoding, NaN.
"""

import json
from typing import Any

import orjson

_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def decoded(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError if it is not JSON, RecursionError if it is nested too deeply.

    An integer beyond 64 bits becomes the nearest float, if there is one.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def encoded(value: Any) -> bytes:
    """The JSON text of a value, without spaces. Raises TypeError, ValueError or RecursionError if it has none."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def strictly_encoded(value: Any) -> bytes | None:
    """The JSON text of a value. NaN and infinity become `null`.

    None if a part of it has no JSON type, is a string that UTF-8 can't encode, or a number beyond 64 bits.
    """
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError:
        return None
