"""The stand-in for Klaviyo: keys, headers, limits, events, profiles, erasure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import sandbox
from sandbox import Control
from sandbox.calls import Answered, Calls, klaviyo

PHONE, OTHER_PHONE = "+4915112345678", "+4915187654321"


@pytest.fixture(scope="module")
def running() -> Iterator[sandbox.Sandbox]:
    """Both servers."""
    with sandbox.start() as servers:
        yield servers


@pytest.fixture
def control(running: sandbox.Sandbox) -> Control:
    """Klaviyo's control API, after a reset."""
    control = Control(running.klaviyo.url)
    control.reset()
    return control


@pytest.fixture
def calls(control: Control) -> Iterator[Calls]:
    """Calls to Klaviyo."""
    with klaviyo(control.url) as calls:
        yield calls


def event(profile: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """An event's body."""
    metric = attributes.pop("metric", "Placed Order")
    return {
        "data": {
            "type": "event",
            "attributes": {
                "properties": {"OrderId": "o1"},
                "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
                "profile": {
                    "data": {"type": "profile", "attributes": profile or {"email": "jane@example.com"}},
                },
                **attributes,
            },
        }
    }


def profile(profile_id: str | None = None, **attributes: Any) -> dict[str, Any]:
    """A profile's body."""
    identity = {"id": profile_id} if profile_id else {}
    return {"data": {"type": "profile", **identity, "attributes": attributes}}


def refusal(answer: Answered) -> tuple[int, str, str | None]:
    """Status, code and pointer of the first error."""
    error = answer.body["errors"][0]
    return answer.status, error["code"], error["source"].get("pointer")


class TestHead:
    """What is looked at before the body."""

    def test_keys(self, control: Control, calls: Calls) -> None:
        """No key and a wrong key are 401; a key without the scope is 403."""
        assert refusal(calls("GET", "/api/metrics", headers={"Authorization": None}))[:2] == (401, "not_authenticated")
        assert calls("GET", "/api/metrics", headers={"Authorization": "Bearer x"}).status == 401
        control.keys(["good"], scopes=["profiles:read"])
        assert calls("GET", "/api/profiles").status == 401
        with klaviyo(control.url, "good") as good:
            assert good("GET", "/api/profiles").status == 200
            assert refusal(good("POST", "/api/events", event()))[:2] == (403, "permission_denied")
        control.keys()
        assert calls("POST", "/api/events", event()).status == 202

    def test_headers(self, calls: Calls) -> None:
        """Without revision 400, with another media type 415."""
        assert calls("GET", "/api/metrics", headers={"revision": None}).status == 400
        assert calls("POST", "/api/events", event(), headers={"Content-Type": "application/json"}).status == 415

    def test_unknown_paths(self, calls: Calls) -> None:
        """What this stand-in does not have is 404."""
        assert calls("POST", "/api/profile-merge", {}).status == 404
        assert calls("GET", "/").status == 404

    def test_rate_limit_headers(self, calls: Calls) -> None:
        """Answers tell what is left of the minute."""
        first, second = (calls("POST", "/api/events", event()).headers for _ in range(2))
        assert first["ratelimit-limit"] == "3500"
        assert int(first["ratelimit-remaining"]) - int(second["ratelimit-remaining"]) == 1
        assert 0 < int(first["ratelimit-reset"]) <= 60

    def test_rate_limits(self, control: Control, calls: Calls) -> None:
        """Enforced limits answer 429 with Retry-After and without the other headers, per operation."""
        control.limits(scale=0.001)
        assert calls("POST", "/api/profile-import", profile(email="a@x.io")).status == 201
        throttled = calls("POST", "/api/profile-import", profile(email="b@x.io"))
        assert refusal(throttled)[:2] == (429, "throttled")
        assert 0 < int(throttled.headers["retry-after"]) <= 60
        assert "ratelimit-limit" not in throttled.headers
        assert calls("POST", "/api/events", event()).status == 202
        assert [person["email"] for person in control.state()["profiles"]] == ["a@x.io", "jane@example.com"]
        control.limits(enforce=False)
        assert calls("POST", "/api/profile-import", profile(email="b@x.io")).status == 201

    def test_account(self, calls: Calls) -> None:
        """There is one account."""
        assert len(calls("GET", "/api/accounts").body["data"]) == 1


class TestEvents:
    """POST /api/events."""

    def test_is_kept(self, control: Control, calls: Calls) -> None:
        """202 without body; the event has its profile, its time in UTC to the second, its value."""
        answer = calls(
            "POST",
            "/api/events",
            event(time="2024-05-01T10:00:00.789+02:00", value=19.99, value_currency="EUR", unique_id="o1"),
        )
        assert (answer.status, answer.body) == (202, None)
        state = control.state()
        assert state["events"] == [
            {
                "metric": "Placed Order",
                "profile_id": state["profiles"][0]["id"],
                "unique_id": "o1",
                "time": "2024-05-01T08:00:00+00:00",
                "value": 19.99,
                "value_currency": "EUR",
                "properties": {"OrderId": "o1"},
            }
        ]
        assert (state["profiles"][0]["email"], state["profiles"][0]["events"]) == ("jane@example.com", 1)

    def test_first_of_a_unique_id_wins(self, control: Control, calls: Calls) -> None:
        """A repeat is accepted and passed over; another metric or profile may use the same id."""
        for body in (
            event(unique_id="o1", value=1),
            event(unique_id="o1", value=2),
            event(unique_id="o1", value=3, metric="Fulfilled Order"),
            event({"email": "joe@example.com"}, unique_id="o1", value=4),
        ):
            assert calls("POST", "/api/events", body).status == 202
        assert [kept["value"] for kept in control.state()["events"]] == [1, 3, 4]

    def test_second_is_the_id_of_an_event_without_one(self, control: Control, calls: Calls) -> None:
        """Two events of one metric and profile in one second are one."""
        for time in ("2024-05-01T10:00:00.1Z", "2024-05-01T10:00:00.9Z", "2024-05-01T10:00:01Z"):
            calls("POST", "/api/events", event(time=time))
        assert len(control.state()["events"]) == 2

    def test_strongest_identifier_wins(self, control: Control, calls: Calls) -> None:
        """Identifiers of two profiles are no conflict here: the stronger one's profile gets the event."""
        calls("POST", "/api/profile-import", profile(external_id="c1", email="one@x.io"))
        calls("POST", "/api/profile-import", profile(external_id="c2", email="two@x.io"))
        body = event({"external_id": "c1", "email": "TWO@x.io", "first_name": "Jane", "last_name": None})
        assert calls("POST", "/api/events", body).status == 202
        first, second = control.state()["profiles"]
        assert (first["email"], first["first_name"], first["events"]) == ("one@x.io", "Jane", 1)
        assert (second["email"], second["events"]) == ("two@x.io", 0)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            (event({"email": "a@x.io", "phone_number": "0151"}), "profile/data/attributes/phone_number"),
            (event({"email": "a@x.io", "phone_number": "+10000000000"}), "profile/data/attributes/phone_number"),
            (event({"email": "no mail"}), "profile/data/attributes/email"),
            (event({"first_name": "Jane"}), "profile/data"),
            (event(time="yesterday"), "time"),
            (event(time="1989-12-31T23:59:59Z"), "time"),
            (event(time=(datetime.now(UTC) + timedelta(days=400)).isoformat()), "time"),
            (event(value="19.99"), "value"),
            (event(value=True), "value"),
            (event(metric="x" * 128), "metric/data/attributes/name"),
            (event(metric=""), "metric/data/attributes/name"),
            (event(properties={str(number): 1 for number in range(401)}), "properties"),
            (event(properties={"list": list(range(4001))}), "properties/list"),
            (event(properties={"text": "ü" * 50_001}), "properties/text"),
            (event(properties=None), "properties"),
            (event(propertis={}), "propertis"),
            (event(unique_id=7), "unique_id"),
        ],
    )
    def test_refusals(self, control: Control, calls: Calls, body: dict[str, Any], pointer: str) -> None:
        """400 with a pointer, and nothing is kept."""
        assert refusal(calls("POST", "/api/events", body)) == (400, "invalid", f"/data/attributes/{pointer}")
        assert control.state()["events"] == []

    def test_levels(self, calls: Calls) -> None:
        """Properties may be 10 levels deep, the properties themselves being the first, and no deeper."""
        nested: dict[str, Any] = {"end": 1}
        for _ in range(9):
            nested = {"in": nested}
        assert calls("POST", "/api/events", event(properties=nested)).status == 202
        assert calls("POST", "/api/events", event(properties={"in": nested})).status == 400

    def test_bodies_that_are_no_events(self, calls: Calls) -> None:
        """No JSON, no object, NaN, another type, missing parts: 400. Above 5 MB: 413."""
        for body in (b"{", b"[]", b'{"data": {"type": "event", "attributes": {"properties": {"x": NaN}}}}', b""):
            assert calls("POST", "/api/events", body).status == 400
        answer = calls("POST", "/api/events", {"data": {"type": "evnt", "attributes": {}}})
        assert {error["source"]["pointer"] for error in answer.body["errors"]} == {
            "/data/type",
            "/data/attributes/properties",
            "/data/attributes/metric",
            "/data/attributes/profile",
        }
        assert calls("POST", "/api/events", b" " * 5_000_001).status == 413

    def test_can_be_read(self, calls: Calls) -> None:
        """Newest first, in pages, by profile; metrics come with their first event."""
        for number in range(3):
            calls("POST", "/api/events", event(unique_id=str(number), value=number))
        first = calls("GET", "/api/events", query={"page[size]": 2}).body
        assert [entry["attributes"]["event_properties"]["$event_id"] for entry in first["data"]] == ["2", "1"]
        profile_id = first["data"][0]["relationships"]["profile"]["data"]["id"]
        rest = calls("GET", first["links"]["next"]).body
        assert ([entry["id"] for entry in rest["data"]], rest["links"]["next"]) == (["E0000000001"], None)
        for value, count in ((profile_id, 3), ("other", 0)):
            query = {"filter": f'equals(profile_id,"{value}")'}
            assert len(calls("GET", "/api/events", query=query).body["data"]) == count
        assert [entry["attributes"]["name"] for entry in calls("GET", "/api/metrics").body["data"]] == ["Placed Order"]


