"""Customers by Klaviyo's bulk imports: what is imported, what is left for the live handler, and what stays true."""

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
"""More than are done one by one."""
BACKFILL = ("--only", "customers")
SECONDS_TO_END = 10.0
QUEUED = 4.0
"""Seconds that a job takes where something happens meanwhile."""


def one(number: int, **fields: Any) -> Json:
    """A customer of the shop."""
    told = {"email": f"c{number}@shop.example", "firstName": f"First {number}", "addresses": [], **fields}
    return customer(f"c-{number:05d}", **told)


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """A shop of many customers, and an account whose limits leave room for that many upserts in a few seconds."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    sandbox.commercetools.put_all({"customers": [one(number) for number in range(MANY)]})
    return sandbox


def profiles(sandbox: Sandbox) -> dict[str, Json]:
    """What Klaviyo holds, by the customer's id."""
    return {one["external_id"]: one for one in sandbox.klaviyo.state()["profiles"] if one.get("external_id")}


def written_one_by_one(sandbox: Sandbox) -> list[str]:
    """The customers who were upserted, each once."""
    calls = answered_calls(sandbox, "create_or_update_profile")
    return sorted({call["body"]["data"]["attributes"]["external_id"] for call in calls})


def is_under_way(sandbox: Sandbox) -> bool:
    """Whether a job was begun."""
    return bool(answered_calls(sandbox, "bulk_import_profiles"))


def _rich(number: int) -> Json:
    """A customer with address, phone number, group, and fields of their own; some lack the one or the other."""
    addresses = [address(mobile=f"0151 {11_111_111 + number}")] if number % 3 else []
    fields: Json = {"title": "Dr", "companyName": "Linden & Loom"} if number % 2 else {"locale": None}
    own = {"custom": {"type": reference("type", "t"), "fields": {"size": number, "tags": ["a", "b"]}}}
    return one(number, addresses=addresses, **fields, **(own if number % 5 else {}))


def test_both_ways_write_the_same(shop: Sandbox, job: Job) -> None:
    """A bulk import writes what the live handler writes, which is the single way; nobody is without an e-mail."""
    people = [_rich(number) for number in range(MANY)]
    shop.commercetools.put_all({"customers": people})
    shop.commercetools.put("customers", one(1, email="", firstName="Nobody"))
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
        assert is_under_way(shop) == (way == "bulk")
        assert len(written_one_by_one(shop)) == (MANY - 1) * (way == "single")
        written[way] = klaviyo_records(shop)["profiles"]
    assert written["bulk"] == written["single"]
    told = written["bulk"]["c-00007"]
    assert (told["phone_number"], told["title"], told["properties"]["size"]) == ("+4915111111118", "Dr", 7)
    assert len(written["bulk"]) == MANY - 1


def test_few_are_written_one_by_one(sandbox: Sandbox, job: Job) -> None:
    """Klaviyo advises against small imports."""
    sandbox.commercetools.put_all({"customers": [one(number) for number in range(20)]})
    assert job.run(*BACKFILL).code == 0
    assert not is_under_way(sandbox)
    assert len(profiles(sandbox)) == 20


@pytest.mark.parametrize("lacks", ["lists:write", "lists:read"])
def test_a_key_without_lists(shop: Sandbox, job: Job, lacks: str) -> None:
    """Without its scopes there is no import: every customer is written one by one, and the log says why, once."""
    scopes = {"profiles:read", "profiles:write", "accounts:read", "lists:read", "lists:write"} - {lacks}
    shop.klaviyo.keys(scopes=sorted(scopes))
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert len(profiles(shop)) == MANY
    assert len([line for line in done.lines if "lists:write" in str(line.get("message"))]) == 1


