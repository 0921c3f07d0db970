"""Things that happen behind the function's back, while it is at work."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from commands.processes import Sandbox
from sandbox.calls import Response, klaviyo
from sandbox.catalog import PREFIX
from tests.functional.conftest import Answer, Function

PATIENCE = 20.0


def deliver_while(
    function: Function, sandbox: Sandbox, delivery: Mapping[str, Any], operation: str, happens: Callable[[], object]
) -> Answer:
    """Deliver; when Klaviyo has been asked for `operation`, something `happens`, before the answer arrives."""
    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function.deliver, delivery)
        end = time.monotonic() + PATIENCE
        while not any(call["operation"] == operation and call["status"] for call in sandbox.klaviyo.requests()):
            assert time.monotonic() < end, f"nobody asked for {operation}"
            time.sleep(0.01)
        happens()
        return answer.result()


def push_body(delivery: Mapping[str, Any]) -> bytes:
    """The push request of a delivery, for those that are sent while another one is awaited."""
    data = base64.b64encode(json.dumps(delivery).encode()).decode()
    return json.dumps({"message": {"data": data}}).encode()


def klaviyo_call(sandbox: Sandbox, method: str, path: str, body: object = None) -> Response:
    """One call to Klaviyo by somebody else, which leaves the record as it was for those who count."""
    with klaviyo(sandbox.klaviyo.url, "somebody-else") as call:
        answered = call(method, f"/api/{path}", body)
    assert answered.status < 300, answered
    return answered


def delete_from_catalog(sandbox: Sandbox, collection: str, external_id: str) -> None:
    """Delete an item, a variant or a category by somebody else."""
    klaviyo_call(sandbox, "DELETE", f"{collection}/{quote(PREFIX + external_id, safe='')}")


def create_item(sandbox: Sandbox, product_id: str) -> None:
    """Create an item by somebody else."""
    texts = {"title": "Somebody's", "description": "", "url": "https://example.com"}
    attributes = {"external_id": product_id, **texts}
    klaviyo_call(sandbox, "POST", "catalog-items", {"data": {"type": "catalog-item", "attributes": attributes}})


def rename_item(sandbox: Sandbox, product_id: str) -> None:
    """Give an item another title by somebody else."""
    data = {"type": "catalog-item", "id": PREFIX + product_id, "attributes": {"title": "Somebody's"}}
    klaviyo_call(sandbox, "PATCH", f"catalog-items/{quote(PREFIX + product_id, safe='')}", {"data": data})


def create_variant(sandbox: Sandbox, sku: str, product_id: str) -> None:
    """Create a variant by somebody else."""
    texts = {"title": "Somebody's", "description": "", "url": "https://example.com"}
    attributes = {"external_id": sku, "sku": sku, "price": 1, "inventory_quantity": 1, **texts}
    item = {"item": {"data": {"type": "catalog-item", "id": PREFIX + product_id}}}
    body = {"data": {"type": "catalog-variant", "attributes": attributes, "relationships": item}}
    klaviyo_call(sandbox, "POST", "catalog-variants", body)


def create_category(sandbox: Sandbox, category_id: str) -> None:
    """Create a category by somebody else."""
    attributes = {"external_id": category_id, "name": "Somebody's"}
    klaviyo_call(
        sandbox, "POST", "catalog-categories", {"data": {"type": "catalog-category", "attributes": attributes}}
    )


def create_profile(sandbox: Sandbox, **attributes: str) -> str:
    """Create a profile by somebody else; its id."""
    body = {"data": {"type": "profile", "attributes": attributes}}
    created: str = klaviyo_call(sandbox, "POST", "profiles", body).body["data"]["id"]
    return created


def push(function: Function, delivery: Mapping[str, Any], **top_level: Any) -> int:
    """Push a delivery; the status of the answer. For two instances in one process, which share their log."""
    data = base64.b64encode(json.dumps(delivery).encode()).decode()
    return function.post(json.dumps({"message": {"data": data}, **top_level}).encode()).status_code
