"""What counts as drift, and what is reported or ignored instead."""

import json

from commands.processes import Sandbox
from jobs.outcome import BRAKE
from tests.functional.conftest import ManagePy, Serve
from tests.functional.consent_shop import RULES, customer_with_answer
from tests.functional.documents import entry, money, product, reference, variant
from tests.functional.job_runs import Job, answered_calls, result_of
from tests.functional.races import create_profile, create_variant, delete_from_catalog, rename_item
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all, writes


def test_extra_variants_are_found_if_lists_omit_their_items(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]
) -> None:
    """Klaviyo's lists may not say which item a variant belongs to. An extra one is then read by its id."""
    shop.klaviyo.linkage("links")
    create_variant(shop, "surplus", "product-1")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    found = json.loads(manage_py("reconcile", "--only", "variants", "--json", **reconcile_env).stdout)
    assert found["kinds"]["variants"]["ids"] == {"missing": ["sku-3"], "extra": ["surplus"]}


def test_a_variant_under_the_wrong_item_differs(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]
) -> None:
    """It is not extra. If lists omit the item, comparing the item that has it by id shows this."""
    shop.klaviyo.linkage("links")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    create_variant(shop, "sku-3", "product-1")
    rename_item(shop, "product-1")
    found = json.loads(
        manage_py("reconcile", "--only", "items", "--only", "variants", "--json", **reconcile_env).stdout
    )
    assert found["kinds"]["variants"]["differing"] == {"item": 1}
    assert found["kinds"]["variants"]["ids"] == {"differing": ["sku-3"]}


def test_customers_with_several_profiles_are_reported(
    shop: Sandbox, manage_py: ManagePy, reconcile_env: dict[str, str]
) -> None:
    """It is not drift, as only Klaviyo can merge them. Profiles without a customer are ignored."""
    shop.klaviyo.put_profile(external_id="customer-1", email="double@example.com")
    create_profile(shop, external_id="nobody", email="nobody@example.com")
    found = manage_py("reconcile", "--only", "profiles", **reconcile_env)
    assert found.exit_code == 0
    assert "profiles of customers with several profiles: customer-1" in found.stdout


def test_differing_consent_is_reported_and_never_fixed(shop: Sandbox, job: Job) -> None:
    """It is not drift: consent can change on both sides, and either may be right."""
    shop.commercetools.put("customers", customer_with_answer(newsletter=True))
    compare = reconcile_job(job, RULES)
    environment = {"SYNC_CONFIG": reconcile_config(job.folder)}
    compare.run(
        "--only", "profiles", "--fix", **environment
    )  # the consent field is also a profile property: sync that first
    for arguments in ((), ("--fix",)):
        shop.klaviyo.forget_requests()
        done = compare.run("--only", "profiles", *arguments, **environment)
        found = done.report["kinds"]["profiles"]
        assert found["consent"] == {"email: yes in the shop, NEVER_SUBSCRIBED in Klaviyo": 1}
        assert (done.code, done.report["drift"], found["ids"]["consent"]) == (0, 0, ["customer-1"])
        assert writes(shop) == []


def test_the_case_of_an_email_is_not_drift(shop: Sandbox, job: Job) -> None:
    """Klaviyo stores e-mails in lower case. Another address is drift, and is fixed."""
    document = shop.commercetools.document("customers", "customer-1")
    shop.commercetools.put("customers", {**document, "email": document["email"].upper()})
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    assert compare.run("--only", "profiles", **environment).report["drift"] == 0
    shop.commercetools.put("customers", {**document, "email": "new@example.com", "version": 9})
    found = compare.run("--only", "profiles", "--fix", **environment).report["kinds"]["profiles"]
    assert (found["differing"], found["mended"]) == ({"email": 1}, 1)


def test_no_product_is_read_by_id_if_nothing_differs(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """Lists are enough, also for standalone prices and for the stock of channels."""
    one = product("product-1", [variant("sku-1")], priceMode="Standalone")
    sandbox.commercetools.put("products", one)
    price = {"id": "price-1", "version": 1, "sku": "sku-1", "value": money(900), "active": True}
    sandbox.commercetools.put("standalone-prices", price)
    sandbox.commercetools.put("inventory", entry("entry-1", "sku-1", 7, supplyChannel=reference("channel", "north")))
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    assert sandbox.klaviyo.state()["variants"]["sku-1"]["inventory_quantity"] == 7
    sandbox.klaviyo.forget_requests()
    assert reconcile_job(job).run(SYNC_CONFIG=reconcile_config(job.folder)).report["drift"] == 0
    assert answered_calls(sandbox, "get_catalog_item") == []


def test_a_product_that_keeps_changing_is_left_to_its_messages(shop: Sandbox, job: Job) -> None:
    """It counts as moved, not as drift."""
    rename_item(shop, "product-1")
    compare = reconcile_job(job)
    config = job.folder / "reconcile.toml"
    config.write_text("[reconcile]\nsecond_look = 0.5\n", encoding="utf-8")  # time for a change between two reads
    with compare.started("--only", "items", SYNC_CONFIG=str(config)) as process:
        number = 0
        while process.poll() is None:
            number += 1
            shop.commercetools.patch("products", "product-1", {"key": f"key-{number}"})
        found = result_of(process).report
    assert (found["kinds"]["items"]["moved"], found["drift"]) == (1, 0)


def test_extra_variants_stay_while_their_product_is_fixed(shop: Sandbox, job: Job) -> None:
    """Only `--delete-extra` deletes them, within `--max-delete`."""
    create_variant(shop, "surplus", "product-1")
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    for arguments, code in (
        (("--fix",), 0),
        (("--fix", "--only", "items"), 0),
        (("--fix", "--delete-extra", "--max-delete", "0"), BRAKE),
    ):
        rename_item(shop, "product-1")
        done = compare.run(*arguments, **environment)
        assert (done.code, done.report["kinds"]["items"]["mended"]) == (code, 1)
        assert "surplus" in shop.klaviyo.state()["variants"]
        assert shop.klaviyo.state()["items"]["product-1"]["title"] != "Somebody's"
    compare.run("--fix", "--delete-extra", "--max-delete", "50%", **environment)
    assert "surplus" not in shop.klaviyo.state()["variants"]
