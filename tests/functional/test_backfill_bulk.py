"""A backfill of customers uses Klaviyo's bulk imports; what they can't do is upserted one by one."""

import signal
import time
from typing import Any

import pytest

from commands.processes import Sandbox
from sandbox.calls import klaviyo
from tests.functional.conftest import Serve
from tests.functional.documents import address, change, customer, reference
from tests.functional.job_runs import Job, Json, answered_calls, result_of, wait_until
from tests.functional.klaviyo_state import klaviyo_records
from tests.unit.klaviyo_bodies import profile

MANY = 520
"""Customers: enough for a bulk import."""
BACKFILL = ("--only", "customers")
SECONDS_TO_END = 10.0
JOB_SECONDS = 4.0
"""Seconds that a job takes, in tests of changes in the meantime: the first half in the queue."""


def numbered_customer(number: int, **fields: Any) -> Json:
    """A customer with an id, e-mail and first name from this number."""
    defaults = {"email": f"c{number}@shop.example", "firstName": f"First {number}", "addresses": [], **fields}
    return customer(f"c-{number:05d}", **defaults)


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """A shop with many customers, and rate limits that allow this many upserts within seconds."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.commercetools.put_all({"customers": [numbered_customer(number) for number in range(MANY)]})
    return sandbox


def profiles(sandbox: Sandbox) -> dict[str, Json]:
    """Klaviyo's profiles by customer id."""
    return {one["external_id"]: one for one in sandbox.klaviyo.state()["profiles"] if one.get("external_id")}


def ids_upserted_one_by_one(sandbox: Sandbox) -> list[str]:
    """Ids of the customers who were upserted one by one, without duplicates."""
    calls = answered_calls(sandbox, "create_or_update_profile")
    return sorted({call["body"]["data"]["attributes"]["external_id"] for call in calls})


def import_has_begun(sandbox: Sandbox) -> bool:
    """True if a bulk import has begun."""
    return bool(answered_calls(sandbox, "bulk_import_profiles"))


def _detailed_customer(number: int) -> Json:
    """A customer with an address, a phone number and custom fields; some customers lack one of them."""
    addresses = [address(mobile=f"0151 {11_111_111 + number}")] if number % 3 else []
    fields: Json = {"title": "Dr", "companyName": "Linden & Loom"} if number % 2 else {"locale": None}
    own = {"custom": {"type": reference("type", "t"), "fields": {"size": number, "tags": ["a", "b"]}}}
    return numbered_customer(number, addresses=addresses, **fields, **(own if number % 5 else {}))


def test_bulk_imports_write_what_single_upserts_write(shop: Sandbox, job: Job) -> None:
    """`profiles = "bulk"` and `"single"` write the same profiles. A customer without an e-mail is skipped."""
    people = [_detailed_customer(number) for number in range(MANY)]
    shop.commercetools.put_all({"customers": people})
    shop.commercetools.put("customers", numbered_customer(1, email="", firstName="Nobody"))
    written: dict[str, Any] = {}
    for way in ("bulk", "single"):
        shop.klaviyo.reset()
        shop.klaviyo.limits(enforce=False, scale=20)
        settings = job.folder / "sync.toml"
        rules = f'[backfill]\nprofiles = "{way}"\n[customer]\ncustom_fields = {{ include = ["size", "tags"] }}\n'
        settings.write_text(rules, encoding="utf-8")
        done = job.run(*BACKFILL, "--restart", SYNC_CONFIG=str(settings))
        assert done.code == 0, done.lines
        counts = done.report["passes"]["customers"]
        assert (counts["read"], counts["sent"], counts["skipped"]) == (MANY, MANY - 1, {"no_email": 1})
        assert import_has_begun(shop) == (way == "bulk")
        assert len(ids_upserted_one_by_one(shop)) == (MANY - 1) * (way == "single")
        written[way] = klaviyo_records(shop)["profiles"]
    assert written["bulk"] == written["single"]
    found = written["bulk"]["c-00007"]
    assert (found["phone_number"], found["title"], found["properties"]["size"]) == ("+4915111111118", "Dr", 7)
    assert len(written["bulk"]) == MANY - 1


def test_few_customers_are_upserted_one_by_one(sandbox: Sandbox, job: Job) -> None:
    """Few customers are upserted one by one: Klaviyo advises against small imports."""
    sandbox.commercetools.put_all({"customers": [numbered_customer(number) for number in range(20)]})
    assert job.run(*BACKFILL).code == 0
    assert not import_has_begun(sandbox)
    assert len(profiles(sandbox)) == 20


