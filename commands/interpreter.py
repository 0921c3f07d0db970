"""Run `manage.py` in the virtual environment of `make install`, whichever Python started it.

Imports the standard library only.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_OLDEST = (3, 11)
_NEEDED = ("click", "rich", "commercetools", "klaviyo_api")
"""Not all required packages, but enough: no system Python has all of these."""


def use_virtual_environment() -> None:
    """If this Python lacks the packages, restart in `.venv`; without a `.venv`, exit with the command to run."""
    if _is_complete():
        return
    python = ROOT / ".venv" / "bin" / "python"
    if Path(sys.prefix) != python.parents[1] and python.exists():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - our own interpreter, without a shell
    sys.exit(f"manage.py: required packages are not installed; run: make -C {ROOT} install")


def _is_complete() -> bool:
    return sys.version_info >= _OLDEST and all(find_spec(name) for name in _NEEDED)
