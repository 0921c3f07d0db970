"""The locks, compared with requirements*.in, with the installed packages and with the imports. Needs no network."""

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
RUN_AS_PROGRAMS = {"gunicorn"}
"""Packages that deployed code runs as programs instead of importing them."""
DEVELOPMENT_FOLDERS = ("commands", "sandbox", "bench", "tests")

INSTALLED = {canonicalize_name(one.name): one for one in distributions()}


@pytest.mark.parametrize(("source", "name"), LOCKS)
def test_lock_satisfies_the_requirements(source: str, name: str) -> None:
    """Each requirement is locked, at a version that it allows."""
    pins = lock(name)
    wrong = [
        str(one)
        for one in requirements(source)
        if (pin := pins.get(canonicalize_name(one.name))) is None or pin.version not in one.specifier
    ]
    assert not wrong, f"run `make lock`: {wrong}"


@pytest.mark.parametrize(("source", "name"), LOCKS)
def test_lock_has_all_dependencies_and_no_others(source: str, name: str) -> None:
    """The lock has, for this interpreter, exactly the requirements and their dependencies, by installed metadata."""
    locked = {one for one, pin in lock(name).items() if pin.applies}
    assert locked == _with_dependencies(requirements(source)), "run `make lock`, then `make install`"


@pytest.mark.parametrize("name", [DEPLOYED, DEVELOPMENT])
def test_installed_versions_are_locked_versions(name: str) -> None:
    """The tests run with the locked versions."""
    locked = {one: pin.version for one, pin in lock(name).items() if pin.applies}
    assert locked == {one: Version(INSTALLED[one].version) for one in locked if one in INSTALLED}, "run `make install`"


@pytest.mark.parametrize("name", [DEPLOYED, DEVELOPMENT])
def test_lock_names_no_index(name: str) -> None:
    """No index, URL or folder, not even in comments, so that everyone can install from their own index."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.search(r"[/@]|index|find-links|trusted-host", line)] == []


def test_deployed_versions_are_tested_versions() -> None:
    """The development lock contains the deployed lock, with the same versions and hashes."""
    development = lock(DEVELOPMENT)
    for name, pin in lock(DEPLOYED).items():
        assert development[name] == pin, name


def test_requirements_are_what_deployed_code_imports() -> None:
    """requirements.in lists the packages that the upload imports or runs, and no others."""
    files = [name for name in uploaded_files() if name.endswith(".py")]
    assert {canonicalize_name(one.name) for one in requirements("requirements.in")} == _imported(
        files
    ) | RUN_AS_PROGRAMS
    for name in RUN_AS_PROGRAMS:
        assert any(f'"{name}"' in (ROOT / file).read_text(encoding="utf-8") for file in files), name


def test_development_code_imports_only_requirements() -> None:
    """commands, sandbox, bench and tests import only packages that requirements-dev.in lists, no transitive ones."""
    files = [str(path.relative_to(ROOT)) for folder in DEVELOPMENT_FOLDERS for path in ROOT.glob(f"{folder}/**/*.py")]
    required = {canonicalize_name(one.name) for one in requirements("requirements-dev.in")}
    assert _imported(["manage.py", *files]) - required == set()


def test_pinned_versions_have_a_reason() -> None:
    """There is a comment above each `==`."""
    for source, _ in LOCKS:
        lines = (ROOT / source).read_text(encoding="utf-8").splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            assert "==" not in line or above.startswith("#"), line


def test_no_package_shadows_our_modules() -> None:
    """functions-framework puts the source folder last on `sys.path`, so an installed `core` would shadow ours."""
    ours = {Path(name).parts[0].removesuffix(".py") for name in uploaded_files() if name.endswith(".py")}
    assert {"main", "pipeline", "core", "handlers", "mappers", "clients", "jobs"} <= ours
    locked = lock(DEVELOPMENT).keys()
    shadowing = {
        module: providers
        for module, providers in packages_distributions().items()
        if module in ours and any(canonicalize_name(provider) in locked for provider in providers)
    }
    assert shadowing == {}


def _with_dependencies(wanted: Iterable[Requirement]) -> set[NormalizedName]:
    """The requirements and their dependencies on this interpreter. Packages not installed count without theirs."""
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
    """The installed packages that these files import, also inside functions."""
    return {provider for file in files for module in imports(ROOT / file) if (provider := _distribution_of(module))}


def _distribution_of(module: str) -> NormalizedName | None:
    """The distribution that provides a module or its nearest parent. None for our modules and the standard library."""
    parts = module.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_distributions_by_module()[name] for name in above if name in _distributions_by_module()), None)


@cache
def _distributions_by_module() -> dict[str, NormalizedName]:
    """The distribution of each installed module, by the module's dotted name."""
    return {
        _module_name(path): name
        for name, one in INSTALLED.items()
        for path in one.files or []
        if path.suffix in {".py", ".so"}
    }


def _module_name(path: PackagePath) -> str:
    name = path.name.split(".")[0]
    return ".".join(path.parent.parts if name == "__init__" else (*path.parent.parts, name))
