"""The sync's queues in Cloud Monitoring, its log lines in Cloud Logging, and the subscriptions of a Pub/Sub topic.

Monitoring and Logging are read over REST: two requests need no client library.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests

MONITORING = ("MONITORING_URL", "https://monitoring.googleapis.com")
LOGGING = ("LOGGING_URL", "https://logging.googleapis.com")
"""The environment variable that overrides the URL, and Google's own URL."""

NO_CREDENTIALS = "no Google credentials found"
_TIMEOUT = 30
_SCOPE = "https://www.googleapis.com/auth/cloud-platform.read-only"
_METRIC_WINDOW = timedelta(minutes=10)
"""Long enough: Pub/Sub samples its metrics every minute, and they show up to four minutes later."""
_PAGE_SIZE = 1000
_MAX_LINES = 10_000
_STATUS_TEXTS = {401: "invalid credentials", 403: "permission denied", 404: "not found"}


class UnreadableError(Exception):
    """Something can't be read; the text says why in a few words."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A subscription's backlog: number of messages, and age of the oldest in seconds. None: no recent metric."""

    messages: int | None
    oldest: int | None


class CloudProject:
    """Metrics and logs of a Google Cloud project."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._sessions: dict[str, requests.Session] = {}

    def queue(self, subscription: str) -> Queue:
        """The backlog of a subscription (short name). Raises UnreadableError."""
        return Queue(
            self._latest_value("num_undelivered_messages", subscription),
            self._latest_value("oldest_unacked_message_age", subscription),
        )

    def outcome_lines(self, since: timedelta, service: str | None = None) -> tuple[list[Mapping[str, Any]], bool]:
        """Log lines with an outcome from the last `since`, newest first, and True if there are more than were read.

        Lines of one Cloud Run service, else of every deployment that logs to the project. Raises UnreadableError.
        """
        conditions = ["jsonPayload.outcome:*", "jsonPayload.message_id:*", f'timestamp>="{_time_before_now(since)}"']
        if service:
            conditions += ['resource.type="cloud_run_revision"', f'resource.labels.service_name="{service}"']
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": " AND ".join(conditions),
            "orderBy": "timestamp desc",
            "pageSize": _PAGE_SIZE,
        }
        found: list[Mapping[str, Any]] = []
        while True:
            page = self._request(LOGGING, "POST", "/v2/entries:list", json=body)
            found += [entry["jsonPayload"] for entry in page.get("entries", []) if "jsonPayload" in entry]
            token = page.get("nextPageToken")
            if not token or len(found) >= _MAX_LINES:
                return found, bool(token)
            body["pageToken"] = token

    def _latest_value(self, metric: str, subscription: str) -> int | None:
        series = self._request(
            MONITORING,
            "GET",
            f"/v3/projects/{self._project}/timeSeries",
            params={
                "filter": f'metric.type="pubsub.googleapis.com/subscription/{metric}"'
                f' AND resource.labels.subscription_id="{subscription}"',
                "interval.startTime": _time_before_now(_METRIC_WINDOW),
                "interval.endTime": _time_before_now(timedelta()),
            },
        ).get("timeSeries", [])
        points = [point for one in series for point in one.get("points", [])]
        return int(points[0]["value"]["int64Value"]) if points else None

    def _request(self, service: tuple[str, str], method: str, path: str, **request: Any) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - takes a second to import

        variable, google = service
        url = os.environ.get(variable, google)
        what = urlsplit(google).hostname
        try:
            response = self._session(url).request(method, f"{url}{path}", timeout=_TIMEOUT, **request)
            found: dict[str, Any] = response.json() if response.ok else {}
        except GoogleAuthError:  # no credentials, or they can't be refreshed
            raise UnreadableError(NO_CREDENTIALS) from None
        except (requests.RequestException, ValueError) as error:
            raise UnreadableError(f"{what} does not answer ({type(error).__name__})") from None
        if not response.ok:
            raise UnreadableError(
                f"{what} answers {response.status_code}: {_STATUS_TEXTS.get(response.status_code, 'try again')}"
            )
        return found

    def _session(self, url: str) -> requests.Session:
        """A session with the caller's credentials. A stand-in on 127.0.0.1 gets none."""
        from google.auth import default  # noqa: PLC0415 - as above
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

        if url not in self._sessions:
            is_stand_in = urlsplit(url).hostname == "127.0.0.1"
            self._sessions[url] = requests.Session() if is_stand_in else AuthorizedSession(default(scopes=[_SCOPE])[0])
        return self._sessions[url]


def _time_before_now(span: timedelta) -> str:
    return (datetime.now(UTC) - span).isoformat(timespec="seconds").replace("+00:00", "Z")


def subscriptions_of(topic: str) -> list[str]:
    """Full names of a topic's subscriptions, `projects/P/subscriptions/S`. Raises UnreadableError."""
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - as above
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    try:
        # No retry: the library mistakes expired credentials for an outage and retries for minutes.
        return sorted(PublisherClient().list_topic_subscriptions(topic=topic, timeout=_TIMEOUT, retry=None))
    except GoogleAuthError:
        raise UnreadableError(NO_CREDENTIALS) from None
    except GoogleAPIError as error:
        raise UnreadableError(f"Pub/Sub can't list the subscriptions of {topic} ({type(error).__name__})") from None
