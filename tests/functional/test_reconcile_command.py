"""`reconcile` as people and schedules use it: tables, JSON, options, the state file, and what ends a run early."""

import json
import signal
from dataclasses import replace
from typing import Any

import pytest

from commands.running import Sandbox
from jobs.ending import BAD_ARGUMENTS, BRAKE, DRIFT, INTERRUPTED, REFUSED
from tests.functional.backfilling import Job, asked, awaited, ended
from tests.functional.comparing import comparison, config_of, make_true, writes
from tests.functional.conftest import ManagePy, Serve
from tests.functional.consenting import EMAIL, RULES, ago, answering, consent
from tests.functional.documents import category, customer, entry, money, order, product, reference, variant
from tests.functional.races import create_profile, create_variant, delete_from_catalog, klaviyo_call

DAMAGED = json.dumps({"version": 1, "command": "reconcile", "project": "shop", "counts": None, "drifting_runs": {},
                      "unfinished": {}})  # fmt: skip
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


def test_a_table_tells_what_differs_and_what_to_do(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """3 while something does, 0 once it is mended."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    found = manage_py("reconcile", **told)
    assert found.exit_code == DRIFT
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["same", "missing", "differing", "extra"]
    assert [line.split() for line in lines[1:6]] == [
        ["categories", "1", "0", "0", "0"],
        ["items", "1", "1", "0", "0"],
        ["variants", "1", "2", "0", "0"],
        ["profiles", "1", "0", "0", "0"],
        ["events", "0", "0", "0", "0"],
    ]
    assert "items missing in Klaviyo: product-1" in lines
    assert "variants missing in Klaviyo: sku-1, sku-2" in lines
    assert "Klaviyo differs from the shop: --fix mends it." in found.stderr
    mended = manage_py("reconcile", "--fix", "--json", **told)
    assert mended.exit_code == 0
    report = json.loads(mended.stdout)
    assert {kind: one["mended"] for kind, one in report["kinds"].items()} == {
        "categories": 0, "items": 1, "variants": 2, "profiles": 0, "events": 0,
    }  # fmt: skip
    assert report["calls"].keys() == {"commercetools", "klaviyo"}
    assert manage_py("reconcile", **told).exit_code == 0


def test_one_kind_alone(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """Nothing else is compared, or told of."""
    delete_from_catalog(shop, "catalog-categories", "category-1")
    shop.klaviyo.forget_requests()
    found = manage_py("reconcile", "--only", "profiles", "--json", **told)
    assert (found.exit_code, json.loads(found.stdout)["kinds"].keys()) == (0, {"profiles"})
    assert {call["operation"] for call in shop.klaviyo.requests(kind="api")} == {"get_profiles"}


def test_since_looks_at_what_has_changed(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """Two products lack their items; the one that was changed lately is looked at, without any list of items."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    shop.commercetools.patch("products", "product-2", {"key": "new"})
    shop.klaviyo.forget_requests()
    found = json.loads(manage_py("reconcile", "--since", "1h", "--only", "items", "--json", **told).stdout)
    assert found["kinds"]["items"]["ids"] == {"missing": ["product-2"]}
    assert asked(shop, "get_catalog_items") == []


def test_links_without_linkage_do_not_hide_what_is_wrong(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str]
) -> None:
    """Klaviyo's lists may not say whose a variant is: a surplus one is then asked for by its id."""
    shop.klaviyo.linkage("links")
    create_variant(shop, "surplus", "product-1")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    found = json.loads(manage_py("reconcile", "--only", "variants", "--json", **told).stdout)
    assert found["kinds"]["variants"]["ids"] == {"missing": ["sku-3"], "extra": ["surplus"]}


def test_customers_with_several_profiles_are_named(shop: Sandbox, manage_py: ManagePy, told: dict[str, str]) -> None:
    """That is Klaviyo's to merge, and no drift; a profile of somebody else is none of our business."""
    shop.klaviyo.put_profile(external_id="customer-1", email="double@example.com")
    create_profile(shop, external_id="nobody", email="nobody@example.com")
    found = manage_py("reconcile", "--only", "profiles", **told)
    assert found.exit_code == 0
    assert "profiles customers with several profiles: customer-1" in found.stdout


def test_another_consent_is_named_and_left_alone(shop: Sandbox, job: Job) -> None:
    """It is no drift, and --fix changes nobody's: consent has two masters."""
    shop.commercetools.put("customers", answering(newsletter=True))
    compare = comparison(job, RULES)
    told = {"SYNC_CONFIG": config_of(job.folder)}
    compare.run("--only", "profiles", "--fix", **told)  # the field is a property as well
    for arguments in ((), ("--fix",)):
        shop.klaviyo.forget_requests()
        done = compare.run("--only", "profiles", *arguments, **told)
        found = done.report["kinds"]["profiles"]
        assert found["consent"] == {"email: yes in the shop, NEVER_SUBSCRIBED in Klaviyo": 1}
        assert (done.code, done.report["drift"], found["ids"]["consent"]) == (0, 0, ["customer-1"])
        assert writes(shop) == []


