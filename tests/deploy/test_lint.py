"""Linters for the shell scripts and the Dockerfile, and the files that the image contains."""

import re
import subprocess
import sys
from pathlib import Path

from commands.processes import ROOT
from tests.deploy.upload import IMAGE_FILES, uploaded_files

BIN = Path(sys.executable).parent


def test_shell_scripts_are_clean() -> None:
    """No finding of shellcheck in deploy.sh or in CI's script, not even about style."""
    scripts = [ROOT / "deploy.sh", *(ROOT / ".ci").glob("run")]
    finished = subprocess.run([BIN / "shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_dockerfile_is_clean() -> None:
    """No finding of hadolint in the Dockerfile."""
    finished = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_image_has_the_uploaded_files() -> None:
    """The image contains the function's files and runs `python main.py`, not as root."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = (re.match(r"COPY (?!--from)(.*) \S+$", line) for line in lines)
    copied = [name for match in copies if match for name in match[1].split()]
    files = {
        str(path.relative_to(ROOT))
        for pattern in copied
        for match in ROOT.glob(pattern)
        for path in ([match] if match.is_file() else match.rglob("*.py"))
    }
    assert files == set(uploaded_files()) - IMAGE_FILES
    assert 'CMD ["python", "main.py"]' in lines
    assert lines.index("USER 10001") > lines.index("RUN useradd --uid 10001 --create-home sync")


def test_docker_and_gcloud_ignore_the_same_files() -> None:
    """`.dockerignore` and `.gcloudignore` allow the same files, except those that are only for building the image."""
    allowed = [
        {
            line.lstrip("!").strip("/")
            for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
            if line.startswith("!")
        }
        for name in (".dockerignore", ".gcloudignore")
    ]
    assert allowed[0] == allowed[1] - IMAGE_FILES
