"""What Klaviyo has, read as whole lists: for jobs that compare it with the shop. Lists may lag behind writes."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from clients.klaviyo_calls import KlaviyoCalls, Page
from clients.klaviyo_items import COMPARED_OF_ITEMS
from mappers.mapped import JsonObject

PROFILES_PER_FILTER = 100
SUBSCRIPTIONS = ["subscriptions"]
"""`additional-fields[profile]`: what makes an answer tell of consent. It costs no rate."""
_PAGE = 100
_API = "api"
"""Key, or name in small letters, of the integration that metrics belong to whose events came by the API."""


class KlaviyoLists:
    """Pages of the account's lists. Safe to share between threads."""

    def __init__(self, calls: KlaviyoCalls) -> None:
        self._calls = calls

    def categories(self, cursor: str) -> Page:
        """A page of categories, with their names."""
        return self._catalog("get_catalog_categories", cursor, fields_catalog_category=["external_id", "name"])

    def items(self, cursor: str) -> Page:
        """A page of items, with what is compared of them."""
        return self._catalog("get_catalog_items", cursor, fields_catalog_item=COMPARED_OF_ITEMS)

    def variants(self, cursor: str) -> Page:
        """A page of variants. Whose they are stands in `relationships.item.data`, where Klaviyo fills it.

        Without `fields`, which may leave relationships out.
        """
        return self._catalog("get_catalog_variants", cursor)

    def profiles(self, external_ids: Sequence[str], *, with_consent: bool = False) -> list[JsonObject]:
        """The profiles of these customers, at most PROFILES_PER_FILTER; one customer may have several."""
        wanted = json.dumps(list(external_ids), ensure_ascii=False)
        more: dict[str, Any] = {"additional_fields_profile": SUBSCRIPTIONS} if with_consent else {}
        return list(self._calls.pages("Profiles", "get_profiles", filter=f"any(external_id,{wanted})", **more))

    def metric_id(self, name: str) -> str | None:
        """Klaviyo's id of the metric of this name whose events come by the API; None before the first of them.

        Another integration may have a metric of the same name. What the one of the API is called is not documented: of
        a single metric of the name it does not matter.
        """
        metrics = self._calls.pages("Metrics", "get_metrics", sized=False)
        found = [metric for metric in metrics if metric["attributes"]["name"] == name]
        ours = [metric for metric in found if _is_by_api(metric["attributes"].get("integration"))]
        chosen = ours or (found if len(found) == 1 else [])
        return str(chosen[0]["id"]) if chosen else None

    def events_by_day(self, metric_id: str, begin: datetime, end: datetime) -> dict[str, int]:
        """How many events a metric has, by UTC day (`2026-11-28`), from a time on and before another."""
        attributes: JsonObject = {
            "metric_id": metric_id,
            "measurements": ["count"],
            "interval": "day",
            "filter": [f"greater-or-equal(datetime,{_moment(begin)})", f"less-than(datetime,{_moment(end)})"],
            "timezone": "UTC",
            "page_size": 500,
        }
        body = {"data": {"type": "metric-aggregate", "attributes": attributes}}
        told = self._calls.send("Metrics", "query_metric_aggregates", body)["data"]["attributes"]
        counts: list[float] = next((row["measurements"]["count"] for row in told["data"]), [])
        return {date[:10]: int(count) for date, count in zip(told["dates"], counts, strict=False)}

    def _catalog(self, operation: str, cursor: str, **options: Any) -> Page:
        options |= {"page_cursor": cursor} if cursor else {}
        return self._calls.page("Catalogs", operation, page_size=_PAGE, **options)


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "")


def _is_by_api(integration: Any) -> bool:
    told = integration if isinstance(integration, dict) else {}
    return _API in (str(told.get("key") or "").lower(), str(told.get("name") or "").lower())
