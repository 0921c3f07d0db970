"""A dry run reports new profiles, values it would shorten, and what Klaviyo's SDK would reject."""

from pathlib import Path
from typing import Any

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from jobs.entry import run_backfill
from jobs.options import parse_options
from jobs.outcome import DONE
from jobs.progress import Snapshot
from tests.functional.conftest import ManagePy
from tests.functional.documents import customer, line_item, order, payment, product, reference
from tests.functional.job_runs import Job

GUEST: dict[str, Any] = {"customerId": None, "lines": []}
REFUNDED: dict[str, Any] = {"paymentInfo": {"payments": [reference("payment", "payment-1")]}}
CUSTOMERS_EMAIL = "customer-2@example.com"


@pytest.fixture
def people(sandbox: Sandbox) -> Sandbox:
    """Customers and guests, to count profiles.

    Two customers with an e-mail, one of them without an order, and one without an e-mail. Two guests, one with two
    orders; a guest order with a customer's e-mail; an order of a deleted customer.
    """
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("customers", customer("customer-2", email=CUSTOMERS_EMAIL, addresses=[]))
    sandbox.commercetools.put("customers", customer("customer-3", email=""))
    sandbox.commercetools.put("orders", order("order-1", lines=[], **REFUNDED))
    for number, email in enumerate(["a@example.com", "A@Example.com", "b@example.com", CUSTOMERS_EMAIL.upper()]):
        sandbox.commercetools.put("orders", order(f"guest-{number}", customerEmail=email, **GUEST))
    sandbox.commercetools.put("orders", order("order-gone", customerId="gone"))
    sandbox.commercetools.put("payments", payment())
    return sandbox


@pytest.mark.parametrize(
    ("arguments", "customers", "guests"),
    [
        ([], 2, 2),
        (["--only", "orders"], 2, 2),
        (["--only", "customers"], 2, 0),
        (["--only", "refunds"], 1, 0),
        (["--skip-guests"], 2, 0),
    ],
)
def test_it_counts_the_profiles_a_run_creates(
    people: Sandbox, job: Job, arguments: list[str], customers: int, guests: int
) -> None:
    """Each person counts once over all passes, orders and spellings; without an e-mail, or deleted, not at all."""
    dry = job.run("--dry-run", *arguments)
    assert dry.report["new_profiles"] == {"customers": customers, "guests": guests, "estimated": False}
    assert job.run(*arguments).code == 0
    assert len(people.klaviyo.state()["profiles"]) == customers + guests


def test_bodies_the_sdk_rejects_are_unmappable(sandbox: Sandbox, job: Job) -> None:
    """A dry run validates bodies with the SDK's models, like a run. The order's other events are still sent."""
    sandbox.commercetools.put("customers", customer())
    sandbox.commercetools.put("orders", order(lines=[line_item(1), {**line_item(2), "id": 7}]))
    dry, done = (job.run(*arguments).report["passes"]["orders"] for arguments in (["--dry-run"], []))
    assert (dry["unmappable"], dry["unmappable_ids"]) == (done["errors"], ["order/order-1"]) == (1, ["order/order-1"])
    assert {metric: one["count"] for metric, one in dry["events"].items()} == {"Placed Order": 1, "Ordered Product": 1}
    assert len(sandbox.klaviyo.state()["events"]) == 2
    assert job.error_lines()[0]["reason"] == "unmappable"


def test_shortened_bodies_are_counted(sandbox: Sandbox, job: Job, manage_py: ManagePy) -> None:
    """It counts bodies that lose something: an event with more than 400 properties, an invalid phone number."""
    fields = {f"field-{number}": "x" for number in range(500)}
    sandbox.commercetools.put("customers", customer())
    address = {"id": "a1", "country": "DE", "phone": "12"}
    sandbox.commercetools.put("customers", customer("customer-2", email="b@example.com", addresses=[address]))
    sandbox.commercetools.put("orders", order(lines=[], custom={"type": reference("type", "t1"), "fields": fields}))
    passes = job.run("--dry-run").report["passes"]
    assert {name: one["cuts"] for name, one in passes.items() if one["cuts"]} == {"customers": 1, "orders": 1}
    assert "orders: 1 read, 1 to write, 1 to shorten, 0 unmappable" in manage_py("backfill", "--dry-run").output


def test_unmappable_products_are_named(sandbox: Sandbox, job: Job) -> None:
    """A dry run maps products too, and names those it can't map."""
    sandbox.commercetools.put("products", product("product-1"))
    sandbox.commercetools.put("products", product("product-2", name="not localized"))
    counts = job.run("--dry-run", "--only", "products").report["passes"]["products"]
    assert (counts["read"], counts["unmappable_ids"]) == (2, ["product/product-2"])


class RecordedProgress:
    """Progress that records its snapshots."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def show(self, snapshot: Snapshot) -> None:
        """Record a snapshot."""
        self.snapshots.append(snapshot)

    def close(self) -> None:
        """Do nothing: there is no display."""


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ([], 6),
        (["--since", "2026-06-01"], 4),
        (["--since", "2026-06-01", "--until", "2026-07-15"], 2),
        (["--ids", "ids"], 3),
    ],
    ids=str,
)
def test_progress_estimates_the_remaining_time(
    sandbox: Sandbox,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    total: int,
) -> None:
    """The estimate is based on the number of selected orders and the rate of this run."""
    monkeypatch.chdir(tmp_path)
    Path("ids").write_text("order-1\norder-2\norder-3\n", encoding="utf-8")
    for number, month in enumerate((5, 5, 6, 7, 8, 8)):
        created = f"2026-{month:02}-11T10:00:00.000Z"
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=[], createdAt=created))
    progress = RecordedProgress()
    options = parse_options(
        ["--dry-run", "--only", "orders", "--page", "1", *arguments], settings.sync.backfill, "backfill"
    )
    assert run_backfill(options, settings, progress).code == DONE
    first = next(one for one in progress.snapshots if one.done == 1)
    assert (first.total, first.is_capped) == (total, False)
    assert first.rate > 0
    assert first.minutes_left == pytest.approx((total - 1) / first.rate)
    assert progress.snapshots[-1].done == total


@pytest.mark.usefixtures("people")
def test_the_summary_names_profiles_and_states(manage_py: ManagePy, tmp_path: Path) -> None:
    """The summary counts the profiles, and warns that `placed_states` is compared with the orders' current states."""
    rules = tmp_path / "own.toml"
    rules.write_text('[order]\nplaced_states = ["Complete"]\n', encoding="utf-8")
    shown = manage_py("backfill", "--dry-run")
    assert "Profiles: 2 customers and 2 guests." in shown.output
    assert "placed_states" not in shown.output
    assert "now in the state Complete" in manage_py("backfill", "--dry-run", SYNC_CONFIG=str(rules)).output