def test_a_variant_of_another_product_is_moved_not_extra(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str]
) -> None:
    """Where lists do not say whose it is, a look at the item that has it does."""
    shop.klaviyo.linkage("links")
    delete_from_catalog(shop, "catalog-variants", "sku-3")
    create_variant(shop, "sku-3", "product-1")
    _rename(shop, "product-1")
    found = json.loads(manage_py("reconcile", "--only", "items", "--only", "variants", "--json", **told).stdout)
    assert found["kinds"]["variants"]["differing"] == {"item": 1}
    assert found["kinds"]["variants"]["ids"] == {"differing": ["sku-3"]}


def test_lists_are_enough_where_nothing_differs(sandbox: Sandbox, job: Job, serve: Serve) -> None:
    """Standalone prices and stock of channels included: no product is read by its id."""
    one = product("product-1", [variant("sku-1")], priceMode="Standalone")
    sandbox.commercetools.put("products", one)
    price = {"id": "price-1", "version": 1, "sku": "sku-1", "value": money(900), "active": True}
    sandbox.commercetools.put("standalone-prices", price)
    sandbox.commercetools.put("inventory", entry("entry-1", "sku-1", 7, supplyChannel=reference("channel", "north")))
    make_true(serve(SYNC_CONFIG=""), sandbox)
    assert sandbox.klaviyo.state()["variants"]["sku-1"]["inventory_quantity"] == 7
    sandbox.klaviyo.forget_requests()
    assert comparison(job).run(SYNC_CONFIG=config_of(job.folder)).report["drift"] == 0
    assert asked(sandbox, "get_catalog_item") == []


def test_what_moves_at_every_look_is_left_to_its_messages(shop: Sandbox, job: Job) -> None:
    """It is counted as moved, and is no drift."""
    _rename(shop, "product-1")
    compare = comparison(job)
    with compare.started("--only", "items", SYNC_CONFIG=config_of(job.folder)) as process:
        number = 0
        while process.poll() is None:
            number += 1
            shop.commercetools.patch("products", "product-1", {"key": f"key-{number}"})
        found = ended(process).report
    assert (found["kinds"]["items"]["moved"], found["drift"]) == (1, 0)


def test_a_little_drift_may_be_allowed(shop: Sandbox, job: Job) -> None:
    """Runs below `max_drift` are none of those in a row."""
    _rename(shop, "product-1")
    compare = comparison(job)
    config = job.folder / "reconcile.toml"
    config.write_text("[reconcile]\nsecond_look = 0\nmax_drift = 0.5\n", encoding="utf-8")
    report = compare.run(SYNC_CONFIG=str(config)).report
    assert (report["drift"] > 0, report["drifting_runs"]) == (True, 0)


def test_what_klaviyo_refuses_is_named_and_the_rest_is_mended(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str], job: Job
) -> None:
    """1, and an errors file that `backfill --ids` takes."""
    for own_id in ("product-1", "product-2"):
        delete_from_catalog(shop, "catalog-items", own_id)
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/data/attributes/title"}}]}
    shop.klaviyo.fail("^/api/catalog-items", method="POST", count=1, status=400, body=refused)
    found = manage_py("reconcile", "--fix", **told)
    assert found.exit_code == 1
    [line] = comparison(job).failed()
    assert line["pass"] == "products"
    assert line["resource"] in ("product/product-1", "product/product-2")
    assert len(shop.klaviyo.state()["items"]) == 1
    again = manage_py("backfill", "--ids", str(job.folder / "reconcile-errors.jsonl"), "--state",
                      str(job.folder / "again.json"), **told)  # fmt: skip
    assert again.exit_code == 0
    assert len(shop.klaviyo.state()["items"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--delete-extra"], "--delete-extra needs --fix"),
        (["--from-messages"], "--from-messages needs --since"),
        (["--from-messages", "--since", "1h", "--only", "items"], "leave --only"),
        (["--fix", "--delete-extra", "--since", "1h"], "leave --since"),
        (["--since", "soon"], "--since must be a date"),
        (["--max-delete", "120%"], "--max-delete"),
        (["--only", "orders"], "--only"),
    ],
)
def test_wrong_options_are_told(
    sandbox: Sandbox, manage_py: ManagePy, told: dict[str, str], arguments: list[str], said: str
) -> None:
    """Before anything is asked of anybody."""
    found = manage_py("reconcile", *arguments, **told)
    assert (found.exit_code, sandbox.klaviyo.requests()) == (BAD_ARGUMENTS, [])
    assert said in found.stderr


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"version": 1, "command": "backfill"}', DAMAGED])
def test_a_file_of_something_else_is_not_overwritten(
    shop: Sandbox, manage_py: ManagePy, told: dict[str, str], job: Job, content: str
) -> None:
    """The state file may be named by mistake."""
    state = job.folder / "reconcile-state.json"
    state.write_text(content, encoding="utf-8")
    found = manage_py("reconcile", **told)
    assert (found.exit_code, state.read_text(encoding="utf-8")) == (REFUSED, content)
    assert "is not the state file of a reconcile" in found.stderr
    assert shop


