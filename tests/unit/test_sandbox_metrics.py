"""The Klaviyo stand-in: metrics, event counts by day, and lost events."""

from typing import Any

import pytest
from openapi_client.models.get_metric_response_collection_compound_document import (
    GetMetricResponseCollectionCompoundDocument,
)
from openapi_client.models.post_metric_aggregate_response import PostMetricAggregateResponse

from sandbox import Control, ControlError
from sandbox.calls import Calls, Response, klaviyo
from tests.unit.klaviyo_bodies import event, refusal

AGGREGATES = "/api/metric-aggregates"
SINCE, UNTIL = "2026-05-01T00:00:00Z", "2026-05-04T00:00:00Z"
METRICS_A_PAGE = 200


def query(metric_id: str, since: str = SINCE, until: str = UNTIL, **changes: Any) -> dict[str, Any]:
    """The body of an aggregate query."""
    attributes = {
        "metric_id": metric_id,
        "measurements": ["count"],
        "interval": "day",
        "filter": [f"greater-or-equal(datetime,{since})", f"less-than(datetime,{until})"],
        "timezone": "UTC",
        "page_size": 500,
        **changes,
    }
    return {"data": {"type": "metric-aggregate", "attributes": attributes}}


def send_events(calls: Calls, *times: str, metric: str = "Placed Order") -> None:
    """Send an event for each time."""
    for time in times:
        assert calls("POST", "/api/events", event(time=time, unique_id=time, metric=metric)).status == 202


def counts_by_day(answer: Response) -> dict[str, int]:
    """The counts in an answer, by day. Fails unless the answer is a success."""
    assert answer.status == 200
    (row,) = answer.body["data"]["attributes"]["data"]
    return dict(zip(answer.body["data"]["attributes"]["dates"], row["measurements"]["count"], strict=True))


@pytest.fixture
def metric(calls: Calls) -> str:
    """The id of a metric with events at the very start and end of days."""
    send_events(calls, "2026-05-01T00:00:00Z", "2026-05-01T23:59:59Z", "2026-05-03T23:59:59Z", "2026-05-04T00:00:00Z")
    send_events(calls, "2026-05-02T12:00:00Z", metric="Cancelled Order")
    metric_id: str = calls("GET", "/api/metrics").body["data"][0]["id"]
    return metric_id


class TestMetrics:
    """GET /api/metrics."""

    def test_a_metric_names_its_integration(self, control: Control, calls: Calls) -> None:
        """Events create metrics of the integration `API`; another integration may have one with the same name."""
        shopify = control.put_metric("Placed Order", integration="Shopify", key="shopify")
        send_events(calls, SINCE)
        found = calls("GET", "/api/metrics").body["data"]
        names = [(entry["attributes"]["name"], entry["attributes"]["integration"]["name"]) for entry in found]
        assert names == [("Placed Order", "Shopify"), ("Placed Order", "API")]
        assert found[0]["id"] == shopify != found[1]["id"]
        assert [entry["attributes"]["integration"]["key"] for entry in found] == ["shopify", "api"]
        assert sum(counts_by_day(calls("POST", AGGREGATES, query(shopify))).values()) == 0
        assert sum(counts_by_day(calls("POST", AGGREGATES, query(found[1]["id"]))).values()) == 1

    def test_metrics_are_filtered_by_integration(self, control: Control, calls: Calls) -> None:
        """Filters work on the integration's name and category, not on the metric's name."""
        control.put_metric("Placed Order", integration="Shopify", key="shopify", category="eCommerce")
        send_events(calls, SINCE)
        for condition, count in (
            ('equals(integration.name,"API")', 1),
            ('equals(integration.category,"eCommerce")', 1),
            ('equals(integration.name,"Magento")', 0),
        ):
            assert len(calls("GET", "/api/metrics", query={"filter": condition}).body["data"]) == count
        assert calls("GET", "/api/metrics", query={"filter": 'equals(name,"Placed Order")'}).status == 400
        (first, _) = calls("GET", "/api/metrics", query={"fields[metric]": "name"}).body["data"]
        assert first["attributes"] == {"name": "Placed Order"}

    def test_a_page_has_200_metrics(self, control: Control, calls: Calls) -> None:
        """A page holds 200 metrics."""
        for number in range(METRICS_A_PAGE + 1):
            control.put_metric(f"Metric {number}", integration="Shopify", key="shopify")
        first = calls("GET", "/api/metrics").body
        rest = calls("GET", first["links"]["next"]).body
        assert [len(page["data"]) for page in (first, rest)] == [METRICS_A_PAGE, 1]
        assert rest["links"]["next"] is None


