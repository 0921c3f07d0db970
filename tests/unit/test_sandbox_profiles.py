"""The Klaviyo stand-in's profiles: identifiers, merging, filters, erasure."""

from typing import Any

import pytest

from sandbox import Control
from sandbox.calls import Calls
from tests.unit.klaviyo_bodies import event, profile, refusal

PHONE, OTHER_PHONE = "+4915112345678", "+4915187654321"


class TestProfiles:
    """Creating, matching and changing profiles."""

    def test_an_upsert_merges_fields(self, calls: Calls) -> None:
        """201 for a new profile, 200 for an existing one; missing fields stay, null clears, objects merge."""
        created = calls(
            "POST",
            "/api/profile-import",
            profile(
                external_id="c1",
                email="Jane@x.io",
                first_name="Jane",
                title="Dr",
                location={"city": "Berlin", "zip": "10115"},
                properties={"a": 1, "b": 2},
            ),
        )
        changed = calls(
            "POST",
            "/api/profile-import",
            profile(external_id="c1", title=None, location={"city": "Bonn"}, properties={"b": 3}, last_name="Doe"),
        )
        assert (created.status, changed.status) == (201, 200)
        data = changed.body["data"]
        assert data["id"] == created.body["data"]["id"]
        attributes = data["attributes"]
        assert (attributes["first_name"], attributes["last_name"], attributes["title"]) == ("Jane", "Doe", None)
        assert (attributes["location"]["city"], attributes["location"]["zip"]) == ("Bonn", "10115")
        assert attributes["properties"] == {"a": 1, "b": 3}

    def test_a_profile_is_matched_by_any_identifier(self, control: Control, calls: Calls) -> None:
        """External id is matched before e-mail (in any case) and phone; identifiers may change if they are free."""
        calls("POST", "/api/profile-import", profile(email="jane@x.io"))
        calls("POST", "/api/profile-import", profile(email="JANE@x.io", external_id="c1"))
        calls("POST", "/api/profile-import", profile(external_id="c1", email="new@x.io", phone_number=PHONE))
        calls("POST", "/api/profile-import", profile(phone_number=PHONE, external_id="c9"))
        (person,) = control.state()["profiles"]
        assert (person["external_id"], person["email"], person["phone_number"]) == ("c9", "new@x.io", PHONE)
        assert calls("POST", "/api/profile-import", profile(email="jane@x.io")).status == 201

    def test_identifiers_of_two_profiles_conflict(self, control: Control, calls: Calls) -> None:
        """Identifiers of two profiles give a 409 that names the other profile, and nothing changes."""
        calls("POST", "/api/profile-import", profile(external_id="c1", email="one@x.io"))
        other = calls("POST", "/api/profile-import", profile(external_id="c2", email="two@x.io")).body["data"]["id"]
        before = control.state()["profiles"]
        answer = calls("POST", "/api/profile-import", profile(external_id="c1", email="Two@x.io", first_name="X"))
        assert refusal(answer) == (409, "duplicate_profile", "/data/attributes")
        assert answer.body["errors"][0]["meta"] == {"duplicate_profile_id": other}
        assert calls("POST", "/api/profiles", profile(email="one@x.io")).status == 409
        assert calls("PATCH", f"/api/profiles/{other}", profile(other, email="one@x.io")).status == 409
        assert control.state()["profiles"] == before

    def test_a_profile_is_created_changed_and_read_by_id(self, calls: Calls) -> None:
        """POST creates, PATCH changes by id, GET reads. The id in the body must be the one in the path."""
        created = calls("POST", "/api/profiles", profile(email="a@x.io", phone_number=PHONE)).body["data"]["id"]
        path = f"/api/profiles/{created}"
        assert calls("PATCH", path, profile(created, phone_number=OTHER_PHONE)).status == 200
        assert calls("GET", path).body["data"]["attributes"]["phone_number"] == OTHER_PHONE
        assert refusal(calls("PATCH", path, profile("other", title="x"))) == (400, "invalid", "/data/id")
        assert calls("PATCH", "/api/profiles/none", profile("none", title="x")).status == 404
        assert calls("GET", "/api/profiles/none").status == 404
        selected = calls("GET", path, query={"fields[profile]": "email"}).body["data"]["attributes"]
        assert selected == {"email": "a@x.io"}

    def test_properties_are_appended_to_and_unset(self, control: Control, calls: Calls) -> None:
        """`meta.patch_properties` appends to and unsets properties."""
        calls("POST", "/api/profile-import", profile(email="a@x.io", properties={"tags": ["a"], "old": 1}))
        body = profile(email="a@x.io")
        body["data"]["meta"] = {"patch_properties": {"append": {"tags": "b"}, "unset": "old"}}
        assert calls("POST", "/api/profile-import", body).status == 200
        assert control.state()["profiles"][0]["properties"] == {"tags": ["a", "b"]}

    def test_profiles_are_filtered_by_identifier(self, calls: Calls) -> None:
        """Filters match one identifier or any of several; results are paged; malformed filters are rejected."""
        for number in range(5):
            calls("POST", "/api/profiles", profile(external_id=f"c{number}", email=f"{number}@x.io"))
        for condition, expected in (
            ('equals(external_id,"c1")', ["c1"]),
            ('any(email,["2@x.io","3@X.io","none@x.io"])', ["c2", "c3"]),
            ('equals(email,"1@x.io"),equals(external_id,"c2")', []),
        ):
            data = calls("GET", "/api/profiles", query={"filter": condition}).body["data"]
            assert [entry["attributes"]["external_id"] for entry in data] == expected
        page = calls("GET", "/api/profiles", query={"page[size]": 3}).body
        assert len(page["data"]) == 3
        assert len(calls("GET", page["links"]["next"]).body["data"]) == 2
        for bad in ("equals(email)", "has(email)", 'equals(name,"x")', 'equals(email,"x"', "any(email,3)"):
            answer = calls("GET", "/api/profiles", query={"filter": bad})
            assert (answer.status, answer.body["errors"][0]["source"]) == (400, {"parameter": "filter"})

    @pytest.mark.parametrize(
        ("attributes", "pointer"),
        [
            ({"email": "a@x.io", "phone_number": "030 123"}, "/phone_number"),
            ({"email": "a@x.io", "phone_number": "+1555"}, "/phone_number"),
            ({"email": "a@x.io", "phone_number": 4930}, "/phone_number"),
            ({"email": "a@x.io", "location": {"zip": 10115}}, "/location/zip"),
            ({"email": "a@x.io", "location": {"street": "x"}}, "/location/street"),
            ({"email": "a@x.io", "anonymous_id": "x"}, "/anonymous_id"),
            ({"email": "a@x.io", "properties": []}, "/properties"),
            ({"first_name": "Jane"}, ""),
        ],
    )
    def test_an_invalid_profile_is_refused(self, calls: Calls, attributes: dict[str, Any], pointer: str) -> None:
        """400 with a pointer to the problem."""
        answer = calls("POST", "/api/profile-import", profile(**attributes))
        assert refusal(answer) == (400, "invalid", f"/data/attributes{pointer}")

    def test_a_large_body_is_refused(self, calls: Calls) -> None:
        """A body of more than 100 KB gives 413."""
        body = profile(email="a@x.io", properties={"text": "x" * 100_000})
        assert calls("POST", "/api/profile-import", body).status == 413