@pytest.mark.parametrize("lacks", ["lists:write", "lists:read"])
def test_a_key_without_list_scopes_upserts_one_by_one(shop: Sandbox, job: Job, lacks: str) -> None:
    """Without the scopes for imports, every customer is upserted one by one. The log says why, once."""
    scopes = {"profiles:read", "profiles:write", "accounts:read", "lists:read", "lists:write"} - {lacks}
    shop.klaviyo.keys(scopes=sorted(scopes))
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert (len(profiles(shop)), len(ids_upserted_one_by_one(shop))) == (MANY, MANY)
    assert len([line for line in done.lines if "lists:write" in str(line.get("message"))]) == 1


def test_failed_rows_are_upserted_one_by_one(shop: Sandbox, job: Job) -> None:
    """Rows that fail in the import are upserted, without another profile's e-mail. An invalid e-mail is an error."""
    _create_profiles(shop, profile(external_id="c-00003"), profile(external_id="another", email="c3@shop.example"))
    shop.commercetools.put("customers", numbered_customer(4, email="nobody"))
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    counts = done.report["passes"]["customers"]
    assert (counts["sent"], counts["errors"]) == (MANY - 1, 1)
    assert ids_upserted_one_by_one(shop) == ["c-00003", "c-00004"]
    assert [line["resource"] for line in job.error_lines()] == ["customer/c-00004"]
    found = profiles(shop)
    assert ("email" in found["c-00003"], found["another"]["email"]) == (False, "c3@shop.example")
    assert len(found) == MANY


def _create_profiles(shop: Sandbox, *bodies: Json) -> None:
    """Create profiles before the run, and clear the record of calls."""
    with klaviyo(shop.klaviyo.url) as call:
        for body in bodies:
            call("POST", "/api/profile-import", body)
    shop.klaviyo.forget_requests()


@pytest.mark.parametrize(
    "failure", [{"status": 400}, {"status": 500, "apply": True}, {"reset": "answering", "apply": True}]
)
def test_a_refused_or_lost_job(shop: Sandbox, job: Job, failure: dict[str, Any]) -> None:
    """Customers of a refused job are upserted one by one. A job whose answer was lost is started again."""
    shop.klaviyo.fail("profile-bulk-import-jobs$", method="POST", count=1, **failure)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert len(profiles(shop)) == MANY
    assert len(ids_upserted_one_by_one(shop)) == (MANY if failure.get("status") == 400 else 0)


def test_a_run_without_list_scopes_can_be_resumed(shop: Sandbox, job: Job) -> None:
    """If the key can't start imports, the run after a kill resumes without waiting for one."""
    shop.klaviyo.keys(scopes=["profiles:read", "profiles:write", "accounts:read"])
    shop.klaviyo.fail("profile-import", delay=0.3)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: len(answered_calls(shop, "create_or_update_profile")) > 20)
        process.kill()
    shop.klaviyo.clear_failures()
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert len(profiles(shop)) == MANY


def test_a_new_job_that_klaviyo_does_not_find_yet(shop: Sandbox, job: Job) -> None:
    """A 404 for a job that Klaviyo has just accepted is retried."""
    shop.klaviyo.fail("profile-bulk-import-jobs/[^/]+$", method="GET", status=404, count=1)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert (len(profiles(shop)), ids_upserted_one_by_one(shop)) == (MANY, [])


def test_a_job_that_klaviyo_never_finds(shop: Sandbox, job: Job) -> None:
    """If a job is 404 for several seconds, each of its customers is upserted one by one."""
    shop.klaviyo.fail("profile-bulk-import-jobs/[^/]+$", method="GET", status=404)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert (len(profiles(shop)), len(ids_upserted_one_by_one(shop))) == (MANY, MANY)


def test_a_few_bad_rows_do_not_stop_the_run(sandbox: Sandbox, job: Job) -> None:
    """Failed rows count at their positions in the import.

    Counted together at its end, 60 of 1,500 would be over 5 % of the last 1,000 customers and stop the run.
    """
    sandbox.klaviyo.limits(enforce=False, scale=20)
    bad = range(0, 1500, 25)
    people = [numbered_customer(number, **({"email": "nobody"} if number in bad else {})) for number in range(1500)]
    sandbox.commercetools.put_all({"customers": people})
    done = job.run(*BACKFILL)
    assert (done.code, len(job.error_lines())) == (0, len(bad)), done.stop_reasons