def test_rows_that_fail_are_left_for_the_handler(shop: Sandbox, job: Job) -> None:
    """An e-mail that is another profile's is left out, as it is live; one that is none is for the errors file."""
    _known_to_klaviyo(shop, profile(external_id="c-00003"), profile(external_id="another", email="c3@shop.example"))
    shop.commercetools.put("customers", one(4, email="nobody"))
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    counts = done.report["passes"]["customers"]
    assert (counts["sent"], counts["errors"]) == (MANY - 1, 1)
    assert written_one_by_one(shop) == ["c-00003", "c-00004"]
    assert [line["resource"] for line in job.error_lines()] == ["customer/c-00004"]
    found = profiles(shop)
    assert ("email" in found["c-00003"], found["another"]["email"]) == (False, "c3@shop.example")
    assert len(found) == MANY


def _known_to_klaviyo(shop: Sandbox, *bodies: Json) -> None:
    """Profiles that were there before, which the record of calls does not show."""
    with klaviyo(shop.klaviyo.url) as call:
        for body in bodies:
            call("POST", "/api/profile-import", body)
    shop.klaviyo.forget_requests()


@pytest.mark.parametrize(
    "failure", [{"status": 400}, {"status": 500, "apply": True}, {"reset": "answering", "apply": True}]
)
def test_a_job_that_is_not_taken(shop: Sandbox, job: Job, failure: dict[str, Any]) -> None:
    """One that is refused is done one by one; one whose answer was lost is begun again. Nobody is left out."""
    shop.klaviyo.fail("profile-bulk-import-jobs$", method="POST", count=1, **failure)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert len(profiles(shop)) == MANY
    assert len(written_one_by_one(shop)) == (MANY if failure.get("status") == 400 else 0)


def test_stopped_without_the_scopes(shop: Sandbox, job: Job) -> None:
    """A key that may not begin an import has begun none: the next run does not wait for one, and goes on."""
    shop.klaviyo.keys(scopes=["profiles:read", "profiles:write", "accounts:read"])
    shop.klaviyo.fail("profile-import", delay=0.3)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: len(answered_calls(shop, "create_or_update_profile")) > 20)
        process.kill()
    shop.klaviyo.clear_failures()
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert len(profiles(shop)) == MANY


def test_a_job_that_is_not_known_at_once(shop: Sandbox, job: Job) -> None:
    """Klaviyo may answer 404 for a job that it has just taken; it is asked again."""
    shop.klaviyo.fail("profile-bulk-import-jobs/[^/]+$", method="GET", status=404, count=1)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert (len(profiles(shop)), written_one_by_one(shop)) == (MANY, [])


def test_a_job_that_klaviyo_never_knows(shop: Sandbox, job: Job) -> None:
    """After a few seconds of 404s, every customer of the job is upserted one by one."""
    shop.klaviyo.fail("profile-bulk-import-jobs/[^/]+$", method="GET", status=404)
    done = job.run(*BACKFILL)
    assert done.code == 0, done.lines
    assert (len(profiles(shop)), len(written_one_by_one(shop))) == (MANY, MANY)


