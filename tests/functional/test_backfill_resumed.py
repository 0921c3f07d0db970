"""A backfill that is killed goes on where it was: nothing is lost, nothing there twice, and nobody comes back."""

import json
import shutil
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from commands.processes import Sandbox
from jobs.selection import PASSES
from tests.functional.documents import category, customer, line_item, order, payment, product, reference, transaction
from tests.functional.job_runs import Job, answered_calls, result_of, wait_until
from tests.functional.klaviyo_state import klaviyo_records

SECONDS_TO_END = 10.0
HANGS: dict[str, Any] = {"delay": 120}


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """Two pages of three in each collection, the orders in two windows of 30 days."""
    for number in range(1, 5):
        sandbox.commercetools.put("categories", category(f"category-{number}", f"Category {number}"))
        sandbox.commercetools.put("products", product(f"product-{number}", categories=[f"category-{number}"]))
        sandbox.commercetools.put("customers", customer(f"customer-{number}", addresses=[]))
        whose: Any = {"customerId": f"customer-{number}", "customerEmail": f"customer-{number}@example.com"}
        paid = {"paymentInfo": {"payments": [reference("payment", f"payment-{number}")]}}
        made = {"createdAt": f"2026-0{5 + number % 2}-11T10:00:00.000Z"}
        lines = [line_item(number)]
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=lines, **whose, **paid, **made))
        refund = transaction(f"refund-{number}")
        sandbox.commercetools.put("payments", payment(f"payment-{number}", [refund]))
    return sandbox


def _cursors(job: Job) -> Any:
    if not (job.folder / "backfill-state.json").exists():
        return None
    return {name: (one["window"], one["after"], one["finished"]) for name, one in job.state["passes"].items()}


def _is_further(process: "subprocess.Popen[str]", job: Job, before: Any) -> bool:
    """Whether a run has noted another page, or ended."""
    return process.poll() is not None or _cursors(job) not in (before, None)


def _repeated(sandbox: Sandbox) -> dict[str, int]:
    """How often each event was sent."""
    sent = [call["body"]["data"]["attributes"] for call in answered_calls(sandbox, "create_event")]
    names = [one["metric"]["data"]["attributes"]["name"] for one in sent]
    return dict(Counter(f"{name} {one['unique_id']}" for name, one in zip(names, sent, strict=True)))


@pytest.mark.timeout(180)
def test_killed_after_each_page_it_ends_as_if_it_had_not_been(shop: Sandbox, job: Job) -> None:
    """SIGKILL whenever a page was noted, again and again with the same command; one page is repeated at most."""
    assert job.run("--page", "3").code == 0
    whole = klaviyo_records(shop)
    (job.folder / "backfill-state.json").unlink()
    shop.klaviyo.reset()
    shop.klaviyo.fail("^/api", delay=0.1)  # time to kill it
    kills = 0
    while True:
        before = _cursors(job)
        with job.started("--page", "3") as process:
            wait_until(partial(_is_further, process, job, before))
            if process.poll() is not None:
                assert result_of(process).code == 0
                break
            process.kill()
            kills += 1
    assert kills >= 2 * len(PASSES)
    assert klaviyo_records(shop) == whole
    assert max(_repeated(shop).values()) <= 2
    counted = {name: (one["read"], one["sent"], one["errors"]) for name, one in job.state["passes"].items()}
    assert counted == dict.fromkeys(PASSES, (4, 4, 0))


def test_a_signal_ends_it_within_ten_seconds(shop: Sandbox, job: Job) -> None:
    """Also while Klaviyo hangs: the page is dropped, 75 says that the same command goes on."""
    shop.klaviyo.fail("^/api/events", **HANGS)
    with job.started("--only", "orders") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        process.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        done = result_of(process)
    assert time.monotonic() - asked_at < SECONDS_TO_END
    assert (done.code, done.stop_reasons) == (75, "Interrupted. Run the same command again to resume.")
    assert job.state["owner"] is None
    shop.klaviyo.clear_failures()
    assert job.run("--only", "orders").code == 0
    assert shop.klaviyo.state()["events"]
    assert len(shop.klaviyo.state()["events"]) == 8


def test_a_signal_lets_the_page_end(shop: Sandbox, job: Job) -> None:
    """Where it can within eight seconds: it is noted, and not repeated."""
    shop.klaviyo.fail("^/api/events", delay=0.5)
    with job.started("--only", "orders", "--page", "1") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        process.send_signal(signal.SIGINT)
        assert result_of(process).code == 75
    assert job.state["passes"]["orders"]["read"] == 1
    shop.klaviyo.clear_failures()
    assert job.run("--only", "orders", "--page", "1").code == 0
    assert set(_repeated(shop).values()) == {1}


@pytest.mark.parametrize(
    ("only", "operation"),
    [("orders", "create_event"), ("refunds", "create_event"), ("customers", "create_or_update_profile")],
)
def test_who_is_erased_while_it_runs_does_not_come_back(shop: Sandbox, job: Job, only: str, operation: str) -> None:
    """What was sent after the erasure is undone."""
    shop.klaviyo.fail("^/api/(events|profile-import)", delay=1)
    with job.started("--only", only) as process:
        wait_until(lambda: any(call["operation"] == operation for call in shop.klaviyo.requests()))
        shop.commercetools.delete("customers", "customer-1")
        assert result_of(process).code == 0
    assert _people(shop) == {"customer-2", "customer-3", "customer-4"}


