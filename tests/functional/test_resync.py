"""`manage.py resync` copies single resources again, with the handlers that messages go through."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from commands import resync
from commands.processes import Sandbox, running_function
from sandbox.calls import klaviyo
from tests.functional.conftest import ACKNOWLEDGED, Run
from tests.functional.documents import Json, line_item, message, order
from tests.functional.lookup_shop import UUID


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "_PAUSE", 0.01)


def _events(sandbox: Sandbox) -> list[tuple[str, str, Any]]:
    return [(event["metric"], event["unique_id"], event.get("backfill")) for event in sandbox.klaviyo.state()["events"]]


def _writes(sandbox: Sandbox) -> list[Json]:
    return [request for request in sandbox.klaviyo.requests(kind="api") if request["method"] != "GET"]


def test_an_order_is_resynced_after_confirmation(run: Run, shop: Sandbox) -> None:
    """It shows what would change and writes nothing before the answer. Then both events are sent; exit 0."""
    refused = run("resync", "order", "S-20001", answer="n\n")
    assert (refused.exit_code, "Write this to Klaviyo? [y/N]" in refused.stdout) == (1, True)
    assert f"send event Placed Order {UUID}2" in refused.stdout
    assert '+ properties.OrderNumber = "S-20001"' in refused.stdout
    assert _writes(shop) == []
    done = run("resync", "order", "S-20001", answer="y\n")
    assert done.exit_code == 0, done.output
    assert re.search(
        rf"^order S-20001 \({UUID}2\): synced, \d+ calls to commercetools, 2 calls to klaviyo$",
        done.stdout,
        re.MULTILINE,
    )
    assert sorted(event[:2] for event in _events(shop)) == [("Ordered Product", "line-1"), ("Placed Order", f"{UUID}2")]


def test_a_resync_duplicates_no_event(run: Run, shop: Sandbox) -> None:
    """Its unique ids are those of the message, and Klaviyo keeps the first event of each."""
    notification = message("OrderCreated", "order", f"{UUID}2", order=shop.commercetools.document("orders", f"{UUID}2"))
    with running_function(shop.environment) as function:
        assert function.push(json.dumps(notification).encode(), "created") == ACKNOWLEDGED
    before = _events(shop)
    assert run("resync", "order", "S-20001", "--yes").exit_code == 0
    assert _events(shop) == before
    assert len(before) == 2


def test_an_old_order_starts_no_flow(run: Run, shop: Sandbox) -> None:
    """Events of an order over three days old are sent with `backfill`."""
    assert run("resync", "order", "S-20001", "--yes").exit_code == 0
    sent = [request["body"]["data"]["attributes"]["backfill"] for request in _writes(shop)]
    assert sent == [True, True]


def test_a_customer_shows_what_would_change(run: Run, shop: Sandbox) -> None:
    """The diff is against Klaviyo's profile: another name is one line, and afterwards there is no difference."""
    assert run("resync", "customer", "K-1", "--yes").exit_code == 0
    shop.commercetools.patch("customers", f"{UUID}1", {"firstName": "Anne"})
    result = run("resync", "customer", "K-1", "--yes")
    assert f"update profile {UUID}1" in result.stdout
    changes = [line for line in result.stdout.splitlines() if re.match(r"  [+~-] ", line)]
    assert changes == ['  ~ first_name = "Annika" -> "Anne"']
    assert [profile["first_name"] for profile in shop.klaviyo.state()["profiles"]] == ["Anne"]
    assert "  no difference" in run("preview", "customer", "K-1", "--diff").stdout


def test_a_profile_with_only_the_email_is_found(run: Run, shop: Sandbox) -> None:
    """The upsert would update it, so it is not shown as new."""
    known = {"email": "annika@example.com", "first_name": "Annika"}
    with klaviyo(shop.klaviyo.url) as calls:
        created = calls("POST", "/api/profiles", {"data": {"type": "profile", "attributes": known}})
    assert created.status == 201
    shown = run("preview", "customer", "K-1", "--diff").stdout
    assert f"update profile {UUID}1" in shown
    assert f'+ external_id = "{UUID}1"' in shown
    assert "first_name" not in shown


