"""What counts as drift, of which kind, and what is left alone."""

import json

from commands.processes import Sandbox
from jobs.outcome import BRAKE
from tests.functional.conftest import ManagePy, Serve
from tests.functional.consent_shop import RULES, customer_with_answer
from tests.functional.documents import entry, money, product, reference, variant
from tests.functional.job_runs import Job, answered_calls, result_of
from tests.functional.races import create_profile, create_variant, delete_from_catalog, rename_item
from tests.functional.synced_shop import reconcile_config, reconcile_job, sync_all, writes


def test_links_without_linkage_do_not_hide_what_is_wrong(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str]
) -> None:
    """Klaviyo's lists may not say whose a variant is: a surplus one is then asked for by its id."""
    shop.klaviyo.linkage("links")
    create_variant(shop, "surplus", "product-1")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    found = json.loads(manage_py("reconcile", "--only", "variants", "--json", **told).stdout)
    assert found["kinds"]["variants"]["ids"] == {"missing": ["sku-3"], "extra": ["surplus"]}


def test_a_variant_of_another_product_is_moved_not_extra(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str]
) -> None:
    """Where lists do not say whose it is, a look at the item that has it does."""
    shop.klaviyo.linkage("links")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    create_variant(shop, "sku-3", "product-1")
    rename_item(shop, "product-1")
    found = json.loads(manage_py("reconcile", "--only", "items", "--only", "variants", "--json", **told).stdout)
    assert found["kinds"]["variants"]["differing"] == {"item": 1}
    assert found["kinds"]["variants"]["ids"] == {"differing": ["sku-3"]}


def test_customers_with_several_profiles_are_named(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """That is Klaviyo's to merge, and no drift; a profile of somebody else is none of our business."""
    shop.klaviyo.put_profile(external_id="customer-1", email="double@example.com")
    create_profile(shop, external_id="nobody", email="nobody@example.com")
    found = manage_py("reconcile", "--only", "profiles", **told)
    assert found.exit_code == 0
    assert "profiles of customers with several profiles: customer-1" in found.stdout


def test_another_consent_is_named_and_left_alone(shop: Sandbox, job: Job) -> None:
    """It is no drift, and --fix changes nobody's: consent has two masters."""
    shop.commercetools.put("customers", customer_with_answer(newsletter=True))
    compare = reconcile_job(job, RULES)
    told = {"SYNC_CONFIG": reconcile_config(job.folder)}
    compare.run("--only", "profiles", "--fix", **told)  # the field is a property as well
    for arguments in ((), ("--fix",)):
        shop.klaviyo.forget_requests()
        done = compare.run("--only", "profiles", *arguments, **told)
        found = done.report["kinds"]["profiles"]
        assert found["consent"] == {"email: yes in the shop, NEVER_SUBSCRIBED in Klaviyo": 1}
        assert (done.code, done.report["drift"], found["ids"]["consent"]) == (0, 0, ["customer-1"])
        assert writes(shop) == []


def test_an_email_differs_in_more_than_its_case(shop: Sandbox, job: Job) -> None:
    """Klaviyo keeps addresses in small letters; and the profile of another address is mended."""
    document = shop.commercetools.document("customers", "customer-1")
    shop.commercetools.put("customers", {**document, "email": document["email"].upper()})
    compare, environment = reconcile_job(job), {"SYNC_CONFIG": reconcile_config(job.folder)}
    assert compare.run("--only", "profiles", **environment).report["drift"] == 0
    shop.commercetools.put("customers", {**document, "email": "new@example.com", "version": 9})
    found = compare.run("--only", "profiles", "--fix", **environment).report["kinds"]["profiles"]
    assert (found["differing"], found["mended"]) == ({"email": 1}, 1)


def test_lists_are_enough_where_nothing_differs(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """Standalone prices and stock of channels included: no product is read by its id."""
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


def test_what_moves_at_every_look_is_left_to_its_messages(shop: Sandbox, job: Job) -> None:
    """It is counted as moved, and is no drift."""
    rename_item(shop, "product-1")
    compare = reconcile_job(job)
    with compare.started("--only", "items", SYNC_CONFIG=reconcile_config(job.folder)) as process:
        number = 0
        while process.poll() is None:
            number += 1
            shop.commercetools.patch("products", "product-1", {"key": f"key-{number}"})
        found = result_of(process).report
    assert (found["kinds"]["items"]["moved"], found["drift"]) == (1, 0)


def test_surplus_variants_stay_while_their_product_is_mended(shop: Sandbox, job: Job) -> None:
    """Whatever else differs of it; only --delete-extra lets them go, and within its bound."""
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