@pytest.mark.parametrize("only", ["orders", "refunds", "customers"])
def test_who_is_erased_after_a_kill_does_not_come_back(shop: Sandbox, job: Job, only: str) -> None:
    """The page that was killed had sent something of them, and what they bought may be deleted as well."""
    shop.commercetools.fail("/customers/customer-1", skip=1, **HANGS)
    with job.started("--only", only) as process:
        wait_until(lambda: "customer-1" in _people(shop))
        process.kill()
    shop.commercetools.clear_failures()
    shop.commercetools.delete("customers", "customer-1")
    for collection in ("orders", "payments"):
        shop.commercetools.delete(collection, f"{collection[:-1]}-1")
    assert job.run("--only", only).code == 0
    assert _people(shop) == {"customer-2", "customer-3", "customer-4"}


def test_who_is_erased_between_two_attempts_does_not_come_back(shop: Sandbox, job: Job) -> None:
    """Klaviyo took what the first attempt sent, and said that it did not; the second one finds the customer gone."""
    shop.klaviyo.fail("^/api/events", status=503, apply=True)
    with job.started("--only", "orders") as process:
        wait_until(lambda: len(_reads_of(shop, "customer-1")) == 2)  # before the events, and after they failed
        shop.commercetools.delete("customers", "customer-1")
        shop.klaviyo.clear_failures()
        assert result_of(process).code == 0
    assert _people(shop) == {"customer-2", "customer-3", "customer-4"}


def _reads_of(sandbox: Sandbox, customer_id: str) -> list[Any]:
    """The reads of a customer that were answered."""
    requests = sandbox.commercetools.requests(kind="api")
    return [call for call in requests if call["path"].endswith(f"/customers/{customer_id}") and call["status"]]


def _people(sandbox: Sandbox) -> set[str]:
    return {one["external_id"] for one in sandbox.klaviyo.state()["profiles"]}


def test_two_runs_on_one_file(shop: Sandbox, job: Job) -> None:
    """The second one sees that the first one is alive, and says whose it is."""
    shop.klaviyo.fail("^/api/events", **HANGS)
    with job.started("--only", "orders") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        second = job.run("--only", "orders")
        assert second.code == 78
        assert f"another run (process {process.pid} on " in second.stop_reasons
        assert process.poll() is None


def test_a_state_file_that_can_not_be_written_for_a_moment(shop: Sandbox, job: Job) -> None:
    """A write that fails is repeated, and the run goes on; one that is asked to end meanwhile ends."""
    folder, away = job.folder / "bucket", job.folder / "away"
    arguments = ("--only", "orders", "--state", "bucket/state.json")
    shop.klaviyo.fail("^/api/events", status=503)
    for comes_back in (False, True):
        folder.mkdir()
        with job.started(*arguments) as process:
            wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
            folder.rename(away)
            _await_line(process, "the state file can't be written")
            if comes_back:
                away.rename(folder)
                shop.klaviyo.clear_failures()
                assert result_of(process).code == 0
            else:
                process.terminate()
                stopped = result_of(process)
                away.rename(folder)
                assert (stopped.code, "No such file or directory. Run" in stopped.stop_reasons) == (75, True)
        shop.klaviyo.forget_requests()
        shutil.rmtree(folder)
    assert len(shop.klaviyo.state()["events"]) == 8


def _await_line(process: "subprocess.Popen[str]", message: str) -> None:
    """Read what a run says until it says that."""
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["message"] == message:
            return
    raise AssertionError(message)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"project": "other-shop"}, "belongs to another commercetools project (other-shop, not shop)"),
        ({"account": "OTHER1"}, "belongs to another Klaviyo account (OTHER1, not SANDBX)"),
        ({"rules": "other"}, "was written with other settings for what is sent"),
        ({"version": 99}, "is not the state file of a backfill"),
    ],
)
def test_the_state_of_another_run_is_refused(shop: Sandbox, job: Job, changed: dict[str, Any], said: str) -> None:
    """In one line, before anything is sent; --restart begins anew."""
    assert job.run("--only", "customers").code == 0
    shop.klaviyo.reset()
    path = job.folder / "backfill-state.json"
    path.write_text(json.dumps({**job.state, **changed}), encoding="utf-8")
    refused = job.run("--only", "customers")
    assert (refused.code, said in refused.stop_reasons) == (78, True)
    assert answered_calls(shop, "create_or_update_profile") == []
    if "version" not in changed:
        assert job.run("--only", "customers", "--restart").code == 0
        assert len(_people(shop)) == 4


def test_other_options_wait_until_a_run_is_done(shop: Sandbox, job: Job) -> None:
    """A run that is not done keeps its file; one that is done leaves it to the next."""
    shop.klaviyo.fail("^/api/events", **HANGS)
    with job.started("--only", "orders") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        process.kill()
    shop.klaviyo.clear_failures()
    refused = job.run("--only", "orders", "--since", "2026-06-01")
    assert refused.code == 78
    assert "(--since)" in refused.stop_reasons
    assert job.run("--only", "orders").code == 0
    assert job.run("--only", "orders", "--since", "2026-06-01").report["passes"]["orders"]["read"] == 2


@pytest.mark.usefixtures("shop")
def test_settings_that_change_nothing_of_what_is_sent_may_change(job: Job, tmp_path: Path) -> None:
    """The pace can be changed in the middle of a run; what bodies look like only when it is said."""
    pace, bodies = tmp_path / "pace.toml", tmp_path / "bodies.toml"
    pace.write_text("[backfill]\nshare = 0.3\n[limits]\nread_timeout = 9\n", encoding="utf-8")
    bodies.write_text('[metrics]\nplaced_order = "Ordered"\n', encoding="utf-8")
    assert job.run("--only", "customers").code == 0
    assert job.run("--only", "orders", SYNC_CONFIG=str(pace)).code == 0
    assert job.run("--only", "refunds", SYNC_CONFIG=str(bodies)).code == 78
    assert job.run("--only", "refunds", "--keep-rules", SYNC_CONFIG=str(bodies)).code == 0
