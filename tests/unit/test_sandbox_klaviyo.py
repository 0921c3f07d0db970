"""The Klaviyo stand-in: keys, headers, rate limits, events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import Control
from sandbox.calls import Calls, klaviyo
from tests.unit.klaviyo_bodies import event, profile, refusal


class TestRequests:
    """Checks of a request that come before its body is read."""

    def test_a_wrong_key_or_scope_is_refused(self, control: Control, calls: Calls) -> None:
        """A missing or wrong key gives 401, a key without the scope 403."""
        assert refusal(calls("GET", "/api/metrics", headers={"Authorization": None}))[:2] == (401, "not_authenticated")
        assert calls("GET", "/api/metrics", headers={"Authorization": "Bearer x"}).status == 401
        control.keys(["good"], scopes=["profiles:read"])
        assert calls("GET", "/api/profiles").status == 401
        with klaviyo(control.url, "good") as good:
            assert good("GET", "/api/profiles").status == 200
            assert refusal(good("POST", "/api/events", event()))[:2] == (403, "permission_denied")
        control.keys()
        assert calls("POST", "/api/events", event()).status == 202

    def test_wrong_headers_are_refused(self, calls: Calls) -> None:
        """A missing revision gives 400, another media type 415."""
        assert calls("GET", "/api/metrics", headers={"revision": None}).status == 400
        assert calls("POST", "/api/events", event(), headers={"Content-Type": "application/json"}).status == 415

    def test_an_unknown_path_is_not_found(self, calls: Calls) -> None:
        """Paths that the stand-in does not implement give 404."""
        assert calls("POST", "/api/profile-merge", {}).status == 404
        assert calls("GET", "/").status == 404

    def test_answers_have_rate_limit_headers(self, calls: Calls) -> None:
        """Answers carry the limit, the remaining calls and the reset time of the minute window."""
        first, second = (calls("POST", "/api/events", event()).headers for _ in range(2))
        assert first["ratelimit-limit"] == "3500"
        assert int(first["ratelimit-remaining"]) - int(second["ratelimit-remaining"]) == 1
        assert 0 < int(first["ratelimit-reset"]) <= 60

    def test_an_enforced_rate_limit_throttles(self, control: Control, calls: Calls) -> None:
        """When enforced, an exhausted limit gives 429 with Retry-After and without the other headers, per operation."""
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

    def test_there_is_one_account(self, calls: Calls) -> None:
        """The list of accounts has one entry."""
        assert len(calls("GET", "/api/accounts").body["data"]) == 1


class TestEvents:
    """POST /api/events."""

    def test_an_event_is_stored(self, control: Control, calls: Calls) -> None:
        """202 without a body; the event is stored with its profile, its time in UTC to the second, and its value."""
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
                "backfill": False,
                "properties": {"OrderId": "o1"},
            }
        ]
        assert (state["profiles"][0]["email"], state["profiles"][0]["events"]) == ("jane@example.com", 1)

    def test_first_of_a_unique_id_wins(self, control: Control, calls: Calls) -> None:
        """A duplicate is accepted and ignored; another metric or profile may use the same id."""
        for body in (
            event(unique_id="o1", value=1),
            event(unique_id="o1", value=2),
            event(unique_id="o1", value=3, metric="Fulfilled Order"),
            event({"email": "joe@example.com"}, unique_id="o1", value=4),
        ):
            assert calls("POST", "/api/events", body).status == 202
        assert [stored["value"] for stored in control.state()["events"]] == [1, 3, 4]

    def test_unique_id_defaults_to_the_second(self, control: Control, calls: Calls) -> None:
        """Without unique ids, two events of a metric and profile within the same second are duplicates."""
        for time in ("2024-05-01T10:00:00.1Z", "2024-05-01T10:00:00.9Z", "2024-05-01T10:00:01Z"):
            calls("POST", "/api/events", event(time=time))
        assert len(control.state()["events"]) == 2

    def test_strongest_identifier_wins(self, control: Control, calls: Calls) -> None:
        """Identifiers of two profiles are not a conflict here: the profile of the stronger one gets the event."""
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
    def test_an_invalid_event_is_refused(
        self, control: Control, calls: Calls, body: dict[str, Any], pointer: str
    ) -> None:
        """400 with a pointer, and nothing is stored."""
        assert refusal(calls("POST", "/api/events", body)) == (400, "invalid", f"/data/attributes/{pointer}")
        assert control.state()["events"] == []

    def test_properties_may_have_ten_levels(self, calls: Calls) -> None:
        """Properties may nest 10 levels deep, the properties object itself being the first."""
        nested: dict[str, Any] = {"end": 1}
        for _ in range(9):
            nested = {"in": nested}
        assert calls("POST", "/api/events", event(properties=nested)).status == 202
        assert calls("POST", "/api/events", event(properties={"in": nested})).status == 400

    def test_a_malformed_body_is_refused(self, calls: Calls) -> None:
        """Invalid JSON, an array, NaN, another type and missing parts give 400; more than 5 MB gives 413."""
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

    def test_events_are_listed_newest_first(self, calls: Calls) -> None:
        """Events are listed newest first, in pages, and by profile. A metric is created by its first event."""
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
