"""Import rules: a module imports only from lower layers, mappers are pure, and deployed code imports no tools."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = (
    ("core",),
    ("mappers",),
    ("clients",),
    ("handlers",),
    ("pipeline",),
    ("jobs",),
    ("main", "commands"),
    ("manage",),
)
"""Top-level folders and modules, from the lowest layer up."""
TOOLS = ("manage", "commands", "sandbox", "bench", "tests")
"""Top-level folders and modules that are never deployed."""

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
"""Modules outside this project that mappers may import. None of them knows a backend or does I/O."""
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval"})

_LAYER = {name: layer for layer, names in enumerate(LAYERS) for name in names}
_DYNAMIC = frozenset({"import_module", "__import__"})


class Import(NamedTuple):
    """An import: its file and line, and the imported module."""

    file: str
    line: int
    module: str

    @property
    def importer(self) -> str:
        """The top-level folder or module that imports."""
        return Path(self.file).parts[0].removesuffix(".py")

    @property
    def imported(self) -> str:
        """The top-level folder, module or package that is imported."""
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports(file: str, source: str) -> Iterator[Import]:
    """Every import in a file, including those in functions, for types only, relative, and by a literal name."""
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


def is_upward(found: Import) -> bool:
    """True if something is imported from a higher layer, or from another member of the importer's own layer."""
    if found.importer not in _LAYER or found.imported not in _LAYER or found.importer == found.imported:
        return False
    return _LAYER[found.imported] >= _LAYER[found.importer]


def is_tool_in_deployed_code(found: Import) -> bool:
    """True if deployed code imports something that is never deployed."""
    return found.importer in _LAYER and found.importer not in TOOLS and found.imported in TOOLS


def is_impure(found: Import) -> bool:
    """True if a mapper imports a package that is neither this project's nor known to be pure."""
    pure = found.imported in _LAYER or any(f"{found.module}.".startswith(f"{name}.") for name in PURE)
    return found.importer == "mappers" and not pure


def _sources(*names: str) -> Iterator[tuple[str, str]]:
    """Path and source of every Python file in these folders and modules, if they exist."""
    for name in names:
        for path in [*ROOT.glob(f"{name}.py"), *ROOT.glob(f"{name}/**/*.py")]:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def _all_imports() -> list[Import]:
    return [found for file, source in _sources(*_LAYER) for found in imports(file, source)]


def _fail_if_any(violations: list[str]) -> None:
    """Fail with a list of everything that breaks a rule."""
    if violations:
        pytest.fail("\n".join(violations), pytrace=False)


def test_imports_go_down() -> None:
    """A module imports only from lower layers and from its own folder."""
    _fail_if_any([str(found) for found in _all_imports() if is_upward(found)])


def test_deployed_code_imports_no_tool() -> None:
    """The upload contains no commands, sandbox, benchmark or tests."""
    _fail_if_any([str(found) for found in _all_imports() if is_tool_in_deployed_code(found)])


def test_mappers_are_pure() -> None:
    """Mappers import no SDK and do no I/O."""
    _fail_if_any([str(found) for found in _all_imports() if is_impure(found)])
    calls = [
        f"{file}:{node.lineno} calls {node.func.id}"
        for file, source in _sources("mappers")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    ]
    _fail_if_any(calls)


def test_every_folder_has_a_layer() -> None:
    """A new top-level folder or module must be assigned to a layer or to the tools."""
    code = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/*.py")}
    assert code - {*_LAYER, *TOOLS} == set()
    assert len(_all_imports()) > 100


@pytest.mark.parametrize(
    ("file", "source", "report"),
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
def test_an_upward_import_is_reported(file: str, source: str, report: str) -> None:
    """The report names file, line and module, wherever in the file the import is."""
    assert [str(found) for found in imports(file, source) if is_upward(found)] == [report]


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
def test_a_downward_import_is_allowed(file: str, source: str) -> None:
    """Imports from the same folder and from outside this project are allowed too."""
    assert [found for found in imports(file, source) if is_upward(found) or is_tool_in_deployed_code(found)] == []


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("file", ["main.py", "jobs/a.py", "core/a.py"])
def test_a_tool_in_deployed_code_is_reported(file: str, tool: str) -> None:
    """Tools may import deployed code, but never the other way round."""
    (found,) = imports(file, f"import {tool}")
    assert is_tool_in_deployed_code(found)
    (found,) = imports(f"{tool}/a.py", "import sandbox")
    assert not is_tool_in_deployed_code(found)


@pytest.mark.parametrize(
    "module",
    [
        *("openapi_client", "klaviyo_api", "commercetools", "requests", "pycurl", "google.cloud.pubsub_v1"),
        *("socket", "urllib.request", "pathlib", "os", "subprocess", "babelfish"),
    ],
)
def test_an_impure_import_of_a_mapper_is_reported(module: str) -> None:
    """Any package that is not known to be pure counts as impure. Other folders may import it."""
    assert [is_impure(found) for found in imports("mappers/a.py", f"import {module}")] == [True]
    assert [is_impure(found) for found in imports("clients/a.py", f"import {module}")] == [False]
