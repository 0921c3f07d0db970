"""A killed backfill resumes where it was: nothing is lost or duplicated, and no erased customer comes back."""

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
    """Four documents per collection, two pages of three. The orders are in two windows of 30 days."""
    for number in range(1, 5):
        sandbox.commercetools.put("categories", category(f"category-{number}", f"Category {number}"))
        sandbox.commercetools.put("products", product(f"product-{number}", categories=[f"category-{number}"]))
        sandbox.commercetools.put("customers", customer(f"customer-{number}", addresses=[]))
        owner: Any = {"customerId": f"customer-{number}", "customerEmail": f"customer-{number}@example.com"}
        paid = {"paymentInfo": {"payments": [reference("payment", f"payment-{number}")]}}
        created = {"createdAt": f"2026-0{5 + number % 2}-11T10:00:00.000Z"}
        lines = [line_item(number)]
        sandbox.commercetools.put("orders", order(f"order-{number}", lines=lines, **owner, **paid, **created))
        refund = transaction(f"refund-{number}")
        sandbox.commercetools.put("payments", payment(f"payment-{number}", [refund]))
    return sandbox


def _cursors(job: Job) -> Any:
    if not (job.folder / "backfill-state.json").exists():
        return None
    return {name: (one["window"], one["after"], one["finished"]) for name, one in job.state["passes"].items()}


def _is_further(process: "subprocess.Popen[str]", job: Job, before: Any) -> bool:
    """True if the run has saved another page's cursor, or has ended."""
    return process.poll() is not None or _cursors(job) not in (before, None)


def _send_counts(sandbox: Sandbox) -> dict[str, int]:
    """How often each event was sent."""
    sent = [call["body"]["data"]["attributes"] for call in answered_calls(sandbox, "create_event")]
    names = [one["metric"]["data"]["attributes"]["name"] for one in sent]
    return dict(Counter(f"{name} {one['unique_id']}" for name, one in zip(names, sent, strict=True)))


@pytest.mark.timeout(180)
def test_a_run_killed_after_each_page_loses_nothing(shop: Sandbox, job: Job) -> None:
    """A run killed after every saved page ends with the same records, and sends each event at most twice."""
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
    assert max(_send_counts(shop).values()) <= 2
    counted = {name: (one["read"], one["sent"], one["errors"]) for name, one in job.state["passes"].items()}
    assert counted == dict.fromkeys(PASSES, (4, 4, 0))


def test_a_signal_ends_the_run_within_ten_seconds(shop: Sandbox, job: Job) -> None:
    """A signal ends the run even while Klaviyo hangs. The page is dropped, and a run after exit code 75 repeats it."""
    shop.klaviyo.fail("^/api/events", **HANGS)
    with job.started("--only", "orders") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        process.send_signal(signal.SIGTERM)
        signalled_at = time.monotonic()
        done = result_of(process)
    assert time.monotonic() - signalled_at < SECONDS_TO_END
    assert (done.code, done.stop_reasons) == (75, "Interrupted. Run the same command again to resume.")
    assert job.state["owner"] is None
    shop.klaviyo.clear_failures()
    assert job.run("--only", "orders").code == 0
    assert len(shop.klaviyo.state()["events"]) == 8


def test_a_signal_lets_the_page_finish(shop: Sandbox, job: Job) -> None:
    """After a signal, a page that finishes within eight seconds is saved and not repeated."""
    shop.klaviyo.fail("^/api/events", delay=0.5)
    with job.started("--only", "orders", "--page", "1") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        process.send_signal(signal.SIGINT)
        assert result_of(process).code == 75
    assert job.state["passes"]["orders"]["read"] == 1
    shop.klaviyo.clear_failures()
    assert job.run("--only", "orders", "--page", "1").code == 0
    assert set(_send_counts(shop).values()) == {1}


@pytest.mark.parametrize("only", ["orders", "refunds", "customers"])
def test_a_customer_erased_during_the_run_does_not_come_back(shop: Sandbox, job: Job, only: str) -> None:
    """If a customer is deleted while the run writes their profile, the run erases the profile."""
    shop.klaviyo.fail("^/api/(events|profile-import)", delay=1)
    with job.started("--only", only) as process:
        wait_until(lambda: "customer-1" in _profile_ids(shop))
        shop.commercetools.delete("customers", "customer-1")
        assert result_of(process).code == 0
    assert _profile_ids(shop) == {"customer-2", "customer-3", "customer-4"}


