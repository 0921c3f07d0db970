"""The uploaded files, compared with those that run."""

import shutil
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.upload import IMAGE_FILES, files_that_gcloud_uploads, imported_modules, uploaded_files

FILES_WITHOUT_CODE = {"sync.toml", "requirements.txt"}


def test_upload_is_what_runs() -> None:
    """The upload has the modules that the function and the jobs import, settings, the lock and the Dockerfile."""
    reached = imported_modules("main.py") | imported_modules("jobs/__main__.py")
    assert set(uploaded_files()) == reached | FILES_WITHOUT_CODE | IMAGE_FILES


@pytest.mark.parametrize("kind", ["function", "image"])
def test_gcloud_uploads_the_same(tmp_path: Path, kind: str) -> None:
    """Gcloud uploads the same files for a function, a service and a job, and no bytecode, tests, docs or .env files.

    A service and a job are built from the Dockerfile, so it must be among the files.
    """
    for name in [*uploaded_files(), ".gcloudignore"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in (
        "handlers/__pycache__/a.pyc",
        "tests/main.py",
        ".env",
        ".env.example",
        "clients.py",
        "sync.toml.orig",
        "docs/main.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sync.other.toml").touch()
    uploaded = files_that_gcloud_uploads(tmp_path, kind)
    assert uploaded == sorted([*uploaded_files(), "sync.other.toml"])
    assert set(uploaded) >= IMAGE_FILES
