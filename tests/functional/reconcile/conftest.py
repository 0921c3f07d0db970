"""A small shop in sync with Klaviyo, and settings for `reconcile` that confirm differences without waiting."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import Serve
from tests.functional.documents import category, customer, product, variant
from tests.functional.job_runs import Job
from tests.functional.synced_shop import sync_all

CONFIG = "[reconcile]\nsecond_look = 0\n"


@pytest.fixture
def shop(sandbox: Sandbox, serve: Serve) -> Sandbox:
    """A small shop in sync with Klaviyo: one category, two products with three variants, one customer."""
    sandbox.commercetools.put("categories", category("category-1", "Bags"))
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1"), variant("sku-2", 2)]))
    sandbox.commercetools.put("products", product("product-2", [variant("sku-3")]))
    sandbox.commercetools.put("customers", customer())
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    return sandbox


@pytest.fixture
def reconcile_env(settings_file: Any, job: Job) -> dict[str, str]:
    """The environment of `manage.py reconcile`."""
    return {"SYNC_CONFIG": settings_file(CONFIG), "RECONCILE_STATE": str(job.folder / "reconcile-state.json")}
