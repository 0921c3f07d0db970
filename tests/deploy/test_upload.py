"""What is uploaded, held against what runs."""

import re
import shutil
from pathlib import Path

import pytest

from commands.running import ROOT
from tests.deploy.deployment import real_gcloud
from tests.deploy.upload import files_that_gcloud_uploads, imported_modules, uploaded_files

NO_MODULES = {"sync.toml", "requirements.txt"}


def test_upload_is_what_runs() -> None:
    """Every module that main.py reaches is uploaded, with its settings and requirements, and nothing else is."""
    assert set(uploaded_files()) == imported_modules("main.py") | NO_MODULES


def test_gcloud_uploads_the_same(tmp_path: Path) -> None:
    """Gcloud reads `.gcloudignore` as these tests do, also where there are bytecode and notes besides."""
    real_gcloud()
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
    assert files_that_gcloud_uploads(tmp_path) == sorted([*uploaded_files(), "sync.other.toml"])


def test_terraform_uploads_the_same() -> None:
    """Terraform's archive holds the same files."""
    source = ROOT / "terraform" / "source.tf"
    if not source.exists():
        pytest.skip("there is no Terraform here")
    listed = re.search(r"source_patterns = \[(.*?)\]", source.read_text(encoding="utf-8"), re.DOTALL)
    assert listed
    patterns = re.findall(r'"([^"]+)"', listed[1])
    files = {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)}
    assert files == set(uploaded_files())
