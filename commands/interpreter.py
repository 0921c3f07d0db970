"""Runs `manage.py` in the environment that `make install` made, whichever Python it was started with.

Imports nothing that has to be installed.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_OLDEST = (3, 11)
_NEEDED = ("click", "rich", "commercetools", "klaviyo_api")
"""Not all that is needed, but no system's Python has these together."""


def use_environment() -> None:
    """Go on in `.venv` where this Python lacks the packages; without such an environment exit and say what to run."""
    if _is_complete():
        return
    python = ROOT / ".venv" / "bin" / "python"
    if Path(sys.prefix) != python.parents[1] and python.exists():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - our own interpreter, and no shell is wanted
    sys.exit(f"manage.py: its packages are not installed; run: make -C {ROOT} install")


def _is_complete() -> bool:
    return sys.version_info >= _OLDEST and all(find_spec(name) for name in _NEEDED)
