"""Bulk jobs of the catalog: how rows are split into jobs, and when a job counts as successful."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_catalog_jobs import ITEMS, CatalogJobs, JobState
from core.errors import TryAgain
from jobs.bulk_rows import Row, split_into_jobs

CREATED_AT = datetime(2026, 5, 1, 10, tzinfo=UTC)


def _sizes(*sizes: int) -> list[list[int]]:
    return [[row.size for row in part] for part in split_into_jobs(Row("p", {}, size) for size in sizes)]


def test_a_job_has_at_most_a_hundred_rows() -> None:
    """The limit holds however small the rows are."""
    assert [len(part) for part in _sizes(*[1] * 250)] == [100, 100, 50]
    assert _sizes() == []


def test_a_job_stays_under_5_mb() -> None:
    """A row too large for any job gets a job of its own, so that no other row is refused with it."""
    assert _sizes(2_000_000, 2_000_000, 2_000_000) == [[2_000_000, 2_000_000], [2_000_000]]
    assert _sizes(10, 6_000_000, 10) == [[10], [6_000_000], [10]]


def test_the_size_of_a_row_is_that_of_its_json_in_utf_8() -> None:
    """Klaviyo limits the bytes of a request, not its characters."""
    assert Row.of("p", {"data": "ü"}).size == len('{"data":"ü"}'.encode())


class FakeCalls:
    """Gives the same answer to each call."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def find(self, *_: Any) -> Any:
        """Answer the read of a job."""
        return self._answer

    def pages(self, _group: str, operation: str, **options: Any) -> Any:
        """Answer the list of jobs, filtered by status."""
        assert operation == "get_bulk_create_catalog_items_jobs"
        status = options["filter"].split('"')[1]
        return [one for one in self._answer if one["attributes"]["status"] == status]


def _jobs(answer: Any) -> CatalogJobs:
    return CatalogJobs(cast("KlaviyoCalls", FakeCalls(answer)))


def _state(**attributes: Any) -> JobState | None:
    return _jobs({"data": {"attributes": attributes}}).state(ITEMS, "job")


@pytest.mark.parametrize("status", ["queued", "processing", "stalled"])
def test_a_job_is_open_in_any_status_that_is_not_final(status: str) -> None:
    """This includes statuses that Klaviyo does not document."""
    state = _state(status=status, total_count=2)
    assert state
    assert (state.is_open, state.all_succeeded) == (True, False)


@pytest.mark.parametrize(
    ("counts", "all_succeeded"),
    [
        ({"total_count": 2, "completed_count": 2, "failed_count": 0, "errors": []}, True),
        ({"total_count": 2}, True),
        ({"total_count": 2, "completed_count": 1, "failed_count": 1}, False),
        ({"total_count": 2, "completed_count": 1, "failed_count": 0}, False),
        ({"total_count": 2, "completed_count": 2, "errors": [{"code": "conflict"}]}, False),
    ],
)
def test_a_complete_job_succeeded_unless_counts_or_errors_say_otherwise(
    counts: dict[str, Any],
    all_succeeded: bool,  # noqa: FBT001
) -> None:
    """Missing counts and errors are no failure: which of them Klaviyo sends has not been verified."""
    state = _state(status="complete", **counts)
    assert state
    assert (state.is_open, state.all_succeeded) == (False, all_succeeded)


def test_a_cancelled_job_failed() -> None:
    """A cancelled job counts as failed even if all of its rows completed."""
    assert _state(status="cancelled", total_count=2, completed_count=2) == JobState(is_open=False, all_succeeded=False)


def test_an_unknown_job_has_no_state_and_another_answer_is_read_again() -> None:
    """For a job that Klaviyo does not know, the state is None. An answer that is no job raises TryAgain."""
    assert _jobs(None).state(ITEMS, "job") is None
    with pytest.raises(TryAgain):
        _jobs({"data": {}}).state(ITEMS, "job")


def test_open_jobs_are_filtered_by_creation_time() -> None:
    """A job without a creation time is included."""

    def job(own_id: str, status: str, created_at: datetime | None) -> dict[str, Any]:
        return {"id": own_id, "attributes": {"status": status, "created_at": created_at and created_at.isoformat()}}

    minute = timedelta(minutes=1)
    jobs = _jobs(
        [
            job("before", "queued", CREATED_AT - minute),
            job("queued", "queued", CREATED_AT),
            job("processing", "processing", CREATED_AT + minute),
            job("unknown", "queued", None),
            {"id": "no zone", "attributes": {"status": "queued", "created_at": "2026-05-01T10:00:00"}},
            job("complete", "complete", CREATED_AT),
            job("after", "processing", CREATED_AT + 3 * minute),
        ]
    )
    assert jobs.open_ids(ITEMS, CREATED_AT, CREATED_AT + 2 * minute) == {"queued", "processing", "unknown", "no zone"}