class TestProfiles:
    """Profiles and their identity."""

    def test_upsert(self, calls: Calls) -> None:
        """201 for a new profile, 200 for a known one; absent leaves, null clears, properties and location merge."""
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

    def test_matches_by_any_identifier(self, control: Control, calls: Calls) -> None:
        """External id before e-mail (whatever its case) before phone; free identifiers may change."""
        calls("POST", "/api/profile-import", profile(email="jane@x.io"))
        calls("POST", "/api/profile-import", profile(email="JANE@x.io", external_id="c1"))
        calls("POST", "/api/profile-import", profile(external_id="c1", email="new@x.io", phone_number=PHONE))
        calls("POST", "/api/profile-import", profile(phone_number=PHONE, external_id="c9"))
        (person,) = control.state()["profiles"]
        assert (person["external_id"], person["email"], person["phone_number"]) == ("c9", "new@x.io", PHONE)
        assert calls("POST", "/api/profile-import", profile(email="jane@x.io")).status == 201

    def test_conflicts(self, control: Control, calls: Calls) -> None:
        """Identifiers of two profiles: 409 that names the other one, and nothing changes."""
        calls("POST", "/api/profile-import", profile(external_id="c1", email="one@x.io"))
        other = calls("POST", "/api/profile-import", profile(external_id="c2", email="two@x.io")).body["data"]["id"]
        before = control.state()["profiles"]
        answer = calls("POST", "/api/profile-import", profile(external_id="c1", email="Two@x.io", first_name="X"))
        assert refusal(answer) == (409, "duplicate_profile", "/data/attributes")
        assert answer.body["errors"][0]["meta"] == {"duplicate_profile_id": other}
        assert calls("POST", "/api/profiles", profile(email="one@x.io")).status == 409
        assert calls("PATCH", f"/api/profiles/{other}", profile(other, email="one@x.io")).status == 409
        assert control.state()["profiles"] == before

    def test_create_patch_get(self, calls: Calls) -> None:
        """POST creates, PATCH changes by id, GET shows; the id of the body has to be the path's."""
        created = calls("POST", "/api/profiles", profile(email="a@x.io", phone_number=PHONE)).body["data"]["id"]
        path = f"/api/profiles/{created}"
        assert calls("PATCH", path, profile(created, phone_number=OTHER_PHONE)).status == 200
        assert calls("GET", path).body["data"]["attributes"]["phone_number"] == OTHER_PHONE
        assert refusal(calls("PATCH", path, profile("other", title="x"))) == (400, "invalid", "/data/id")
        assert calls("PATCH", "/api/profiles/none", profile("none", title="x")).status == 404
        assert calls("GET", "/api/profiles/none").status == 404
        cut = calls("GET", path, query={"fields[profile]": "email"}).body["data"]["attributes"]
        assert cut == {"email": "a@x.io"}

    def test_patches_properties(self, control: Control, calls: Calls) -> None:
        """`meta.patch_properties` appends, takes away and unsets."""
        calls("POST", "/api/profile-import", profile(email="a@x.io", properties={"tags": ["a"], "old": 1}))
        body = profile(email="a@x.io")
        body["data"]["meta"] = {"patch_properties": {"append": {"tags": "b"}, "unset": "old"}}
        assert calls("POST", "/api/profile-import", body).status == 200
        assert control.state()["profiles"][0]["properties"] == {"tags": ["a", "b"]}

    def test_filters(self, calls: Calls) -> None:
        """By one identifier or by any of several, in pages."""
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
    def test_refusals(self, calls: Calls, attributes: dict[str, Any], pointer: str) -> None:
        """400 with a pointer to what is wrong."""
        answer = calls("POST", "/api/profile-import", profile(**attributes))
        assert refusal(answer) == (400, "invalid", f"/data/attributes{pointer}")

    def test_size(self, calls: Calls) -> None:
        """A body of more than 100 KB: 413."""
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

    def test_profile_and_events_are_gone(self, control: Control, calls: Calls) -> None:
        """Erased by e-mail or id; who is unknown is accepted too."""
        for number in (1, 2, 3):
            calls("POST", "/api/events", event({"external_id": f"c{number}", "email": f"{number}@x.io"}))
        identity = control.state()["profiles"][1]["id"]
        for body in (self._job(email="1@X.io"), self._job(identity), self._job(email="none@x.io")):
            assert calls("POST", "/api/data-privacy-deletion-jobs", body).status == 202
        state = control.state()
        assert [person["external_id"] for person in state["profiles"]] == ["c3"]
        assert len(state["events"]) == 1
        assert state["erased"] == ["c1", "c2"]

    def test_exactly_one_identifier(self, calls: Calls) -> None:
        """None, two, and an external id are refused."""
        for body in (self._job(), self._job("x", email="a@x.io"), self._job(external_id="c1")):
            assert calls("POST", "/api/data-privacy-deletion-jobs", body).status == 400