def test_a_batch_is_split_at_the_size_limit_of_a_job(sandbox: Sandbox, job: Job) -> None:
    """At a job's size limit, the rest of the page is upserted one by one, and the next pages go into a second job."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    large = {"custom": {"type": reference("type", "t"), "fields": {"notes": "x" * 4_500}}}
    sandbox.commercetools.put_all({"customers": [numbered_customer(number, **large) for number in range(2_000)]})
    settings = job.folder / "sync.toml"
    settings.write_text('[customer]\ncustom_fields = { include = ["notes"] }\n', encoding="utf-8")
    done = job.run(*BACKFILL, SYNC_CONFIG=str(settings))
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert len(answered_calls(sandbox, "bulk_import_profiles")) == 2
    assert 0 < len(ids_upserted_one_by_one(sandbox)) < 200
    assert len(profiles(sandbox)) == 2_000


def test_failing_calls_lose_nobody(shop: Sandbox, job: Job) -> None:
    """With throttled, failing, slow and lost calls the import still completes, and no customer is missing."""
    for failure in ({"status": 429, "headers": {"Retry-After": "1"}}, {"status": 503}, {"reset": "answering"}):
        shop.klaviyo.fail("^/api/profile-bulk-import-jobs", rate=0.2, **failure)
        shop.commercetools.fail("/customers$", rate=0.2, **failure)
    shop.klaviyo.fail("^/api/profile-bulk-import-jobs", rate=0.3, delay=0.3)
    done = job.run(*BACKFILL)
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert len(profiles(shop)) == MANY


def test_fields_to_clear_are_upserted(shop: Sandbox, job: Job) -> None:
    """An import can't clear fields: existing profiles with a field to clear, and only these, are upserted singly."""
    _create_profiles(shop, *(profile(external_id=f"c-0000{number}", title="Dr") for number in (6, 7)))
    shop.commercetools.put("customers", numbered_customer(7, title="Prof"))
    settings = job.folder / "sync.toml"
    settings.write_text('[customer]\nclear = ["title"]\n', encoding="utf-8")
    time.sleep(6)  # the profiles must be older than the run, in spite of clock differences
    assert job.run(*BACKFILL, SYNC_CONFIG=str(settings)).code == 0
    found = profiles(shop)
    assert ("title" in found["c-00006"], found["c-00007"]["title"]) == (False, "Prof")
    assert ids_upserted_one_by_one(shop) == ["c-00006"]


def test_changes_while_a_job_is_queued(shop: Sandbox, job: Job, serve: Serve) -> None:
    """Newer states written while the job is queued stay, and an erased customer stays erased."""
    function = serve(SYNC_CONFIG="")
    shop.klaviyo.jobs(JOB_SECONDS)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: import_has_begun(shop))
        shop.commercetools.patch("customers", "c-00008", {"firstName": "Newer"})
        function.deliver(change("ResourceUpdated", "customer", "c-00008"))
        shop.commercetools.delete("customers", "c-00009")
        function.deliver(change("ResourceDeleted", "customer", "c-00009", dataErasure=True))
        assert profiles(shop)["c-00008"]["first_name"] == "Newer"
        done = result_of(process)
    assert done.code == 0, done.lines
    assert ids_upserted_one_by_one(shop) == ["c-00008", "c-00009"]  # c-00009: an upsert tells which profile to erase
    assert profiles(shop)["c-00008"]["first_name"] == "Newer"
    assert "c-00009" not in profiles(shop)
    assert done.report["passes"]["customers"]["skipped"] == {"deleted": 1}


def _kill_while_queued(shop: Sandbox, job: Job) -> None:
    with job.started(*BACKFILL) as process:
        wait_until(lambda: import_has_begun(shop))
        process.kill()


def test_a_run_after_one_killed_with_a_queued_job(shop: Sandbox, job: Job, serve: Serve) -> None:
    """The next run waits for the killed run's job, then restores newer states and erases deleted customers again."""
    function = serve(SYNC_CONFIG="")
    shop.klaviyo.jobs(20.0)
    _kill_while_queued(shop, job)
    shop.klaviyo.jobs(0)
    shop.commercetools.patch("customers", "c-00008", {"firstName": "Newer"})
    function.deliver(change("ResourceUpdated", "customer", "c-00008"))
    shop.commercetools.delete("customers", "c-00009")
    function.deliver(change("ResourceDeleted", "customer", "c-00009", dataErasure=True))
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    found = profiles(shop)
    assert len(found) == MANY - 1
    assert "c-00009" not in found
    assert found["c-00008"]["first_name"] == "Newer"


def test_a_signal_while_a_job_is_queued_ends_the_run(shop: Sandbox, job: Job) -> None:
    """A signal ends the run without waiting for the job. Nothing counts as read, so a later run resumes there."""
    shop.klaviyo.jobs(60.0)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: import_has_begun(shop))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert result_of(process).code == 75
        assert time.monotonic() - began < SECONDS_TO_END
    assert job.state["passes"]["customers"]["read"] == 0