def test_a_run_that_was_stopped_goes_on_with_the_next_phase(shop: Sandbox, job: Job) -> None:
    """The catalog is not read again, and its findings are told; the runs of a row that drift are counted."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    compare, environment = comparison(job), {"SYNC_CONFIG": config_of(job.folder)}
    shop.klaviyo.fail("^/api/profiles", delay=60, count=1)
    with compare.started(**environment) as process:
        awaited(lambda: asked_for_profiles(shop))
        process.send_signal(signal.SIGTERM)
        stopped = ended(process)
    assert stopped.code == INTERRUPTED
    shop.klaviyo.clear_failures()
    shop.klaviyo.forget_requests()
    done = compare.run(**environment)
    assert done.report["kinds"]["items"]["missing"] == 1
    assert asked(shop, "get_catalog_items") == []
    assert done.report["drifting_runs"] == 1
    assert compare.run(**environment).report["drifting_runs"] == 2
    compare.run("--fix", **environment)
    assert compare.run(**environment).report["drifting_runs"] == 0


def asked_for_profiles(sandbox: Sandbox) -> bool:
    """Whether Klaviyo was asked for profiles, which it does not answer yet."""
    return any(call["operation"] == "get_profiles" for call in sandbox.klaviyo.requests())


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
    ticked = {**answering(newsletter=True), "version": 1}
    shop.commercetools.put("customers", ticked)
    told = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    told |= {"type": "CustomerCustomFieldAdded", "name": "newsletter", "value": True}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **told})
    compare, environment = comparison(job, RULES), {"SYNC_CONFIG": config_of(job.folder)}
    again = ("--from-messages", "--since", "3h", "--fix")
    shop.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=1))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "UNSUBSCRIBED"
    shop.klaviyo.says(EMAIL, "UNSUBSCRIBED", consent_timestamp=ago(hours=3))
    assert compare.run(*again, **environment).report["messages"]["synced"] == 1
    assert consent(shop) == "SUBSCRIBED"


def test_a_yes_at_registration_is_not_lost_with_its_message(shop: Sandbox, job: Job) -> None:
    """No other message tells of it; a comparison would only report it."""
    shop.commercetools.put("customers", answering(newsletter=True))
    told = {"resource": reference("customer", "customer-1"), "resourceVersion": 1, "sequenceNumber": 1}
    times = {"createdAt": ago(hours=2), "lastModifiedAt": ago(hours=2)}
    shop.commercetools.put("messages", {"id": "message-1", "version": 1, **times, **told, "type": "CustomerCreated"})
    compare, environment = comparison(job, RULES), {"SYNC_CONFIG": config_of(job.folder)}
    compare.run("--from-messages", "--since", "3h", "--fix", **environment)
    assert consent(shop) == "SUBSCRIBED"


def test_the_job_logs_one_line_for_metrics(shop: Sandbox, job: Job) -> None:
    """`reconciled`, an error from the second run on that drifts; runs over other kinds, or `--since`, don't count."""
    delete_from_catalog(shop, "catalog-items", "product-1")
    compare, environment = replace(comparison(job), as_json=False), {"SYNC_CONFIG": config_of(job.folder)}
    told = []
    for arguments in ((), ("--only", "events"), ("--since", "1h"), ()):
        done = compare.run(*arguments, **environment)
        [line] = [line for line in done.lines if line["message"] == "reconciled"]
        told.append((line["severity"], line["drifting_runs"], line["kinds"].get("items", {}).get("missing")))
        assert done.code == 0
    assert told[0] == ("INFO", 1, 1)
    assert told[1] == ("INFO", 0, None)
    assert told[3] == ("ERROR", 2, 1)
    assert compare.state["project"] == "shop"


def test_a_state_of_another_project_is_refused(shop: Sandbox, job: Job) -> None:
    """Its counts say nothing of this shop."""
    compare, environment = comparison(job), {"SYNC_CONFIG": config_of(job.folder)}
    compare.run("--only", "items", **environment)
    state = job.folder / "reconcile-state.json"
    state.write_text(state.read_text(encoding="utf-8").replace('"shop"', '"another"'), encoding="utf-8")
    done = compare.run("--only", "items", **environment)
    assert (done.code, "of the project another" in done.said) == (REFUSED, True)
    assert shop