def test_a_few_bad_rows_are_no_wrong_configuration(sandbox: Sandbox, job: Job) -> None:
    """Rows that fail are judged where they stand, not as the last ones of their batch."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    bad = range(0, 1200, 30)
    people = [one(number, **({"email": "nobody"} if number in bad else {})) for number in range(1200)]
    sandbox.commercetools.put_all({"customers": people})
    done = job.run(*BACKFILL)
    assert (done.code, len(job.error_lines())) == (0, len(bad)), done.stop_reasons


def test_a_batch_has_as_much_as_a_job_takes(sandbox: Sandbox, job: Job) -> None:
    """What is too much for one job goes into the next one, not one by one."""
    sandbox.klaviyo.limits(enforce=False, scale=20)
    large = {"custom": {"type": reference("type", "t"), "fields": {"notes": "x" * 4_500}}}
    sandbox.commercetools.put_all({"customers": [one(number, **large) for number in range(2_000)]})
    settings = job.folder / "sync.toml"
    settings.write_text('[customer]\ncustom_fields = { include = ["notes"] }\n', encoding="utf-8")
    done = job.run(*BACKFILL, SYNC_CONFIG=str(settings))
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert len(answered_calls(sandbox, "bulk_import_profiles")) == 2
    assert 0 < len(written_one_by_one(sandbox)) < 200
    assert len(profiles(sandbox)) == 2_000


def test_failures_on_the_way(shop: Sandbox, job: Job) -> None:
    """Throttled, failing, slow and lost calls: the import ends all the same, and nobody is left out."""
    for failure in ({"status": 429, "headers": {"Retry-After": "1"}}, {"status": 503}, {"reset": "answering"}):
        shop.klaviyo.fail("^/api/profile-bulk-import-jobs", rate=0.2, **failure)
        shop.commercetools.fail("/customers$", rate=0.2, **failure)
    shop.klaviyo.fail("^/api/profile-bulk-import-jobs", rate=0.3, delay=0.3)
    done = job.run(*BACKFILL)
    assert (done.code, job.error_lines()) == (0, []), done.lines
    assert len(profiles(shop)) == MANY


def test_what_the_shop_clears(shop: Sandbox, job: Job) -> None:
    """An import clears nothing, so who was there before and has something to clear is upserted. Nobody else is."""
    _known_to_klaviyo(shop, *(profile(external_id=f"c-0000{number}", title="Dr") for number in (6, 7)))
    shop.commercetools.put("customers", one(7, title="Prof"))
    settings = job.folder / "sync.toml"
    settings.write_text('[customer]\nclear = ["title"]\n', encoding="utf-8")
    time.sleep(6)  # an older profile is one that was made before the run, by any clock
    assert job.run(*BACKFILL, SYNC_CONFIG=str(settings)).code == 0
    found = profiles(shop)
    assert ("title" in found["c-00006"], found["c-00007"]["title"]) == (False, "Prof")
    assert written_one_by_one(shop) == ["c-00006"]


def test_what_happens_while_a_job_is_queued(shop: Sandbox, job: Job, serve: Serve) -> None:
    """A newer state stands, and whoever is erased meanwhile stays erased, whatever the job writes afterwards."""
    function = serve(SYNC_CONFIG="")
    shop.klaviyo.jobs(QUEUED)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: is_under_way(shop))
        shop.commercetools.patch("customers", "c-00008", {"firstName": "Newer"})
        function.deliver(change("ResourceUpdated", "customer", "c-00008"))
        shop.commercetools.delete("customers", "c-00009")
        function.deliver(change("ResourceDeleted", "customer", "c-00009", dataErasure=True))
        assert profiles(shop)["c-00008"]["first_name"] == "Newer"
        done = result_of(process)
    assert done.code == 0, done.lines
    assert written_one_by_one(shop) == ["c-00008", "c-00009"]  # the second to find out which profile to erase
    assert profiles(shop)["c-00008"]["first_name"] == "Newer"
    assert "c-00009" not in profiles(shop)
    assert done.report["passes"]["customers"]["skipped"] == {"deleted": 1}


def _killed_while_queued(shop: Sandbox, job: Job) -> None:
    with job.started(*BACKFILL) as process:
        wait_until(lambda: is_under_way(shop))
        process.kill()


def test_killed_while_a_job_is_queued(shop: Sandbox, job: Job, serve: Serve) -> None:
    """The next run waits for the job of the killed one, which would overwrite what is newer, and erases who is gone."""
    function = serve(SYNC_CONFIG="")
    shop.klaviyo.jobs(20.0)
    _killed_while_queued(shop, job)
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


def test_a_signal_while_a_job_is_queued(shop: Sandbox, job: Job) -> None:
    """The run does not wait for the job, and goes on later."""
    shop.klaviyo.jobs(60.0)
    with job.started(*BACKFILL) as process:
        wait_until(lambda: is_under_way(shop))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert result_of(process).code == 75
        assert time.monotonic() - began < SECONDS_TO_END
    assert job.state["passes"]["customers"]["read"] == 0