@pytest.mark.parametrize("only", ["orders", "refunds", "customers"])
def test_a_customer_erased_after_a_kill_does_not_come_back(shop: Sandbox, job: Job, only: str) -> None:
    """The killed run's last page created a profile. The next run erases it, even if the orders are deleted too."""
    shop.commercetools.fail("/customers/customer-1", skip=1, **HANGS)
    with job.started("--only", only) as process:
        wait_until(lambda: "customer-1" in _profile_ids(shop))
        process.kill()
    shop.commercetools.clear_failures()
    shop.commercetools.delete("customers", "customer-1")
    for collection in ("orders", "payments"):
        shop.commercetools.delete(collection, f"{collection[:-1]}-1")
    assert job.run("--only", only).code == 0
    assert _profile_ids(shop) == {"customer-2", "customer-3", "customer-4"}


def test_a_customer_erased_between_two_attempts_does_not_come_back(shop: Sandbox, job: Job) -> None:
    """Klaviyo stored the first attempt's events but answered 503, and the second attempt finds the customer deleted."""
    shop.klaviyo.fail("^/api/events", status=503, apply=True)
    with job.started("--only", "orders") as process:
        wait_until(lambda: len(_reads_of(shop, "customer-1")) == 2)  # before the events, and after they failed
        shop.commercetools.delete("customers", "customer-1")
        shop.klaviyo.clear_failures()
        assert result_of(process).code == 0
    assert _profile_ids(shop) == {"customer-2", "customer-3", "customer-4"}


def _reads_of(sandbox: Sandbox, customer_id: str) -> list[Any]:
    """The answered reads of a customer."""
    requests = sandbox.commercetools.requests(kind="api")
    return [call for call in requests if call["path"].endswith(f"/customers/{customer_id}") and call["status"]]


def _profile_ids(sandbox: Sandbox) -> set[str]:
    return {one["external_id"] for one in sandbox.klaviyo.state()["profiles"]}


def test_a_second_run_with_the_same_state_file_is_refused(shop: Sandbox, job: Job) -> None:
    """A second run with the same state file is refused while the first one is alive, and names its process."""
    shop.klaviyo.fail("^/api/events", **HANGS)
    with job.started("--only", "orders") as process:
        wait_until(lambda: any(call["operation"] == "create_event" for call in shop.klaviyo.requests()))
        second = job.run("--only", "orders")
        assert second.code == 78
        assert f"another run (process {process.pid} on " in second.stop_reasons
        assert process.poll() is None


def test_writing_the_state_file_is_retried(shop: Sandbox, job: Job) -> None:
    """A failed write of the state file is retried until it succeeds, or until a signal ends the run."""
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
    """Read a run's log up to this message."""
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["message"] == message:
            return
    raise AssertionError(message)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"project": "other-shop"}, "belongs to another commercetools project (other-shop, not shop)"),
        ({"account": "OTHER1"}, "belongs to another Klaviyo account (OTHER1, not SANDBX)"),
        ({"rules": "other"}, "was written with other settings for what is sent"),
        ({"version": 99}, "is not the state file of a backfill"),
    ],
)
def test_the_state_of_another_run_is_refused(shop: Sandbox, job: Job, changed: dict[str, Any], reason: str) -> None:
    """Another run's state file is refused before anything is sent. `--restart` starts over if it is a state file."""
    assert job.run("--only", "customers").code == 0
    shop.klaviyo.reset()
    path = job.folder / "backfill-state.json"
    path.write_text(json.dumps({**job.state, **changed}), encoding="utf-8")
    refused = job.run("--only", "customers")
    assert (refused.code, reason in refused.stop_reasons) == (78, True)
    assert answered_calls(shop, "create_or_update_profile") == []
    if "version" not in changed:
        assert job.run("--only", "customers", "--restart").code == 0
        assert len(_profile_ids(shop)) == 4


def test_an_unfinished_run_resumes_only_with_its_options(shop: Sandbox, job: Job) -> None:
    """An unfinished run can't be resumed with other options. Once it has finished, a run may have other options."""
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
def test_settings_that_change_what_is_sent_need_keep_rules(job: Job, tmp_path: Path) -> None:
    """Settings of speed and timeouts may change between runs. Those that change what is sent need `--keep-rules`."""
    speed, bodies = tmp_path / "speed.toml", tmp_path / "bodies.toml"
    speed.write_text("[backfill]\nshare = 0.3\n[limits]\nread_timeout = 9\n", encoding="utf-8")
    bodies.write_text('[metrics]\nplaced_order = "Ordered"\n', encoding="utf-8")
    assert job.run("--only", "customers").code == 0
    assert job.run("--only", "orders", SYNC_CONFIG=str(speed)).code == 0
    assert job.run("--only", "refunds", SYNC_CONFIG=str(bodies)).code == 78
    assert job.run("--only", "refunds", "--keep-rules", SYNC_CONFIG=str(bodies)).code == 0