class TestAggregates:
    """POST /api/metric-aggregates."""

    def test_events_are_counted_by_day(self, calls: Calls, metric: str) -> None:
        """Every day of the range has a count of this metric's events; the end of the range is exclusive."""
        assert counts_by_day(calls("POST", AGGREGATES, query(metric))) == {
            "2026-05-01T00:00:00+00:00": 2,
            "2026-05-02T00:00:00+00:00": 0,
            "2026-05-03T00:00:00+00:00": 1,
        }

    def test_answers_match_the_sdk(self, calls: Calls, metric: str) -> None:
        """The SDK's models accept both answers."""
        listed = GetMetricResponseCollectionCompoundDocument.model_validate(calls("GET", "/api/metrics").body)
        assert listed.data[0].id == metric
        counted = PostMetricAggregateResponse.model_validate(calls("POST", AGGREGATES, query(metric)).body)
        (row,) = counted.data.attributes.data
        assert (row.dimensions, row.measurements) == ([], {"count": [2, 0, 1]})
        assert [day.isoformat()[:10] for day in counted.data.attributes.dates] == [
            "2026-05-01",
            "2026-05-02",
            "2026-05-03",
        ]

    def test_a_range_may_start_and_end_within_a_day(self, calls: Calls, metric: str) -> None:
        """A range may start and end within a day; that day is listed, but events outside the range don't count."""
        body = query(metric, "2026-05-01T00:00:01", "2026-05-03T23:59:59")
        assert list(counts_by_day(calls("POST", AGGREGATES, body)).values()) == [1, 0, 0]

    def test_days_are_in_the_requested_timezone(self, calls: Calls, metric: str) -> None:
        """Days are in the requested timezone."""
        body = query(metric, "2026-05-01T00:00:00", "2026-05-03T00:00:00", timezone="Europe/Berlin")
        assert counts_by_day(calls("POST", AGGREGATES, body)) == {
            "2026-05-01T00:00:00+02:00": 1,
            "2026-05-02T00:00:00+02:00": 1,
        }

    @pytest.mark.parametrize(
        ("attributes", "field"),
        [
            ({"filter": []}, "filter"),
            ({"filter": [f"greater-or-equal(datetime,{SINCE})"]}, "filter"),
            ({"filter": [f"greater-or-equal(datetime,{SINCE})", "less-than(datetime,tomorrow)"]}, "filter"),
            ({"filter": f"greater-or-equal(datetime,{SINCE})"}, "filter"),
            ({"filter": None}, "filter"),
            ({"measurements": ["average"]}, "measurements"),
            ({"measurements": ["sum_value"]}, "measurements"),
            ({"interval": "minute"}, "interval"),
            ({"interval": "week"}, "interval"),
            ({"page_size": 501}, "page_size"),
            ({"page_size": "500"}, "page_size"),
            ({"timezone": "Europe/Nowhere"}, "timezone"),
            ({"by": ["URL"]}, "by"),
            ({"metric": "Placed Order"}, "metric"),
        ],
    )
    def test_an_invalid_query_is_refused(
        self, calls: Calls, metric: str, attributes: dict[str, Any], field: str
    ) -> None:
        """400 with a pointer to the field."""
        answer = calls("POST", AGGREGATES, query(metric, **attributes))
        assert refusal(answer) == (400, "invalid", f"/data/attributes/{field}")

    def test_an_unknown_metric_is_not_found(self, calls: Calls) -> None:
        """An unknown metric gives 404."""
        assert calls("POST", AGGREGATES, query("M99999")).status == 404

    def test_the_call_has_a_scope_and_a_limit_of_its_own(self, control: Control, metric: str) -> None:
        """The call needs only `metrics:read`; its limit is 60 per minute."""
        control.keys(["reader"], scopes=["metrics:read"])
        with klaviyo(control.url, "reader") as reader:
            answer = reader("POST", AGGREGATES, query(metric))
            assert (answer.status, answer.headers["ratelimit-limit"]) == (200, "60")
        control.keys(["writer"], scopes=["metrics:write"])
        with klaviyo(control.url, "writer") as writer:
            assert writer("POST", AGGREGATES, query(metric)).status == 403


class TestLostEvents:
    """Events that the control API deletes."""

    def test_events_are_dropped_by_metric_and_day(self, control: Control, calls: Calls, metric: str) -> None:
        """Events of a metric can be dropped by day and up to a number; other events stay."""
        assert control.drop_events("Placed Order", day="2026-05-01", most=1) == 1
        assert list(counts_by_day(calls("POST", AGGREGATES, query(metric))).values()) == [1, 0, 1]
        assert control.drop_events("Placed Order", day="2026-05-02") == 0
        assert control.drop_events("Placed Order") == 3
        assert [stored["metric"] for stored in control.state()["events"]] == ["Cancelled Order"]
        with pytest.raises(ControlError, match="Invalid isoformat"):
            control.drop_events("Placed Order", day="yesterday")

    def test_a_dropped_event_can_be_sent_again(self, control: Control, calls: Calls, metric: str) -> None:
        """A dropped event can be sent again; a duplicate of a stored one is ignored."""
        control.drop_events("Placed Order", day="2026-05-01", most=1)
        send_events(calls, "2026-05-01T00:00:00Z", "2026-05-01T23:59:59Z")
        assert list(counts_by_day(calls("POST", AGGREGATES, query(metric))).values()) == [2, 0, 1]
