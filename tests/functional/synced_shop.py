"""A shop that is in sync with Klaviyo: the starting point of tests that damage Klaviyo's copy."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from commands.processes import Sandbox
from tests.functional.conftest import Function
from tests.functional.documents import reference
from tests.functional.job_runs import Job
from tests.functional.random_shop import KINDS, RandomShop

CATALOG = ("categories", "items", "variants")
_ORDER_KINDS = ("place_order", "move_order", "refund")
WRITE_METHODS = ("POST", "PATCH", "PUT", "DELETE")


def reconcile_job(job: Job, text: str = "") -> Job:
    """The `reconcile` job of the same shop, with `text` in its sync.toml. It confirms differences without waiting."""
    config = job.folder / "reconcile.toml"
    config.write_text(f"{text}\n[reconcile]\nsecond_look = 0\n", encoding="utf-8")
    return replace(job, name="reconcile")


def reconcile_config(folder: Path) -> str:
    """Path of the sync.toml that `reconcile_job` writes."""
    return str(folder / "reconcile.toml")


def open_shop(sandbox: Sandbox, size: int, changes: int, rng: random.Random) -> RandomShop:
    """A random shop without orders (they have their own tests), after some random changes."""
    shop = RandomShop(rng, sandbox.commercetools, [kind for kind in KINDS if kind not in _ORDER_KINDS])
    shop.open(size)
    for _ in range(changes):
        shop.change()
    return shop


def sync_all(function: Function, sandbox: Sandbox) -> None:
    """Have the function copy every category, product and customer to Klaviyo."""
    documents = sandbox.commercetools.state()["documents"]
    for type_id, collection in (("category", "categories"), ("product", "products"), ("customer", "customers")):
        for own_id in documents[collection]:
            notification = {"resource": reference(type_id, own_id), "projectKey": "shop", "version": 1}
            if type_id == "product":
                notification |= {"notificationType": "Message", "type": "ProductPublished", "resourceVersion": 1}
            else:
                notification |= {"notificationType": "ResourceUpdated"}
            assert function.deliver(notification).status == 204


def writes(sandbox: Sandbox) -> list[str]:
    """Write operations that Klaviyo answered since the record was cleared."""
    calls: Iterable[dict[str, object]] = sandbox.klaviyo.requests(kind="api")
    return [
        str(call["operation"])
        for call in calls
        if call["method"] in WRITE_METHODS and call["operation"] != "query_metric_aggregates" and call["status"]
    ]
