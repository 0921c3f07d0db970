"""A small shop that Klaviyo is true to, and comparisons that look again at once."""

from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.backfilling import Job
from tests.functional.comparing import make_true
from tests.functional.conftest import Serve
from tests.functional.documents import category, customer, product, variant

QUICK = "[reconcile]\nsecond_look = 0\n"


@pytest.fixture
def shop(sandbox: Sandbox, serve: Serve) -> Sandbox:
    """A small shop that Klaviyo is true to."""
    sandbox.commercetools.put("categories", category("category-1", "Bags"))
    sandbox.commercetools.put("products", product("product-1", [variant("sku-1"), variant("sku-2", 2)]))
    sandbox.commercetools.put("products", product("product-2", [variant("sku-3")]))
    sandbox.commercetools.put("customers", customer())
    make_true(serve(SYNC_CONFIG=""), sandbox)
    return sandbox


@pytest.fixture
def told(settings_file: Any, job: Job) -> dict[str, str]:
    """The environment of `manage.py reconcile`."""
    return {"SYNC_CONFIG": settings_file(QUICK), "RECONCILE_STATE": str(job.folder / "reconcile-state.json")}
