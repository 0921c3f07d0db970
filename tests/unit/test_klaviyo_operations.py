"""Every operation goes out as the SDK's own generated method would send it, and is validated by the SDK."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from klaviyo_api import KlaviyoAPI

from clients.klaviyo_calls import KlaviyoCalls
from clients.klaviyo_operations import OPERATIONS
from clients.retrying import message_budget
from clients.transport import Answer
from core.errors import Unmappable
from core.settings import Limits
from mappers.category import catalog_category, category_update
from mappers.item import catalog_item, hidden_item, item_update
from mappers.order_events import placed_order
from mappers.profile import profile
from mappers.variant import catalog_variants, stock_update, variant_create, variant_update
from tests.unit.strategies import settings_with
from tests.unit.test_mappers_category import BAGS
from tests.unit.test_mappers_orders import CATEGORIES, ORDER
from tests.unit.test_mappers_product import NOW, PRODUCT
from tests.unit.test_mappers_profile import CUSTOMER

SETTINGS = settings_with({"customer": {"clear": ["location", "title"]}}, preferred_locale="en-US")
ITEM = catalog_item(PRODUCT, SETTINGS, NOW).body
VARIANT = catalog_variants(PRODUCT, SETTINGS, NOW)["T/2"].body
BARE_VARIANT = {"sku": "T/2", "title": "x", "description": "x", "url": "x", "inventory_quantity": 1}
"""Without what the SDK adds by default."""
SKU = '$custom:::$default:::T/12 "Größe L" ü'
DELETION = {
    "data": {
        "type": "data-privacy-deletion-job",
        "attributes": {"profile": {"data": {"type": "profile", "id": "01P", "attributes": {}}}},
    }
}
NOBODY = {"data": {"type": "profile", "id": "01P", "attributes": {}}}
FILTER = 'any(ids,["$custom:::$default:::a b","$custom:::$default:::ü/&=?#"])'

CALLS: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("create_event", "", placed_order(ORDER, CATEGORIES, SETTINGS).body, {}),
    ("create_or_update_profile", "", profile(CUSTOMER, SETTINGS).body, {}),
    ("update_profile", "01P", NOBODY, {}),
    ("get_profiles", "", None, {"filter": 'equals(external_id,"c-1")', "fields[profile]": "external_id"}),
    ("request_profile_deletion", "", DELETION, {}),
    ("get_catalog_categories", "", None, {"filter": FILTER, "fields[catalog-category]": "name"}),
    ("create_catalog_category", "", catalog_category(BAGS["obj"], SETTINGS), {}),
    ("update_catalog_category", "$custom:::$default:::c", category_update(BAGS["obj"], SETTINGS), {}),
    ("delete_catalog_category", "$custom:::$default:::c", None, {}),
    ("create_catalog_item", "", ITEM, {}),
    ("update_catalog_item", "$custom:::$default:::p1", item_update(ITEM), {}),
    ("update_catalog_item", "$custom:::$default:::p1", hidden_item("p1"), {}),
    ("delete_catalog_item", "$custom:::$default:::p1", None, {}),
    (
        "get_variants_for_catalog_item",
        "$custom:::$default:::p1",
        None,
        {"fields[catalog-variant]": "sku,updated", "page[size]": 100, "page[cursor]": "bmV4dDo6aWQ6Og=="},
    ),
    ("create_catalog_variant", "", variant_create("T/2", VARIANT, "p1"), {}),
    ("create_catalog_variant", "", variant_create("T/2", BARE_VARIANT, "p1"), {}),
    ("update_catalog_variant", SKU, variant_update("T/2", VARIANT), {}),
    ("update_catalog_variant", SKU, stock_update("T/2", VARIANT), {}),
    ("delete_catalog_variant", SKU, None, {}),
]
_GROUPS = ("Events", "Profiles", "Catalogs", "Data_Privacy")
_LISTS = frozenset({"fields[catalog-variant]", "fields[catalog-category]", "fields[profile]"})


class _Answered(Answer):
    @property
    def response(self) -> Answer:
        """What the SDK's own method takes out of its transport's answer."""
        return self


@dataclass(slots=True)
class Recorder:
    """A transport that keeps what it is told to send."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def request(self, method: str, url: str, headers: Any = None, body: Any = None, *_: Any, **__: Any) -> "_Answered":
        """Keep the request; everything is answered alike."""
        parts = urlsplit(url)
        self.sent.append(
            {
                "method": method,
                "address": (parts.netloc, parts.path),
                "query": parse_qs(parts.query, strict_parsing=bool(parts.query)),
                "headers": dict(headers),
                "body": json.loads(json.dumps(body)),
            }
        )
        return _Answered(200, {}, b"{}")


def _sent_by_the_sdk(name: str, own_id: str, body: Any, query: Mapping[str, Any]) -> dict[str, Any]:
    """The request of the SDK's own method."""
    api = KlaviyoAPI(SETTINGS.klaviyo_auth_key.get_secret_value(), max_retries=0)
    recorder = api.api_client.rest_client = Recorder()
    group = next(getattr(api, one) for one in _GROUPS if hasattr(getattr(api, one), name))
    own = [value for value in (own_id, body) if value]
    named = {
        key.replace("[", "_").replace("]", "").replace("-", "_"): value.split(",") if key in _LISTS else value
        for key, value in query.items()
    }
    getattr(group, f"{name}_without_preload_content")(*own, **named)
    return recorder.sent[0]


class _RecordedCalls(KlaviyoCalls):
    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.recorder = Recorder()

    def _new_client(self) -> Any:
        client = super()._new_client()
        client.rest_client = self.recorder
        return client


@pytest.mark.parametrize(
    ("name", "own_id", "body", "query"), CALLS, ids=[f"{name} {index}" for index, (name, *_) in enumerate(CALLS)]
)
def test_a_request_is_the_one_that_the_sdk_would_send(name: str, own_id: str, body: Any, query: dict[str, Any]) -> None:
    """Method, address, query, headers (the key and the revision among them) and body, defaults included."""
    calls = _RecordedCalls()
    with message_budget(Limits()):
        calls.send(name, own_id, body, query=query)
    (sent,) = calls.recorder.sent
    expected = _sent_by_the_sdk(name, own_id, body, query)
    assert sent == expected
    assert sent["headers"]["revision"] == KlaviyoAPI._REVISION
    assert sent["headers"]["Authorization"].endswith(SETTINGS.klaviyo_auth_key.get_secret_value())


def test_every_operation_is_compared() -> None:
    """None is left out of the table above."""
    assert {name for name, *_ in CALLS} == OPERATIONS.keys()


def test_the_sdks_validation_refuses() -> None:
    """A body that the SDK's own method would refuse never goes out; the error has its path, and no value."""
    calls = _RecordedCalls()
    with message_budget(Limits()), pytest.raises(Unmappable) as raised:
        calls.send("create_or_update_profile", body={"data": {"type": "profile", "attributes": {"first_name": 1}}})
    assert (raised.value.code, raised.value.pointer) == ("string_type", "data.attributes.first_name")
    assert calls.recorder.sent == []
