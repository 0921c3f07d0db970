"""Read Klaviyo's complete lists, for jobs that compare them with the shop. Lists may lag behind writes."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls, Page
from clients.klaviyo_items import COMPARED_ITEM_FIELDS
from mappers.mapped import JsonObject

PROFILES_PER_FILTER = 100
SUBSCRIPTIONS = ["subscriptions"]
"""`additional-fields[profile]` that adds consent to an answer. It does not lower the rate limit."""
_PAGE = 100
_API = "api"
"""Key, or name in lower case, of the integration whose metrics count events from the API."""


class KlaviyoLists:
    """Reads the account's lists. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def categories(self, cursor: str) -> Page:
        """A page of categories, with their names."""
        return self._catalog("get_catalog_categories", cursor, fields_catalog_category=["external_id", "name"])

    def items(self, cursor: str) -> Page:
        """A page of items, with the compared fields."""
        return self._catalog("get_catalog_items", cursor, fields_catalog_item=COMPARED_ITEM_FIELDS)

    def variants(self, cursor: str) -> Page:
        """A page of variants. Their item is in `relationships.item.data`, if Klaviyo fills it.

        Read without `fields`, which may leave out relationships.
        """
        return self._catalog("get_catalog_variants", cursor)

    def profiles(self, external_ids: Sequence[str], *, with_consent: bool = False) -> list[JsonObject]:
        """The profiles of up to PROFILES_PER_FILTER customers. A customer may have several."""
        wanted = json.dumps(list(external_ids), ensure_ascii=False)
        options: dict[str, Any] = {"additional_fields_profile": SUBSCRIPTIONS} if with_consent else {}
        return list(self._calls.pages("Profiles", "get_profiles", filter=f"any(external_id,{wanted})", **options))

    def metric_id(self, name: str) -> str | None:
        """Klaviyo's id of the metric with this name whose events come from the API; None before its first event.

        Another integration may have a metric of the same name. How Klaviyo names the API's integration is not
        documented, so the only metric with the name is taken whatever its integration.
        """
        metrics = self._calls.pages("Metrics", "get_metrics", sized=False)
        same_name = [metric for metric in metrics if metric["attributes"]["name"] == name]
        from_api = [metric for metric in same_name if _is_api(metric["attributes"].get("integration"))]
        chosen = from_api or (same_name if len(same_name) == 1 else [])
        return str(chosen[0]["id"]) if chosen else None

    def events_by_day(self, metric_id: str, begin: datetime, end: datetime) -> dict[str, int]:
        """Number of events of a metric by UTC day (`2026-11-28`), from `begin` until just before `end`."""
        attributes: JsonObject = {
            "metric_id": metric_id,
            "measurements": ["count"],
            "interval": "day",
            "filter": [f"greater-or-equal(datetime,{_moment(begin)})", f"less-than(datetime,{_moment(end)})"],
            "timezone": "UTC",
            "page_size": 500,
        }
        body = {"data": {"type": "metric-aggregate", "attributes": attributes}}
        aggregate = self._calls.send("Metrics", "query_metric_aggregates", body)["data"]["attributes"]
        counts: list[float] = next((row["measurements"]["count"] for row in aggregate["data"]), [])
        return {date[:10]: int(count) for date, count in zip(aggregate["dates"], counts, strict=False)}

    def _catalog(self, operation: str, cursor: str, **options: Any) -> Page:
        options |= {"page_cursor": cursor} if cursor else {}
        return self._calls.page("Catalogs", operation, page_size=_PAGE, **options)


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "")


def _is_api(integration: Any) -> bool:
    fields = integration if isinstance(integration, dict) else {}
    return _API in (str(fields.get("key") or "").lower(), str(fields.get("name") or "").lower())