def test_a_product_is_resynced(run: Run, shop: Sandbox) -> None:
    """A missing category is created first. A second run has nothing to write and asks nothing.

    Later differences are shown and written.
    """
    first = run("resync", "product", "tote", "--yes")
    assert first.exit_code == 0, first.output
    assert "create item" in first.stdout
    assert "(a category did not exist: create answered 404)" in first.stdout
    assert set(shop.klaviyo.state()["variants"]) == {"SKU 1", 'SKU"2'}
    again = run("resync", "product", "tote", answer="")
    assert (again.exit_code, "Nothing was written" in again.stdout) == (0, True)
    assert "nothing would be written" in again.stdout
    data = shop.commercetools.document("products", f"{UUID}3")["masterData"]
    data["current"] |= {"description": {"en-US": "Better"}, "categories": []}
    shop.commercetools.patch("products", f"{UUID}3", {"masterData": data})
    lines = run("resync", "product", "tote", "--dry-run").stdout.splitlines()
    assert f"update item {UUID}3" in lines
    assert f'  ~ description = "What {UUID}3 is" -> "Better"' in lines
    assert f'  - categories[] = "{UUID}5"' in lines
    assert run("resync", "product", "SKU 1", "--yes").exit_code == 0
    item = shop.klaviyo.state()["items"][f"{UUID}3"]
    assert (item["description"], item["categories"]) == ("Better", [])


def test_an_unpublished_product_is_deleted(run: Run, shop: Sandbox) -> None:
    """Its message would do the same."""
    assert run("resync", "product", "tote", "--yes").exit_code == 0
    data = shop.commercetools.document("products", f"{UUID}3")["masterData"]
    shop.commercetools.patch("products", f"{UUID}3", {"masterData": {**data, "published": False}})
    result = run("resync", "product", "tote", "--yes")
    assert (result.exit_code, f"delete item {UUID}3" in result.stdout) == (0, True)
    assert shop.klaviyo.state()["items"] == {}


def test_a_category_is_resynced(run: Run, shop: Sandbox) -> None:
    """It is found by its slug."""
    assert run("resync", "category", "taschen", "--yes").exit_code == 0
    assert shop.klaviyo.state()["categories"] == {f"{UUID}5": "Bags"}


def test_a_dry_run_writes_nothing(run: Run, shop: Sandbox) -> None:
    """It asks nothing either."""
    result = run("resync", "order", "S-20001", "--dry-run")
    assert (result.exit_code, "[y/N]" in result.stdout) == (0, False)
    assert "send event Placed Order" in result.stdout
    assert _writes(shop) == []


def test_a_missing_resource_does_not_block_the_others(run: Run, shop: Sandbox) -> None:
    """Each has its own result. The missing one makes the exit status 1."""
    shop.commercetools.put("orders", order(f"{UUID}8", orderNumber="S-8", customerId=f"{UUID}1", lines=[line_item(8)]))
    result = run("resync", "order", "S-20001", "nope", "S-8", "--yes")
    assert (result.exit_code, "There is no order nope" in result.stderr) == (1, True)
    assert len(re.findall(r"^order S-\w+ \(\S+\): synced", result.stdout, re.MULTILINE)) == 2
    assert {event[1] for event in _events(shop)} == {f"{UUID}2", "line-1", f"{UUID}8", "line-8"}


def test_a_temporary_failure_is_retried(run: Run, shop: Sandbox) -> None:
    """It is retried as Pub/Sub would redeliver it. Each attempt is shown, and the last one counts."""
    shop.klaviyo.fail(path="/api/profile-import", status=503, count=3)
    result = run("resync", "customer", "K-1", "--yes")
    assert result.exit_code == 0, result.output
    assert "retried: klaviyo_error 503" in result.stdout
    assert "retrying in" in result.stdout
    assert len(shop.klaviyo.state()["profiles"]) == 1