@pytest.mark.parametrize("operation", ["catalog-items", "catalog-variants", "catalog-categories", "profiles"])
def test_a_list_that_klaviyo_refuses_ends_the_run_with_a_word(shop: Sandbox, job: Job, operation: str) -> None:
    """78, the reason, and no traceback."""
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}
    shop.klaviyo.fail(f"^/api/{operation}$", method="GET", status=400, body=refused)
    done = comparison(job).run(SYNC_CONFIG=config_of(job.folder))
    assert done.code == REFUSED
    assert "can't be read" in done.said


def test_a_list_that_fails_now_and_then_is_read_all_the_same(shop: Sandbox, job: Job) -> None:
    """Nothing is lost or counted twice."""
    shop.klaviyo.fail("^/api/catalog-(items|variants|categories)$", method="GET", status=503, count=6)
    done = comparison(job).run(SYNC_CONFIG=config_of(job.folder))
    assert (done.code, done.report["drift"]) == (0, 0)
    assert {kind: one["same"] for kind, one in done.report["kinds"].items()} == {
        "categories": 1, "items": 2, "variants": 3, "profiles": 1, "events": 0,
    }  # fmt: skip


def test_surplus_variants_stay_while_their_product_is_mended(shop: Sandbox, job: Job) -> None:
    """Whatever else differs of it; only --delete-extra lets them go, and within its bound."""
    create_variant(shop, "surplus", "product-1")
    compare, environment = comparison(job), {"SYNC_CONFIG": config_of(job.folder)}
    for arguments, code in (
        (("--fix",), 0),
        (("--fix", "--only", "items"), 0),
        (("--fix", "--delete-extra", "--max-delete", "0"), BRAKE),
    ):
        _rename(shop, "product-1")
        done = compare.run(*arguments, **environment)
        assert (done.code, done.report["kinds"]["items"]["mended"]) == (code, 1)
        assert "surplus" in shop.klaviyo.state()["variants"]
        assert shop.klaviyo.state()["items"]["product-1"]["title"] != "Somebody's"
    compare.run("--fix", "--delete-extra", "--max-delete", "50%", **environment)
    assert "surplus" not in shop.klaviyo.state()["variants"]


def test_one_kind_alone_is_reported_and_mended(shop: Sandbox, job: Job) -> None:
    """Variants of the same product are not told of."""
    delete_from_catalog(shop, "catalog-variants", "sku-1")
    done = comparison(job).run("--only", "items", SYNC_CONFIG=config_of(job.folder))
    assert (done.report["kinds"].keys(), done.report["drift"]) == ({"items"}, 0)


def test_a_stopped_run_keeps_what_it_found(shop: Sandbox, job: Job) -> None:
    """Errors, brakes and counts of the phases that it ended."""
    delete_from_catalog(shop, "catalog-items", "product-2")
    create_variant(shop, "surplus", "product-1")
    refused = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": "/x"}}]}
    shop.klaviyo.fail("^/api/catalog-items$", method="POST", status=400, body=refused)
    shop.klaviyo.fail("^/api/profiles", delay=60, count=1)
    told = ("--fix", "--delete-extra", "--max-delete", "0")
    compare, environment = comparison(job), {"SYNC_CONFIG": config_of(job.folder)}
    with compare.started(*told, **environment) as process:
        awaited(lambda: asked_for_profiles(shop))
        process.send_signal(signal.SIGTERM)
        assert ended(process).code == INTERRUPTED
    shop.klaviyo.clear_failures()
    done = compare.run(*told, **environment)
    assert (done.code, "Nothing extra was deleted" in done.said) == (BRAKE, True)
    assert [line["resource"] for line in compare.failed()] == ["product/product-2"]
    assert compare.state["counts"] == {"categories": 1, "items": 2, "variants": 3}


def test_an_email_differs_in_more_than_its_case(shop: Sandbox, job: Job) -> None:
    """Klaviyo keeps addresses in small letters; and the profile of another address is mended."""
    document = shop.commercetools.document("customers", "customer-1")
    shop.commercetools.put("customers", {**document, "email": document["email"].upper()})
    compare, environment = comparison(job), {"SYNC_CONFIG": config_of(job.folder)}
    assert compare.run("--only", "profiles", **environment).report["drift"] == 0
    shop.commercetools.put("customers", {**document, "email": "new@example.com", "version": 9})
    found = compare.run("--only", "profiles", "--fix", **environment).report["kinds"]["profiles"]
    assert (found["differing"], found["mended"]) == ({"email": 1}, 1)


def _rename(sandbox: Sandbox, product_id: str) -> None:
    own_id = f"$custom:::$default:::{product_id}"
    data = {"type": "catalog-item", "id": own_id, "attributes": {"title": "Somebody's"}}
    klaviyo_call(sandbox, "PATCH", f"catalog-items/{own_id}", {"data": data})
