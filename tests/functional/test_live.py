"""`manage.py preview KIND NAME`: resources of the shop, found by what people call them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.processes import Sandbox
from manage import manage
from tests.functional.conftest import Run
from tests.functional.documents import Json, customer, order
from tests.functional.lookup_shop import UUID


def _reports(result: Result) -> list[Json]:
    reports: list[Json] = json.loads(result.stdout)
    return reports


@pytest.mark.parametrize(
    ("kind", "name", "resource_id", "key"),
    [
        ("order", "S-20001", 2, "order/OrderCreated"),
        ("order", "annika@example.com", 2, "order/OrderCreated"),
        ("order", f"{UUID}2", 2, "order/OrderCreated"),
        ("customer", "ANNIKA@example.com", 1, "customer/ResourceUpdated"),
        ("customer", "K-1", 1, "customer/ResourceUpdated"),
        ("customer", "best-customer", 1, "customer/ResourceUpdated"),
        ("customer", f"{UUID}1", 1, "customer/ResourceUpdated"),
        ("product", "tote", 3, "product/ProductPublished"),
        ("product", "SKU 1", 3, "product/ProductPublished"),
        ("product", 'SKU"2', 3, "product/ProductPublished"),
        ("product", f"{UUID}3", 3, "product/ProductPublished"),
        ("product", "DRAFT", 4, "product/ProductUnpublished"),
        ("product", f"{UUID}4", 4, "product/ProductUnpublished"),
        ("category", "bags", 5, "category/ResourceUpdated"),
        ("category", "taschen", 5, "category/ResourceUpdated"),
        ("category", "bags-of-ours", 5, "category/ResourceUpdated"),
        ("category", f"{UUID}5", 5, "category/ResourceUpdated"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_resource_is_found_by_each_of_its_names(run: Run, kind: str, name: str, resource_id: int, key: str) -> None:
    """And previewed as what commercetools would say of it now."""
    (report,) = _reports(run("preview", kind, name, "--json"))
    assert (report["resource"], report["key"]) == (f"{kind}/{UUID}{resource_id}", key)
    assert report["outcome"] == "synced"


@pytest.mark.usefixtures("shop")
def test_an_id_that_is_no_uuid_is_found(run: Run, sandbox: Sandbox) -> None:
    """After the names."""
    sandbox.commercetools.put("orders", order("order-9"))
    sandbox.commercetools.put("customers", customer())
    assert _reports(run("preview", "order", "order-9", "--json"))[0]["resource"] == "order/order-9"


@pytest.mark.parametrize(
    ("kind", "name", "asked"),
    [
        ("order", "S-99999", "order number, e-mail and id"),
        ("customer", "nobody@example.com", "e-mail, number, key and id"),
        ("product", 'an "odd" SKU', "key, SKU and id"),
        ("category", f"{UUID}9", "key, slug and id"),
    ],
)
@pytest.mark.parametrize("command", ["preview", "resync"])
def test_what_is_not_there_is_said_in_a_line(
    run: Run, shop: Sandbox, command: str, kind: str, name: str, asked: str
) -> None:
    """What was looked for and where, exit 1; nothing is written."""
    failed = run(command, kind, name)
    where = f"in commercetools project shop ({shop.commercetools.url})"
    assert (failed.exit_code, failed.stderr) == (1, f"Error: There is no {kind} {name} {where}; searched by {asked}.\n")
    assert shop.klaviyo.requests(kind="api") == []


def test_a_name_of_several_lists_them(run: Run, shop: Sandbox) -> None:
    """The newest first, with what tells them apart."""
    shop.commercetools.put(
        "orders", order(f"{UUID}7", customerEmail="annika@example.com", createdAt="2026-09-01T10:00:00.000Z")
    )
    failed = run("resync", "order", "annika@example.com", "--yes")
    several = f"number-of-{UUID}7 ({UUID}7), S-20001 ({UUID}2)"
    assert (failed.exit_code, failed.stderr.strip().endswith(f"Name one of {several}")) == (1, True)


@pytest.mark.parametrize("command", ["preview", "resync"])
@pytest.mark.parametrize(("status", "says"), [(503, "commercetools_error 503"), (403, "commercetools_denied 403")])
def test_a_shop_that_does_not_answer_is_said_in_a_line(
    run: Run, shop: Sandbox, command: str, status: int, says: str
) -> None:
    """With the reason, and the command that says more; exit 1."""
    shop.commercetools.fail(path="/orders", status=status)
    failed = run(command, "order", "S-20001")
    assert failed.exit_code == 1
    assert failed.stderr.startswith(f"Error: commercetools does not answer ({says}")
    assert "manage.py check" in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.usefixtures("shop")
def test_several_names_have_each_its_result(run: Run) -> None:
    """One that is not there keeps no other from being shown, and makes the exit status 1."""
    result = run("preview", "order", "nope", "S-20001")
    assert result.exit_code == 1
    assert "There is no order nope" in result.stderr
    assert f"order S-20001 ({UUID}2)" in result.stdout
    assert "order/OrderCreated: synced" in result.stdout


def test_a_saved_notification_is_what_was_previewed(run: Run, shop: Sandbox, tmp_path: Path) -> None:
    """The file is for its owner alone, says the version that the shop has now, and previews as the name does."""
    file = tmp_path / "order.json"
    file.touch(0o644)  # one that others may read is taken from them
    by_name = _reports(run("preview", "order", "S-20001", "--save", str(file), "--json"))[0]["requests"]
    assert by_name
    assert _reports(run("preview", str(file), "--json"))[0]["requests"] == by_name
    saved = json.loads(file.read_text(encoding="utf-8"))
    shop_has = shop.commercetools.document("orders", f"{UUID}2")
    assert (saved["order"], saved["resourceVersion"]) == (shop_has, shop_has["version"])
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["preview", "order"], "Say which order."),
        (["preview", "order", "a", "b", "--save", "f"], "--save takes one NAME."),
        (["preview", "f.json", "--save", "f"], "--save takes one NAME."),
        (["resync", "orders", "S-20001"], "'orders' is not one of"),
        (["resync", "order"], "Missing argument 'NAME...'"),
    ],
)
def test_what_is_typed_wrong(run: Run, arguments: list[str], says: str) -> None:
    """Exit 2, and nothing is asked for."""
    failed = run(*arguments)
    assert (failed.exit_code, says in failed.stderr) == (2, True)


def test_json_is_not_mixed_with_the_log(run: Run, shop: Sandbox) -> None:
    """What a handler logs goes to stderr."""
    codes = [{"discountCode": {"typeId": "discount-code", "id": "d1"}, "state": "MatchesCart"}]
    shop.commercetools.put("orders", order(f"{UUID}6", orderNumber="S-6", customerId=f"{UUID}1", discountCodes=codes))
    shop.commercetools.tokens(deny_scopes=["view_discount_codes"])
    result = run("preview", "order", "S-6", "--json")
    assert _reports(result)[0]["outcome"] == "synced"
    assert "discount codes are left out" in result.stderr


@pytest.mark.parametrize("columns", [40, 120])
def test_a_preview_without_accounts_says_what_it_reads(columns: int) -> None:
    """The samples' documents, for a first try of the command in its help. No value is broken, however narrow it is."""
    nothing = dict.fromkeys(("CT_API_URL", "KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL"), "")
    result = CliRunner(env=nothing | {"COLUMNS": str(columns)}).invoke(
        manage, ["preview", "order", "S-20001", "--diff"]
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "commercetools: the documents in samples/documents; Klaviyo: assumed to be empty"
    assert len(lines[1]) == columns  # the rule under which the order is told
    assert '  + properties.OrderId = "0d000000-0000-4000-8000-000000000001"' in lines


def test_a_long_difference_begins_with_what_klaviyo_is_told(run: Run, shop: Sandbox) -> None:
    """An event says what was made for Klaviyo before the order's own fields, and not all of these."""
    fields = {f"field{number}": number for number in range(100)}
    custom = {"type": {"typeId": "type", "id": "t"}, "fields": fields}
    shop.commercetools.patch("orders", f"{UUID}2", {"custom": custom})
    lines = run("preview", "order", "S-20001", "--diff").stdout.split("send event Ordered Product")[0].splitlines()
    changes = [line for line in lines if line.startswith("  + ")]
    assert (len(changes), changes[0]) == (40, f'  + properties.OrderId = "{UUID}2"')
    is_raw = [line[len("  + properties.")].islower() for line in changes if "properties." in line]
    assert is_raw == sorted(is_raw)
    (rest,) = (line for line in lines if line.startswith("  … and "))
    whole = json.loads(run("preview", "order", "S-20001", "--json").stdout)[0]["requests"][0]["body"]
    assert len(whole["data"]["attributes"]["properties"]) > 100
    assert int(rest.split()[2]) > 60


def test_what_changes_is_never_cut(run: Run, shop: Sandbox) -> None:
    """Only what is new to Klaviyo is: a change must not be overlooked."""
    custom = {"type": {"typeId": "type", "id": "t"}, "fields": {f"field{number}": number for number in range(100)}}
    shop.commercetools.patch("customers", f"{UUID}1", {"custom": custom})
    assert run("resync", "customer", "K-1", "--yes").exit_code == 0
    custom = {**custom, "fields": {f"field{number}": number + 1 for number in range(200)}}
    shop.commercetools.patch("customers", f"{UUID}1", {"custom": custom})
    lines = run("preview", "customer", "K-1", "--diff").stdout.splitlines()
    assert sum(line.startswith("  ~ ") for line in lines) == 100
    assert sum(line.startswith("  + ") for line in lines) == 0
    assert any(line.startswith("  … and 100 more new values") for line in lines)


@pytest.mark.usefixtures("shop")
def test_a_sample_on_a_real_shop_is_explained(run: Run) -> None:
    """It is of another project; the line says how it is tried."""
    result = run("preview", "samples/13-customer-created.json", CT_PROJECT_ID="mine")
    assert result.exit_code == 1
    assert "The notification is of project shop, but CT_PROJECT_ID is mine." in result.stdout
    assert "--documents samples/documents" in result.stdout
