"""What is uploaded, held against what runs."""

import re
import shutil
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.upload import IMAGE_FILES, files_that_gcloud_uploads, imported_modules, uploaded_files

NO_MODULES = {"sync.toml", "requirements.txt"}


def test_upload_is_what_runs() -> None:
    """Every module that the function and the jobs reach is uploaded, with settings and Dockerfile; nothing else is."""
    reached = imported_modules("main.py") | imported_modules("jobs/__main__.py")
    assert set(uploaded_files()) == reached | NO_MODULES | IMAGE_FILES


@pytest.mark.parametrize("kind", ["function", "image"])
def test_gcloud_uploads_the_same(tmp_path: Path, kind: str) -> None:
    """Gcloud uploads this for a function, a service and a job alike, also where there are bytecode and notes besides.

    A service and a job are built from the Dockerfile: it must be among the files.
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


def test_terraform_uploads_the_same() -> None:
    """Terraform's archive holds the same files."""
    source = ROOT / "terraform" / "source.tf"
    if not source.exists():
        pytest.skip("there is no Terraform here")
    listed = re.search(r"source_patterns = \[(.*?)\]", source.read_text(encoding="utf-8"), re.DOTALL)
    assert listed
    patterns = re.findall(r'"([^"]+)"', listed[1])
    files = {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)}
    assert files == set(uploaded_files()) - IMAGE_FILES
