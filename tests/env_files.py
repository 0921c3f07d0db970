"""Ways to write a value with quotes and spaces into an .env file."""

import json
from collections.abc import Callable, Mapping

QUOTING_STYLES: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda value: value,
    "in single quotes": lambda value: f"'{value}'",
    "in double quotes": lambda value: f'"{value}"',
    "escaped in double quotes": json.dumps,
}
