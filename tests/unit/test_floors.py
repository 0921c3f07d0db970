"""Which module may import which: only from floors below its own, mappers are pure, tools are never deployed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = (
    ("core",),
    ("mappers",),
    ("clients",),
    ("handlers",),
    ("pipeline",),
    ("jobs",),
    ("main", "commands"),
    ("manage",),
)
"""Folders and modules of the root, bottom up."""
TOOLS = ("manage", "commands", "sandbox", "bench", "tests")
"""What is never deployed."""

PURE = frozenset(
    {
        "babel",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "hashlib",
        "json",
        "math",
        "operator",
    }
    | {"idna", "phonenumbers", "re", "typing", "urllib.parse"}
)
"""What mappers may import from outside of this project. Nothing here knows a backend or does I/O."""
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval"})

_FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
_DYNAMIC = frozenset({"import_module", "__import__"})


class Import(NamedTuple):
    """An import: where it stands, and the module it names."""

    file: str
    line: int
    module: str

    @property
    def importer(self) -> str:
        """The folder or module of the root that imports."""
        return Path(self.file).parts[0].removesuffix(".py")

    @property
    def imported(self) -> str:
        """The folder or module of the root, or the package, that is imported."""
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports(file: str, source: str) -> Iterator[Import]:
    """Every import in a file: also in functions, for types alone, relative, and by name where that begins as text."""
    folder = Path(file).parent.parts
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(file, node.lineno, alias.name)
            case ast.ImportFrom():
                above = folder[: len(folder) - node.level + 1] if node.level else ()
                package = [*above, *filter(None, [node.module])]
                for alias in node.names:
                    yield Import(file, node.lineno, ".".join([*package, alias.name]))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[argument, *_]) if name in _DYNAMIC:
                begin = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
                if isinstance(begin, ast.Constant):
                    yield Import(file, node.lineno, str(begin.value))


def from_above(found: Import) -> bool:
    """Whether something is imported from the importer's own floor, other than itself, or from a floor above."""
    if found.importer not in _FLOOR or found.imported not in _FLOOR or found.importer == found.imported:
        return False
    return _FLOOR[found.imported] >= _FLOOR[found.importer]


def tool_in_deployed(found: Import) -> bool:
    """Whether something that is deployed imports something that is not."""
    return found.importer in _FLOOR and found.importer not in TOOLS and found.imported in TOOLS


def impure(found: Import) -> bool:
    """Whether a mapper imports a package that is neither this project's nor known to be pure."""
    pure = found.imported in _FLOOR or any(f"{found.module}.".startswith(f"{name}.") for name in PURE)
    return found.importer == "mappers" and not pure


def _sources(*names: str) -> Iterator[tuple[str, str]]:
    """Path and text of every Python file of these folders and modules, of those that are there."""
    for name in names:
        for path in [*ROOT.glob(f"{name}.py"), *ROOT.glob(f"{name}/**/*.py")]:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def _all_imports() -> list[Import]:
    return [found for file, source in _sources(*_FLOOR) for found in imports(file, source)]


def _fail_for(broken: list[str]) -> None:
    """Name all that breaks a rule."""
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)


def test_imports_go_down() -> None:
    """A module imports from floors below its own, or from its own folder."""
    _fail_for([str(found) for found in _all_imports() if from_above(found)])


def test_what_is_deployed_imports_no_tool() -> None:
    """The upload has neither the commands nor the sandbox, the benchmark and the tests."""
    _fail_for([str(found) for found in _all_imports() if tool_in_deployed(found)])


def test_mappers_are_pure() -> None:
    """They know no SDK and do no I/O."""
    _fail_for([str(found) for found in _all_imports() if impure(found)])
    calls = [
        f"{file}:{node.lineno} calls {node.func.id}"
        for file, source in _sources("mappers")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    ]
    _fail_for(calls)


def test_everything_has_its_floor() -> None:
    """A new folder or module in the root is put on a floor, or among the tools, before anything imports it."""
    code = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/*.py")}
    assert code - {*_FLOOR, *TOOLS} == set()
    assert len(_all_imports()) > 100


@pytest.mark.parametrize(
    ("file", "source", "named"),
    [
        ("core/a.py", "import pipeline", "core/a.py:1 imports pipeline"),
        ("mappers/a.py", "def f():\n    from clients.klaviyo import K", "mappers/a.py:2 imports clients.klaviyo.K"),
        ("clients/a.py", "if TYPE_CHECKING:\n    import handlers.order", "clients/a.py:2 imports handlers.order"),
        ("handlers/a/b.py", "from ...pipeline import settle", "handlers/a/b.py:1 imports pipeline.settle"),
        ("handlers/a.py", "import_module('jobs.backfill')", "handlers/a.py:1 imports jobs.backfill"),
        ("handlers/a.py", "importlib.import_module(f'jobs.{x}')", "handlers/a.py:1 imports jobs."),
        ("pipeline.py", "import main", "pipeline.py:1 imports main"),
        ("jobs/a.py", "from main import sync_push", "jobs/a.py:1 imports main.sync_push"),
        ("commands/a.py", "import main", "commands/a.py:1 imports main"),
    ],
)
def test_an_import_from_above_is_named(file: str, source: str, named: str) -> None:
    """By its file, its line and the module, wherever in the file it stands."""
    assert [str(found) for found in imports(file, source) if from_above(found)] == [named]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("clients/a.py", "from mappers.ids import item_id\nfrom clients.b import c\nimport requests"),
        ("clients/sub/a.py", "from . import b\nfrom .. import c"),
        ("jobs/__main__.py", "import pipeline\nfrom jobs.backfill import backfill"),
        ("manage.py", "from commands.check import check"),
        ("main.py", "import jobs"),
    ],
)
def test_an_import_from_below_is_fine(file: str, source: str) -> None:
    """And so is one from the same folder, or from outside of this project."""
    assert [found for found in imports(file, source) if from_above(found) or tool_in_deployed(found)] == []


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("file", ["main.py", "jobs/a.py", "core/a.py"])
def test_a_tool_in_what_is_deployed_is_named(file: str, tool: str) -> None:
    """Tools may import what is deployed, never the other way round."""
    (found,) = imports(file, f"import {tool}")
    assert tool_in_deployed(found)
    (found,) = imports(f"{tool}/a.py", "import sandbox")
    assert not tool_in_deployed(found)


@pytest.mark.parametrize(
    "module",
    [
        *("openapi_client", "klaviyo_api", "commercetools", "requests", "pycurl", "google.cloud.pubsub_v1"),
        *("socket", "urllib.request", "pathlib", "os", "subprocess", "babelfish"),
    ],
)
def test_an_impure_import_of_a_mapper_is_named(module: str) -> None:
    """Whatever is not known to be pure."""
    assert [impure(found) for found in imports("mappers/a.py", f"import {module}")] == [True]
    assert [impure(found) for found in imports("clients/a.py", f"import {module}")] == [False]