class TestErasure:
    """POST /api/data-privacy-deletion-jobs."""

    @staticmethod
    def _job(profile_id: str | None = None, **attributes: str) -> dict[str, Any]:
        return {
            "data": {
                "type": "data-privacy-deletion-job",
                "attributes": {"profile": profile(profile_id, **attributes)},
            }
        }

    def test_profile_and_events_are_erased(self, control: Control, calls: Calls) -> None:
        """A profile and its events are erased by e-mail or id; an unknown profile is accepted too."""
        for number in (1, 2, 3):
            calls("POST", "/api/events", event({"external_id": f"c{number}", "email": f"{number}@x.io"}))
        identity = control.state()["profiles"][1]["id"]
        for body in (self._job(email="1@X.io"), self._job(identity), self._job(email="none@x.io")):
            assert calls("POST", "/api/data-privacy-deletion-jobs", body).status == 202
        state = control.state()
        assert [person["external_id"] for person in state["profiles"]] == ["c3"]
        assert len(state["events"]) == 1
        assert state["erased"] == ["c1", "c2"]

    def test_an_erasure_needs_exactly_one_identifier(self, calls: Calls) -> None:
        """No identifier, two identifiers, and an external id are rejected."""
        for body in (self._job(), self._job("x", email="a@x.io"), self._job(external_id="c1")):
            assert calls("POST", "/api/data-privacy-deletion-jobs", body).status == 400
