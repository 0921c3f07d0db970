"""The Klaviyo stand-in: bulk jobs, accepted immediately and processed row by row later."""

from typing import Any

from sandbox import Control
from sandbox.calls import Calls
from tests.fake_clock import FakeClock
from tests.unit.catalog_bodies import item, variant
from tests.unit.klaviyo_bodies import profile, refusal

IMPORT = "/api/profile-bulk-import-jobs"


def import_body(*rows: dict[str, Any]) -> dict[str, Any]:
    """The body of a profile import."""
    profiles = {"data": [profile(**row)["data"] for row in rows]}
    return {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": profiles}}}


def create_body(plural: str, *rows: dict[str, Any]) -> dict[str, Any]:
    """The body of a job that creates these records; `plural` is `items` or `variants`."""
    kind = f"catalog-{plural.removesuffix('s')}-bulk-create-job"
    return {"data": {"type": kind, "attributes": {plural: {"data": [row["data"] for row in rows]}}}}


def test_each_row_of_an_import_is_an_upsert(calls: Calls, control: Control) -> None:
    """Each row is an upsert in which null changes nothing. A failed row reports why; the others are processed."""
    calls("POST", "/api/profile-import", profile(external_id="c1", title="Dr"))
    calls("POST", "/api/profile-import", profile(email="taken@x.io"))
    rows: list[dict[str, Any]] = [
        {"external_id": "c1", "title": None, "first_name": "Jo"},
        {"external_id": "c2", "phone_number": "911"},
        {"external_id": "c1", "email": "taken@x.io"},
    ]
    job = calls("POST", IMPORT, import_body(*rows))
    assert job.status == 202
    done = calls("GET", f"{IMPORT}/{job.body['data']['id']}").body["data"]["attributes"]
    assert (done["status"], done["completed_count"], done["failed_count"]) == ("complete", 1, 2)
    errors = calls("GET", f"{IMPORT}/{job.body['data']['id']}/import-errors").body["data"]
    assert [error["attributes"]["code"] for error in errors] == ["invalid", "duplicate_profile"]
    assert errors[0]["attributes"]["original_payload"]["attributes"]["external_id"] == "c2"
    first = control.state()["profiles"][0]
    assert (first["title"], first["first_name"]) == ("Dr", "Jo")


def test_a_job_is_queued_then_processed_row_by_row(calls: Calls, control: Control, sandbox_clock: FakeClock) -> None:
    """A job is queued for half of its duration, then its rows are processed one after the other."""
    control.jobs(8)
    job = calls("POST", IMPORT, import_body({"external_id": "c1"}, {"external_id": "c2"})).body["data"]
    seen: list[tuple[str, int]] = []
    for seconds in (0, 3, 2, 2, 1):
        sandbox_clock.sleep(seconds)
        status = calls("GET", f"{IMPORT}/{job['id']}").body["data"]["attributes"]["status"]
        seen.append((status, len(control.state()["profiles"])))
    assert seen == [("queued", 0), ("queued", 0), ("processing", 0), ("processing", 1), ("complete", 2)]
    open_jobs = calls("GET", f'{IMPORT}?filter=any(status,["queued","processing"])').body["data"]
    assert open_jobs == []
    assert len(calls("GET", IMPORT).body["data"]) == 1


def test_a_job_creates_catalog_records(calls: Calls, control: Control) -> None:
    """Records are created; the row of an existing record fails."""
    calls("POST", "/api/catalog-item-bulk-create-jobs", create_body("items", item("p1"), item("p2")))
    again = calls("POST", "/api/catalog-item-bulk-create-jobs", create_body("items", item("p2"), item("p3")))
    job = calls("GET", f"/api/catalog-item-bulk-create-jobs/{again.body['data']['id']}").body["data"]["attributes"]
    assert (job["failed_count"], job["errors"][0]["code"]) == (1, "conflict")
    calls(
        "POST",
        "/api/catalog-variant-bulk-create-jobs",
        create_body("variants", variant("s1", "p1"), variant("s2", "p9")),
    )
    state = control.state()
    assert sorted(state["items"]) == ["p1", "p2", "p3"]
    assert {name: record["item"] for name, record in state["variants"].items()} == {"s1": "p1"}


def test_an_invalid_job_is_refused(calls: Calls, control: Control) -> None:
    """A job is rejected for too many records, no records, a malformed row, and a key without lists:write."""
    items = [item(f"p{number}") for number in range(101)]
    assert refusal(calls("POST", "/api/catalog-item-bulk-create-jobs", create_body("items", *items)))[0] == 400
    assert refusal(calls("POST", IMPORT, import_body()))[0] == 400
    wrong = calls("POST", IMPORT, import_body({"external_id": "c1", "nickname": "J"}))
    assert refusal(wrong) == (400, "invalid", "/data/attributes/profiles/data/0/attributes/nickname")
    control.keys(scopes=["profiles:write"])
    assert refusal(calls("POST", IMPORT, import_body({"external_id": "c1"})))[:2] == (403, "permission_denied")
    assert control.state()["profiles"] == []
