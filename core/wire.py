"""JSON as it goes over the wire.

orjson does it for a fraction of the CPU, and is stricter than JSON in the wild: what it refuses goes to the standard
library, which takes half of a surrogate pair, numbers of any size, what is nested deeply, and in texts also NaN.
"""

import json
from typing import Any

import orjson

_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def decoded(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError for what is none, RecursionError for what is nested too deeply.

    An integer beyond 64 bits comes back as the nearest float.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def encoded(value: Any) -> bytes:
    """The JSON text of a value, without blanks. Raises TypeError, ValueError or RecursionError for none."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def strictly_encoded(value: Any) -> bytes | None:
    """The JSON text of a value, or None where a part of it is of no JSON type, no text, or a number beyond 64 bits.

    NaN and infinity become `null`.
    """
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError:
        return None
