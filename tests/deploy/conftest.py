"""Google Cloud projects to deploy into, played by the stand-in for gcloud."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.deployment import Cloud, Run


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """An empty project."""
    return Cloud(tmp_path)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cloud, Run]:
    """A project after a first deployment, and that run. Shared by a module's tests, so do not change it."""
    cloud = Cloud(tmp_path_factory.mktemp("first"))
    run = cloud.run()
    assert run.status == 0, run.err
    return cloud, run


@pytest.fixture
def deployed(cloud: Cloud, first_run: tuple[Cloud, Run]) -> Cloud:
    """A project in which all resources of a deployment exist."""
    shutil.copytree(first_run[0].folder / "state" / "resources", cloud.folder / "state" / "resources")
    return cloud
