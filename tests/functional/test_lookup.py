"""`manage.py preview` and `resync` find resources by the names that people use for them."""

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
    ("kind", "name", "last_digit", "key"),
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
def test_a_resource_is_found_by_each_of_its_names(run: Run, kind: str, name: str, last_digit: int, key: str) -> None:
    """The preview is of the notification that commercetools would send about its current state."""
    (report,) = _reports(run("preview", kind, name, "--json"))
    assert (report["resource"], report["key"]) == (f"{kind}/{UUID}{last_digit}", key)
    assert report["outcome"] == "synced"


@pytest.mark.usefixtures("shop")
def test_an_id_that_is_no_uuid_is_found(run: Run, sandbox: Sandbox) -> None:
    """It is tried after the other names."""
    sandbox.commercetools.put("orders", order("order-9"))
    sandbox.commercetools.put("customers", customer())
    assert _reports(run("preview", "order", "order-9", "--json"))[0]["resource"] == "order/order-9"


@pytest.mark.parametrize(
    ("kind", "name", "searched_by"),
    [
        ("order", "S-99999", "order number, e-mail and id"),
        ("customer", "nobody@example.com", "e-mail, number, key and id"),
        ("product", 'an "odd" SKU', "key, SKU and id"),
        ("category", f"{UUID}9", "key, slug and id"),
    ],
)
@pytest.mark.parametrize("command", ["preview", "resync"])
def test_a_missing_resource_is_reported(
    run: Run, shop: Sandbox, command: str, kind: str, name: str, searched_by: str
) -> None:
    """One line says what was looked for and where; exit 1, and nothing is written."""
    failed = run(command, kind, name)
    where = f"in commercetools project shop ({shop.commercetools.url})"
    assert (failed.exit_code, failed.stderr) == (
        1,
        f"Error: There is no {kind} {name} {where}; searched by {searched_by}.\n",
    )
    assert shop.klaviyo.requests(kind="api") == []


def test_an_ambiguous_name_lists_its_matches(run: Run, shop: Sandbox) -> None:
    """The newest comes first, each with what distinguishes it."""
    shop.commercetools.put(
        "orders", order(f"{UUID}7", customerEmail="annika@example.com", createdAt="2026-09-01T10:00:00.000Z")
    )
    failed = run("resync", "order", "annika@example.com", "--yes")
    matches = f"number-of-{UUID}7 ({UUID}7), S-20001 ({UUID}2)"
    assert (failed.exit_code, failed.stderr.strip().endswith(f"Use one of {matches}")) == (1, True)


@pytest.mark.parametrize("command", ["preview", "resync"])
@pytest.mark.parametrize(("status", "says"), [(503, "commercetools_error 503"), (403, "commercetools_denied 403")])
def test_a_shop_that_does_not_answer(run: Run, shop: Sandbox, command: str, status: int, says: str) -> None:
    """One line gives the reason and the command that says more; exit 1."""
    shop.commercetools.fail(path="/orders", status=status)
    failed = run(command, "order", "S-20001")
    assert failed.exit_code == 1
    assert failed.stderr.startswith(f"Error: commercetools does not answer ({says}")
    assert "manage.py check" in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.usefixtures("shop")
def test_each_of_several_names_has_its_result(run: Run) -> None:
    """A missing one does not hide the others, but makes the exit status 1."""
    result = run("preview", "order", "nope", "S-20001")
    assert result.exit_code == 1
    assert "There is no order nope" in result.stderr
    assert f"order S-20001 ({UUID}2)" in result.stdout
    assert "order/OrderCreated: synced" in result.stdout


def test_a_saved_notification_previews_alike(run: Run, shop: Sandbox, tmp_path: Path) -> None:
    """Only its owner can read the file. It has the shop's current version and previews like the name."""
    file = tmp_path / "order.json"
    file.touch(0o644)  # an existing file that others may read becomes private
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
def test_usage_errors(run: Run, arguments: list[str], says: str) -> None:
    """Exit 2, with a message that says what is wrong."""
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
    """It reads the samples' documents. Values are never wrapped, however narrow the terminal."""
    nothing = dict.fromkeys(("CT_API_URL", "KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL"), "")
    result = CliRunner(env=nothing | {"COLUMNS": str(columns)}).invoke(
        manage, ["preview", "order", "S-20001", "--diff"]
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "commercetools: the documents in samples/documents; Klaviyo: assumed to be empty"
    assert len(lines[1]) == columns  # the rule above the order
    assert '  + properties.OrderId = "0d000000-0000-4000-8000-000000000001"' in lines


def test_a_long_diff_begins_with_the_mapped_properties(run: Run, shop: Sandbox) -> None:
    """A cut diff of an event shows the mapped properties before the order's own fields."""
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


def test_changes_are_never_cut(run: Run, shop: Sandbox) -> None:
    """Only new values are cut from a diff: a change must not be overlooked."""
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
    """The sample belongs to another project. The output says so, and how to preview it."""
    result = run("preview", "samples/13-customer-created.json", CT_PROJECT_ID="mine")
    assert result.exit_code == 1
    assert "The notification belongs to project shop, but CT_PROJECT_ID is mine." in result.stdout
    assert "--documents samples/documents" in result.stdout
