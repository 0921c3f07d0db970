"""What Google Cloud has seen of the sync: the queue from Cloud Monitoring, its log lines from Cloud Logging.

Both are asked over REST: no client library for two requests.
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
"""An environment variable that names another host, and Google's."""

NO_CREDENTIALS = "no Google credentials here"
_SECONDS = 30
_SCOPE = "https://www.googleapis.com/auth/cloud-platform.read-only"
_RECENT = timedelta(minutes=10)
"""Pub/Sub's metrics are written every minute and seen up to four minutes later."""
_PAGE = 1000
_MOST_LINES = 10_000
_REASONS = {401: "no valid credentials", 403: "no right to", 404: "nothing there"}


class UnseenError(Exception):
    """Why something can't be seen from here, in a few words for people."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A subscription's backlog: messages that wait, and the age of the oldest in seconds. None: no measurement."""

    messages: int | None
    oldest: int | None


class CloudProject:
    """What a Google Cloud project has recorded."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._sessions: dict[str, requests.Session] = {}

    def queue(self, subscription: str) -> Queue:
        """The backlog of a subscription (short name). Raises UnseenError."""
        return Queue(
            self._latest("num_undelivered_messages", subscription),
            self._latest("oldest_unacked_message_age", subscription),
        )

    def lines(self, since: timedelta, service: str | None = None) -> tuple[list[Mapping[str, Any]], bool]:
        """The log lines that name an outcome, the newest first, and whether there are more than were read.

        Those of a Cloud Run service, else of whatever deployment writes to the project's log. Raises UnseenError.
        """
        conditions = ["jsonPayload.outcome:*", "jsonPayload.message_id:*", f'timestamp>="{_before_now(since)}"']
        if service:
            conditions += ['resource.type="cloud_run_revision"', f'resource.labels.service_name="{service}"']
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": " AND ".join(conditions),
            "orderBy": "timestamp desc",
            "pageSize": _PAGE,
        }
        found: list[Mapping[str, Any]] = []
        while True:
            page = self._ask(LOGGING, "POST", "/v2/entries:list", json=body)
            found += [entry["jsonPayload"] for entry in page.get("entries", []) if "jsonPayload" in entry]
            token = page.get("nextPageToken")
            if not token or len(found) >= _MOST_LINES:
                return found, bool(token)
            body["pageToken"] = token

    def _latest(self, metric: str, subscription: str) -> int | None:
        series = self._ask(
            MONITORING,
            "GET",
            f"/v3/projects/{self._project}/timeSeries",
            params={
                "filter": f'metric.type="pubsub.googleapis.com/subscription/{metric}"'
                f' AND resource.labels.subscription_id="{subscription}"',
                "interval.startTime": _before_now(_RECENT),
                "interval.endTime": _before_now(timedelta()),
            },
        ).get("timeSeries", [])
        points = [point for one in series for point in one.get("points", [])]
        return int(points[0]["value"]["int64Value"]) if points else None

    def _ask(self, service: tuple[str, str], method: str, path: str, **request: Any) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - a second to import, for whom it concerns

        variable, google = service
        url = os.environ.get(variable, google)
        what = urlsplit(google).hostname
        try:
            answer = self._session(url).request(method, f"{url}{path}", timeout=_SECONDS, **request)
            answered: dict[str, Any] = answer.json() if answer.ok else {}
        except GoogleAuthError:  # credentials that expired, or can't be refreshed
            raise UnseenError(NO_CREDENTIALS) from None
        except (requests.RequestException, ValueError) as error:
            raise UnseenError(f"{what} does not answer ({type(error).__name__})") from None
        if not answer.ok:
            raise UnseenError(f"{what} says {answer.status_code}: {_REASONS.get(answer.status_code, 'try again')}")
        return answered

    def _session(self, url: str) -> requests.Session:
        """With the credentials of whoever runs this; a stand-in on this machine is given none."""
        from google.auth import default  # noqa: PLC0415 - as above
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

        if url not in self._sessions:
            is_stand_in = urlsplit(url).hostname == "127.0.0.1"
            self._sessions[url] = requests.Session() if is_stand_in else AuthorizedSession(default(scopes=[_SCOPE])[0])
        return self._sessions[url]


def _before_now(time: timedelta) -> str:
    return (datetime.now(UTC) - time).isoformat(timespec="seconds").replace("+00:00", "Z")


def subscriptions_of(topic: str) -> list[str]:
    """Names of a topic's subscriptions, `projects/P/subscriptions/S`. Raises UnseenError."""
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - as above
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    try:
        # Without the library's own retry, which takes expired credentials for an outage and goes on for minutes.
        return sorted(PublisherClient().list_topic_subscriptions(topic=topic, timeout=_SECONDS, retry=None))
    except GoogleAuthError:
        raise UnseenError(NO_CREDENTIALS) from None
    except GoogleAPIError as error:
        raise UnseenError(f"Pub/Sub does not show the subscriptions of {topic} ({type(error).__name__})") from None
