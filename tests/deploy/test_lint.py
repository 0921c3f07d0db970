"""The shell scripts and the Dockerfile, under their linters."""

import re
import subprocess
import sys
from pathlib import Path

from commands.processes import ROOT
from tests.deploy.upload import IMAGE_FILES, uploaded_files

BIN = Path(sys.executable).parent


def test_shell_scripts_are_clean() -> None:
    """Nothing in deploy.sh or in CI's script that shellcheck minds, style included."""
    scripts = [ROOT / "deploy.sh", *(ROOT / ".ci").glob("run")]
    done = subprocess.run([BIN / "shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_is_clean() -> None:
    """Nothing in the Dockerfile that hadolint minds."""
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_image_holds_what_is_uploaded() -> None:
    """The image is made of the function's files, runs `python main.py` itself, and not as root."""
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


def test_docker_and_gcloud_leave_out_the_same() -> None:
    """`.dockerignore` and `.gcloudignore` let the same names pass, but for what only the build of an image reads."""
    passing = [
        {
            line.lstrip("!").strip("/")
            for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
            if line.startswith("!")
        }
        for name in (".dockerignore", ".gcloudignore")
    ]
    assert passing[0] == passing[1] - IMAGE_FILES
