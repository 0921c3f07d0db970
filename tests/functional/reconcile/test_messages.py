"""`reconcile --from-messages`: replays the messages that an outage kept from arriving."""

import json

from commands.processes import Sandbox
from tests.functional.conftest import ManagePy
from tests.functional.consent_shop import EMAIL, RULES, ago, consent, customer_with_answer
from tests.functional.documents import order, reference
from tests.functional.job_runs import Job
from tests.functional.races import delete_from_catalog
from tests.functional.synced_shop import reconcile_config, reconcile_job, writes


def test_stored_messages_are_counted_or_replayed(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]
) -> None:
    """Only consumed types. Without `--fix` they are counted, with it they go to their handlers."""
    placed = order("order-1")
    shop.commercetools.put("orders", placed)
    for number, (name, resource, more) in enumerate(
        [
            ("OrderCreated", reference("order", "order-1"), {"order": placed}),
            ("ProductPublished", reference("product", "product-1"), {}),
            ("CartCreated", reference("cart", "cart-1"), {}),
        ]
    ):
        fields = {"type": name, "resource": resource, "resourceVersion": 1, "sequenceNumber": 1, **more}
        times = {"createdAt": placed["createdAt"], "lastModifiedAt": placed["createdAt"]}
        shop.commercetools.put("messages", {"id": f"message-{number}", "version": 1, **times, **fields})
    delete_from_catalog(shop, "catalog-items", "product-1")
    shop.klaviyo.forget_requests()
    since = ("--from-messages", "--since", "2020-01-01")
    counted = manage_py("reconcile", *since, "--json", **reconcile_env)
    assert json.loads(counted.stdout)["messages"]["read"] == {"order/OrderCreated": 1, "product/ProductPublished": 1}
    assert writes(shop) == []
    done = manage_py("reconcile", *since, "--fix", **reconcile_env)
    assert done.exit_code == 0
    assert "2 synced, 0 ignored, 0 failed; 1 of types that the sync does not consume" in done.stdout
    assert "product-1" in shop.klaviyo.state()["items"]
    assert {one["metric"] for one in shop.klaviyo.state()["events"]} == {"Placed Order", "Ordered Product"}


def test_replayed_consent_keeps_the_time_of_its_message(shop: Sandbox, job: Job) -> None:
    """A later change of consent in Klaviyo stays, an earlier one is overwritten."""
    ticked = {**customer_with_answer(newsletter=True), "version": 1}
    shop.commercetools.put("customers", ticked)
    message = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    message |= {"type": "CustomerCustomFieldAdded", "name": "newsletter", "value": True}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **message})
    compare, environment = reconcile_job(job, RULES), {"SYNC_CONFIG": reconcile_config(job.folder)}
    again = ("--from-messages", "--since", "3h", "--fix")
    shop.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=1))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "UNSUBSCRIBED"
    shop.klaviyo.set_consent(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=3))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "SUBSCRIBED"


def test_a_replayed_registration_subscribes_the_customer(shop: Sandbox, job: Job) -> None:
    """No other message has this opt-in, and a comparison would only report it."""
    shop.commercetools.put("customers", customer_with_answer(newsletter=True))
    message = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **message, "type": "CustomerCreated"})
    compare, environment = reconcile_job(job, RULES), {"SYNC_CONFIG": reconcile_config(job.folder)}
    compare.run("--from-messages", "--since", "3h", "--fix", **environment)
    assert consent(shop) == "SUBSCRIBED"
