"""`reconcile --from-messages`: what an outage kept from arriving is done again."""

import json

from commands.processes import Sandbox
from tests.functional.conftest import ManagePy
from tests.functional.consent_shop import EMAIL, RULES, ago, consent, customer_with_answer
from tests.functional.documents import order, reference
from tests.functional.job_runs import Job
from tests.functional.races import delete_from_catalog
from tests.functional.synced_shop import reconcile_config, reconcile_job, writes


def test_messages_are_done_again(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """Those since the outage, of all that is consumed: counted, or given to their handlers once more."""
    placed = order("order-1")
    shop.commercetools.put("orders", placed)
    for number, (name, resource, more) in enumerate(
        [
            ("OrderCreated", reference("order", "order-1"), {"order": placed}),
            ("ProductPublished", reference("product", "product-1"), {}),
            ("CartCreated", reference("cart", "cart-1"), {}),
        ]
    ):
        told_of = {"type": name, "resource": resource, "resourceVersion": 1, "sequenceNumber": 1, **more}
        times = {"createdAt": placed["createdAt"], "lastModifiedAt": placed["createdAt"]}
        shop.commercetools.put("messages", {"id": f"message-{number}", "version": 1, **times, **told_of})
    delete_from_catalog(shop, "catalog-items", "product-1")
    shop.klaviyo.forget_requests()
    since = ("--from-messages", "--since", "2020-01-01")
    counted = manage_py("reconcile", *since, "--json", **told)
    assert json.loads(counted.stdout)["messages"]["read"] == {"order/OrderCreated": 1, "product/ProductPublished": 1}
    assert writes(shop) == []
    done = manage_py("reconcile", *since, "--fix", **told)
    assert done.exit_code == 0
    assert "2 synced, 0 ignored, 0 failed; 1 of no interest" in done.stdout
    assert "product-1" in shop.klaviyo.state()["items"]
    assert {one["metric"] for one in shop.klaviyo.state()["events"]} == {"Placed Order", "Ordered Product"}


def test_messages_that_are_done_again_say_what_they_said_of_consent(shop: Sandbox, job: Job) -> None:
    """As if they had just come: at the time of the answer, so a later word in Klaviyo stays."""
    ticked = {**customer_with_answer(newsletter=True), "version": 1}
    shop.commercetools.put("customers", ticked)
    told = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    told |= {"type": "CustomerCustomFieldAdded", "name": "newsletter", "value": True}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **told})
    compare, environment = reconcile_job(job, RULES), {"SYNC_CONFIG": reconcile_config(job.folder)}
    again = ("--from-messages", "--since", "3h", "--fix")
    shop.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=1))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "UNSUBSCRIBED"
    shop.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=3))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "SUBSCRIBED"


def test_a_yes_at_registration_is_not_lost_with_its_message(shop: Sandbox, job: Job) -> None:
    """No other message tells of it; a comparison would only report it."""
    shop.commercetools.put("customers", customer_with_answer(newsletter=True))
    told = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **told, "type": "CustomerCreated"})
    compare, environment = reconcile_job(job, RULES), {"SYNC_CONFIG": reconcile_config(job.folder)}
    compare.run("--from-messages", "--since", "3h", "--fix", **environment)
    assert consent(shop) == "SUBSCRIBED"
