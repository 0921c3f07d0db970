"""The files that are uploaded to Google Cloud, as `.gcloudignore` selects them."""

import ast
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pathspec

from commands.processes import ROOT
from tests.deploy.deployment import gcloud_environment, real_gcloud

_IGNORE = ".gcloudignore"

IMAGE_FILES = frozenset({"Dockerfile", ".dockerignore"})
"""Files that only `gcloud run` needs, to build the image."""

_GCLOUD_LISTINGS = {
    "function": "from googlecloudsdk.command_lib.functions import source_util\n"
    "files = source_util._GetChooser(folder, None).GetIncludedFiles(folder, include_dirs=False)",
    "image": "from googlecloudsdk.api_lib.cloudbuild import snapshot\nfiles = snapshot.Snapshot(folder).files",
}
"""gcloud's own code that lists an upload: of `functions deploy`, and of `run deploy` and `run jobs deploy`."""


def uploaded_files() -> list[str]:
    """The paths that `.gcloudignore` lets pass, according to pathspec."""
    spec = pathspec.GitIgnoreSpec.from_lines((ROOT / _IGNORE).read_text(encoding="utf-8").splitlines())
    return sorted(name for name in _candidates() if not spec.match_file(name))


def files_that_gcloud_uploads(folder: Path, kind: str) -> list[str]:
    """The paths that gcloud itself would upload from a folder. `kind` is "function" or "image"."""
    with gcloud_environment() as environment:
        sdk, python = (
            subprocess.run(
                [real_gcloud(), "info", f"--format=value({field})"],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for field in ("installation.sdk_root", "basic.python_location")
        )
        program = f"""
import sys
sys.path[:0] = [{sdk!r} + "/lib", {sdk!r} + "/lib/third_party"]
folder = {str(folder)!r}
{_GCLOUD_LISTINGS[kind]}
print(*files, sep="\\n")
"""
        finished = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return sorted(finished.stdout.split())


def copy_upload(target: Path) -> None:
    """Copy the uploaded files, and no others, into an empty folder."""
    for name in uploaded_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)


def imported_modules(start: str) -> set[str]:
    """This project's files that `start` imports, directly or not, and `start`. Includes imports inside functions."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += _own_files(imports(ROOT / name))
    return found


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports. Some may be attributes, not modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_files(modules: Iterable[str]) -> Iterator[str]:
    for module in modules:
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            path = Path(*parts[:length])
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if (ROOT / candidate).is_file():
                    yield str(candidate)


def _candidates() -> Iterator[str]:
    """All files of the working copy, except those of git, of the virtual environment and in caches."""
    for top in sorted(ROOT.iterdir()):
        if top.name in {".git", ".venv"} or (top.is_dir() and top.name.endswith("_cache")):
            continue
        paths = top.rglob("*") if top.is_dir() else [top]
        yield from (str(path.relative_to(ROOT)) for path in paths if path.is_file())
