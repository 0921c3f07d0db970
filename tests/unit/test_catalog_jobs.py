"""Bulk jobs of the catalog: how they are filled, and when one counts as done."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_catalog_jobs import ITEMS, CatalogJobs, JobState
from core.errors import TryAgain
from jobs.bulk_rows import Row, split_into_jobs

MADE = datetime(2026, 5, 1, 10, tzinfo=UTC)


def _sizes(*sizes: int) -> list[list[int]]:
    return [[row.size for row in part] for part in split_into_jobs(Row("p", {}, size) for size in sizes)]


def test_a_job_has_a_hundred_rows_at_most() -> None:
    """However small they are."""
    assert [len(part) for part in _sizes(*[1] * 250)] == [100, 100, 50]
    assert _sizes() == []


def test_a_job_has_less_than_5_mb() -> None:
    """A row that is too large for any job is alone, so that no other is refused with it."""
    assert _sizes(2_000_000, 2_000_000, 2_000_000) == [[2_000_000, 2_000_000], [2_000_000]]
    assert _sizes(10, 6_000_000, 10) == [[10], [6_000_000], [10]]


def test_the_size_of_a_row_is_that_of_its_json() -> None:
    """In UTF-8."""
    assert Row.of("p", {"data": "ü"}).size == len('{"data":"ü"}'.encode())


class Told:
    """In place of the calls: what Klaviyo tells."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def find(self, *_: Any) -> Any:
        """A job."""
        return self._answer

    def pages(self, _group: str, operation: str, **options: Any) -> Any:
        """Jobs of a status."""
        assert operation == "get_bulk_create_catalog_items_jobs"
        status = options["filter"].split('"')[1]
        return [one for one in self._answer if one["attributes"]["status"] == status]


def _jobs(answer: Any) -> CatalogJobs:
    return CatalogJobs(cast("KlaviyoCalls", Told(answer)))


def _state(**attributes: Any) -> JobState | None:
    return _jobs({"data": {"attributes": attributes}}).state(ITEMS, "job")


@pytest.mark.parametrize("status", ["queued", "processing", "stalled"])
def test_a_job_is_open_until_it_says_otherwise(status: str) -> None:
    """Also in a status that Klaviyo has not named yet."""
    state = _state(status=status, total_count=2)
    assert state
    assert (state.is_open, state.all_succeeded) == (True, False)


@pytest.mark.parametrize(
    ("told", "all_succeeded"),
    [
        ({"total_count": 2, "completed_count": 2, "failed_count": 0, "errors": []}, True),
        ({"total_count": 2}, True),
        ({"total_count": 2, "completed_count": 1, "failed_count": 1}, False),
        ({"total_count": 2, "completed_count": 1, "failed_count": 0}, False),
        ({"total_count": 2, "completed_count": 2, "errors": [{"code": "conflict"}]}, False),
    ],
)
def test_all_rows_succeeded_if_nothing_speaks_against_it(told: dict[str, Any], all_succeeded: bool) -> None:  # noqa: FBT001
    """Which of the counts and errors Klaviyo fills has not been verified."""
    state = _state(status="complete", **told)
    assert state
    assert (state.is_open, state.all_succeeded) == (False, all_succeeded)


def test_a_cancelled_job_failed() -> None:
    """It has ended, whatever it did."""
    assert _state(status="cancelled", total_count=2, completed_count=2) == JobState(is_open=False, all_succeeded=False)


def test_a_job_that_is_not_there_is_none() -> None:
    """And an answer that is no job's is nobody's fault: it is asked for again."""
    assert _jobs(None).state(ITEMS, "job") is None
    with pytest.raises(TryAgain):
        _jobs({"data": {}}).state(ITEMS, "job")


def test_open_jobs_are_those_of_a_time() -> None:
    """One that does not say when it was made counts."""

    def job(own: str, status: str, made: datetime | None) -> dict[str, Any]:
        return {"id": own, "attributes": {"status": status, "created_at": made and made.isoformat()}}

    minute = timedelta(minutes=1)
    jobs = _jobs(
        [
            job("before", "queued", MADE - minute),
            job("queued", "queued", MADE),
            job("processing", "processing", MADE + minute),
            job("unknown", "queued", None),
            job("complete", "complete", MADE),
            job("after", "processing", MADE + 3 * minute),
        ]
    )
    assert jobs.open_ids(ITEMS, MADE, MADE + 2 * minute) == {"queued", "processing", "unknown"}
