"""Times in Klaviyo's answers: one without a zone is in UTC, and what can't be read never passes for old or finished."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clients.klaviyo import Klaviyo
from clients.retrying import message_budget
from commands.processes import Sandbox
from core.settings import Settings
from handlers.services import Services
from mappers.mapped import Mapped
from mappers.profile import profile_body

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UNREADABLE = "the day before yesterday"


@pytest.fixture
def klaviyo(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Klaviyo]:
    """A client on a machine eleven hours ahead of UTC, where a time read as local time would be far off."""
    with monkeypatch.context() as patched, message_budget(settings.sync.limits):
        patched.setenv("TZ", "Etc/GMT-11")
        time.tzset()
        services = Services(settings)
        yield services.klaviyo
        services.close()
    time.tzset()


def _answer(sandbox: Sandbox, path: str, data: Any) -> None:
    sandbox.klaviyo.fail(path, status=200, body={"data": data, "links": {"next": None}})


@pytest.mark.parametrize(
    ("created", "expected"),
    [("2026-05-01T10:00:00", NOW), ("2026-05-01T12:00:00+02:00", NOW), (UNREADABLE, None), (None, None)],
)
def test_when_a_profile_was_created(
    sandbox: Sandbox, klaviyo: Klaviyo, created: str | None, expected: datetime | None
) -> None:
    """A profile of unknown age is not known to be new, so nothing that depends on that happens to it."""
    _answer(sandbox, "/api/profile-import", {"type": "profile", "id": "p", "attributes": {"created": created}})
    assert klaviyo.upsert_profile(Mapped(profile_body({"external_id": "customer-1"}))).created == expected


@pytest.mark.parametrize(
    ("created", "is_open"), [("2026-05-01T10:00:00", True), ("2026-05-01T09:00:00", False), (UNREADABLE, True)]
)
def test_an_open_import(sandbox: Sandbox, klaviyo: Klaviyo, created: str, *, is_open: bool) -> None:
    """An import of unknown age may be one to wait for."""
    job = {"type": "profile-bulk-import-job", "id": "j", "attributes": {"status": "queued", "created_at": created}}
    _answer(sandbox, "/api/profile-bulk-import-jobs", [job])
    assert klaviyo.imports.has_open_jobs(NOW - MINUTE, NOW + MINUTE) is is_open


def test_profiles_created_before_a_moment(sandbox: Sandbox, klaviyo: Klaviyo) -> None:
    """A profile of unknown age may have fields that an import did not clear."""
    profiles = [
        {"type": "profile", "id": own_id, "attributes": {"external_id": own_id, "created": created}}
        for own_id, created in (
            ("old", "2026-05-01T09:59:00"),
            ("new", "2026-05-01T10:01:00"),
            ("unreadable", UNREADABLE),
            ("unknown", None),
        )
    ]
    _answer(sandbox, "/api/profiles", profiles)
    assert klaviyo.imports.created_before(["old"], NOW) == {"old", "unreadable", "unknown"}