def test_a_lasting_failure_ends_it(run: Run, shop: Sandbox) -> None:
    """It gives up after five attempts; exit 1."""
    shop.klaviyo.fail(path="/api/profile-import", status=503)
    result = run("resync", "customer", "K-1", "--yes")
    assert (result.exit_code, result.stdout.count("retried: klaviyo_error 503")) == (1, 5)


@pytest.mark.parametrize(
    ("status", "says"), [(401, "retried: klaviyo_denied 401"), (400, "dead-lettered: klaviyo_refused 400")]
)
def test_what_no_retry_can_fix_is_not_retried(run: Run, shop: Sandbox, status: int, says: str) -> None:
    """A wrong key or a refused body is reported once; exit 1."""
    shop.klaviyo.fail(path="/api/profile-import", status=status)
    result = run("resync", "customer", "K-1", "--yes")
    assert (result.exit_code, result.stdout.count(says)) == (1, 1)
    assert "retrying" not in result.stdout


def test_a_resource_deleted_before_the_answer_is_not_written(
    run: Run, shop: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop is read again after the confirmation."""

    def confirm(*_: object, **__: object) -> bool:
        shop.commercetools.delete("orders", f"{UUID}2")
        return True

    monkeypatch.setattr("click.confirm", confirm)
    result = run("resync", "order", "S-20001")
    assert (result.exit_code, f"There is no order {UUID}2" in result.stderr) == (1, True)
    assert _writes(shop) == []


def test_a_resync_needs_real_settings(run: Run) -> None:
    """Unlike a preview, it never falls back to stand-ins."""
    failed = run("resync", "order", "S-20001", "--yes", KLAVIYO_AUTH_KEY="")
    assert (failed.exit_code, "KLAVIYO_AUTH_KEY is not set" in failed.stderr) == (1, True)


@pytest.mark.parametrize("kind_and_name", [("customer", "K-1"), ("product", "tote")])
def test_nothing_is_claimed_if_klaviyo_refuses_the_key(run: Run, shop: Sandbox, kind_and_name: tuple[str, str]) -> None:
    """With a wrong key it can't tell what would change, so it does not report that all is well."""
    shop.klaviyo.fail(status=401)
    failed = run("resync", *kind_and_name, "--yes")
    assert failed.exit_code == 1
    assert "retried: klaviyo_denied 401" in failed.stdout
    assert "Can't tell what would change, so nothing was written. Next: python3 manage.py check" in failed.stdout
    assert "create" not in failed.stdout
    preview = run("preview", *kind_and_name, "--diff")
    assert (preview.exit_code, "klaviyo_denied" in preview.stdout) == (1, True)


def test_an_unmappable_document_does_not_blame_the_keys(run: Run, shop: Sandbox) -> None:
    """`check` would not help, so the output names the page that explains the reason."""
    shop.commercetools.patch("categories", f"{UUID}5", {"name": 5})
    failed = run("resync", "category", f"{UUID}5", "--yes")
    assert (failed.exit_code, "dead-lettered: unmappable" in failed.stdout) == (1, True)
    assert "Nothing was written. For the reason above, see docs/failures.md" in failed.stdout
    assert "manage.py check" not in failed.stdout


@pytest.mark.usefixtures("shop")
def test_a_warning_about_the_settings_is_printed_once(run: Run, settings_file: Callable[[str], str]) -> None:
    """Resync compares with Klaviyo and then writes, but the warning appears once."""
    misspelt = settings_file('[order]\nfulfilled_states = ["complete"]\n')
    for command in ("resync", "preview"):
        options = ["--yes"] if command == "resync" else []
        warnings = run(command, "order", "S-20001", *options, SYNC_CONFIG=misspelt).stderr
        assert warnings.count("Warning: order.fulfilled_states names complete") == 1


def test_a_profile_that_can_not_be_looked_up_is_not_new(run: Run, shop: Sandbox) -> None:
    """The preview's lookup is refused, although the write itself would not be."""
    shop.klaviyo.fail(method="GET", status=403)
    preview = run("preview", "customer", "K-1", "--diff")
    assert (preview.exit_code, "klaviyo_denied 403" in preview.stdout, "create profile" in preview.stdout) == (
        1,
        True,
        False,
    )
