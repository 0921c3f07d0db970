"""How people write a value that holds quotes and spaces into a file of settings."""

import json
from collections.abc import Callable, Mapping

WAYS_TO_WRITE: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda value: value,
    "in single quotes": lambda value: f"'{value}'",
    "in double quotes": lambda value: f'"{value}"',
    "escaped in double quotes": json.dumps,
}
