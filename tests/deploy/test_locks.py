"""The locks, compared with requirements*.in, with what is installed and with what is imported. Offline."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackagePath, distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from commands.processes import ROOT
from tests.deploy.locks import lock, requirements
from tests.deploy.upload import imports, uploaded_files

DEPLOYED, DEVELOPMENT = "requirements.txt", "requirements-dev.txt"
LOCKS = [("requirements.in", DEPLOYED), ("requirements-dev.in", DEVELOPMENT)]
STARTED = {"gunicorn"}
"""What deployed code starts by name, and so never imports."""
DEVELOPERS_FOLDERS = ("commands", "sandbox", "bench", "tests")

INSTALLED = {canonicalize_name(one.name): one for one in distributions()}


@pytest.mark.parametrize(("source", "name"), LOCKS)
def test_lock_has_what_is_asked_for(source: str, name: str) -> None:
    """Each requirement is locked at a version that it allows."""
    pins = lock(name)
    wrong = [
        str(one)
        for one in requirements(source)
        if (pin := pins.get(canonicalize_name(one.name))) is None or pin.version not in one.specifier
    ]
    assert not wrong, f"run `make lock`: {wrong}"


@pytest.mark.parametrize(("source", "name"), LOCKS)
def test_lock_has_what_that_needs_and_nothing_else(source: str, name: str) -> None:
    """What is locked for this interpreter is what the requirements lead to, by the metadata of what is installed."""
    locked = {one for one, pin in lock(name).items() if pin.applies}
    assert locked == _needed(requirements(source)), "run `make lock`, then `make install`"


@pytest.mark.parametrize("name", [DEPLOYED, DEVELOPMENT])
def test_what_is_installed_is_what_is_locked(name: str) -> None:
    """These tests run with the locked versions."""
    locked = {one: pin.version for one, pin in lock(name).items() if pin.applies}
    assert locked == {one: Version(INSTALLED[one].version) for one in locked if one in INSTALLED}, "run `make install`"


@pytest.mark.parametrize("name", [DEPLOYED, DEVELOPMENT])
def test_lock_names_no_place(name: str) -> None:
    """No index, address or folder, also in no comment: whoever installs brings their own index."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.search(r"[/@]|index|find-links|trusted-host", line)] == []


def test_what_is_tested_is_what_is_deployed() -> None:
    """Everything in the deployed lock is in that of development, with the same version and hashes."""
    development = lock(DEVELOPMENT)
    for name, pin in lock(DEPLOYED).items():
        assert development[name] == pin, name


def test_requirements_are_what_deployed_code_imports() -> None:
    """Each distribution that the upload imports or starts is named, and no other."""
    files = [name for name in uploaded_files() if name.endswith(".py")]
    assert {canonicalize_name(one.name) for one in requirements("requirements.in")} == _imported(files) | STARTED
    for name in STARTED:
        assert any(f'"{name}"' in (ROOT / file).read_text(encoding="utf-8") for file in files), name


def test_developers_code_imports_what_is_required() -> None:
    """What commands, sandbox, bench and tests import is named too, never taken for granted."""
    files = [str(path.relative_to(ROOT)) for folder in DEVELOPERS_FOLDERS for path in ROOT.glob(f"{folder}/**/*.py")]
    required = {canonicalize_name(one.name) for one in requirements("requirements-dev.in")}
    assert _imported(["manage.py", *files]) - required == set()


def test_held_versions_have_a_reason() -> None:
    """Above each `==` there is a comment."""
    for source, _ in LOCKS:
        lines = (ROOT / source).read_text(encoding="utf-8").splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            assert "==" not in line or above.startswith("#"), line


def test_no_distribution_has_the_name_of_our_modules() -> None:
    """Functions-framework appends the source's folder to `sys.path`: an installed `core` would win over ours."""
    ours = {Path(name).parts[0].removesuffix(".py") for name in uploaded_files() if name.endswith(".py")}
    assert {"main", "pipeline", "core", "handlers", "mappers", "clients", "jobs"} <= ours
    locked = lock(DEVELOPMENT).keys()
    taken = {
        module: providers
        for module, providers in packages_distributions().items()
        if module in ours and any(canonicalize_name(provider) in locked for provider in providers)
    }
    assert taken == {}


def _needed(wanted: Iterable[Requirement]) -> set[NormalizedName]:
    """What these requirements lead to on this interpreter; what is not installed is named, and leads nowhere."""
    seen: set[tuple[NormalizedName, str]] = set()
    waiting = [(one, "") for one in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted_extra in {"", *requirement.extras}:
            if (name, wanted_extra) not in seen:
                seen.add((name, wanted_extra))
                needs = (INSTALLED[name].requires if name in INSTALLED else None) or []
                waiting += [(Requirement(need), wanted_extra) for need in needs]
    return {name for name, _ in seen}


def _imported(files: Iterable[str]) -> set[NormalizedName]:
    """The distributions whose modules these files import, also inside functions."""
    return {provider for file in files for module in imports(ROOT / file) if (provider := _provider(module))}


def _provider(module: str) -> NormalizedName | None:
    """The distribution that has a module, or the nearest package above it; None for ours and Python's own."""
    parts = module.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_providers()[name] for name in above if name in _providers()), None)


@cache
def _providers() -> dict[str, NormalizedName]:
    """The distribution of each installed module, by the name under which it is imported."""
    return {
        _module(path): name
        for name, one in INSTALLED.items()
        for path in one.files or []
        if path.suffix in {".py", ".so"}
    }


def _module(path: PackagePath) -> str:
    name = path.name.split(".")[0]
    return ".".join(path.parent.parts if name == "__init__" else (*path.parent.parts, name))
