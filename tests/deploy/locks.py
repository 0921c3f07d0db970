"""Parse the locks (requirements*.txt) and their sources (requirements*.in)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from commands.processes import ROOT

_PIN = re.compile(r"(?P<requirement>[a-z0-9-]+==[^ ;]+(?: ; [^\\]+?)?)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)")


@dataclass(frozen=True, slots=True)
class Pin:
    """A locked distribution. `applies` is True if its marker matches this interpreter."""

    version: Version
    applies: bool
    hashes: frozenset[str]


def requirements(name: str) -> list[Requirement]:
    """The requirements of a `requirements*.in`, with those of included files."""
    return list(_requirements(ROOT / name))


def lock(name: str) -> dict[NormalizedName, Pin]:
    """The pins of a lock. Raises ValueError for any line that is not a version with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(_pin(re.sub(r" +", " ", line)) for line in text.replace("\\\n", " ").splitlines())


def _requirements(path: Path) -> Iterator[Requirement]:
    for line in path.read_text(encoding="utf-8").splitlines():
        match line.split("#")[0].split():
            case [] | ["-c", _]:
                continue
            case ["-r", included]:
                yield from _requirements(path.with_name(included))
            case words:
                yield Requirement(" ".join(words))


def _pin(line: str) -> tuple[NormalizedName, Pin]:
    found = _PIN.fullmatch(line.strip())
    if not found:
        raise ValueError(f"not a version with its hashes: {line}")
    requirement = Requirement(found["requirement"])
    (specifier,) = requirement.specifier
    applies = requirement.marker is None or requirement.marker.evaluate()
    return canonicalize_name(requirement.name), Pin(
        Version(specifier.version), applies, frozenset(found["hashes"].split())
    )
