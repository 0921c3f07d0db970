"""Projects to deploy into."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.deployment import Cloud, Run


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """An empty project."""
    return Cloud(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cloud, Run]:
    """A first deployment, and the project that it was made in. Read only."""
    cloud = Cloud(tmp_path_factory.mktemp("first"))
    run = cloud.run()
    assert run.status == 0, run.err
    return cloud, run


@pytest.fixture
def deployed(cloud: Cloud, first: tuple[Cloud, Run]) -> Cloud:
    """A project in which everything is there already."""
    shutil.copytree(first[0].folder / "state" / "there", cloud.folder / "state" / "there")
    return cloud
