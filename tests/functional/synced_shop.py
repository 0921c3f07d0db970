"""A shop that Klaviyo is true to, for tests of what happens when it is not any more."""

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
_OF_ORDERS = ("place_order", "move_order", "refund")
WRITES = ("POST", "PATCH", "PUT", "DELETE")


def reconcile_job(job: Job, text: str = "") -> Job:
    """`reconcile` of the same shop, which looks again at once."""
    config = job.folder / "reconcile.toml"
    config.write_text(f"{text}\n[reconcile]\nsecond_look = 0\n", encoding="utf-8")
    return replace(job, name="reconcile")


def reconcile_config(folder: Path) -> str:
    """The sync.toml of `comparison`."""
    return str(folder / "reconcile.toml")


def open_shop(sandbox: Sandbox, size: int, changes: int, rng: random.Random) -> RandomShop:
    """A random shop, without orders: they have tests of their own."""
    shop = RandomShop(
        rng, sandbox.commercetools, [kind for kind in KINDS if kind not in ("place_order", "move_order", "refund")]
    )
    shop.open(size)
    for _ in range(changes):
        shop.change()
    return shop


def sync_all(function: Function, sandbox: Sandbox) -> None:
    """Have the function copy all that there is."""
    documents = sandbox.commercetools.state()["documents"]
    for type_id, collection in (("category", "categories"), ("product", "products"), ("customer", "customers")):
        for own_id in documents[collection]:
            told = {"resource": reference(type_id, own_id), "projectKey": "shop", "version": 1}
            if type_id == "product":
                told |= {"notificationType": "Message", "type": "ProductPublished", "resourceVersion": 1}
            else:
                told |= {"notificationType": "ResourceUpdated"}
            assert function.deliver(told).status == 204


def writes(sandbox: Sandbox) -> list[str]:
    """Operations that changed Klaviyo since the record was emptied."""
    calls: Iterable[dict[str, object]] = sandbox.klaviyo.requests(kind="api")
    return [
        str(call["operation"])
        for call in calls
        if call["method"] in WRITES and call["operation"] != "query_metric_aggregates" and call["status"]
    ]
