"""Changes made by another client of Klaviyo while the function processes a message."""

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
"""Seconds to wait for the function to make a call."""


def deliver_while(
    function: Function, sandbox: Sandbox, delivery: Mapping[str, Any], operation: str, action: Callable[[], object]
) -> Answer:
    """Deliver; as soon as Klaviyo has processed a call of `operation`, run `action`. Return the delivery's answer.

    With a `delay` on the call, `action` runs before the function gets Klaviyo's answer.
    """
    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function.deliver, delivery)
        end = time.monotonic() + PATIENCE
        while not any(call["operation"] == operation and call["status"] for call in sandbox.klaviyo.requests()):
            assert time.monotonic() < end, f"{operation} was not called"
            time.sleep(0.01)
        action()
        return answer.result()


def push_body(delivery: Mapping[str, Any], **top_level: Any) -> bytes:
    """The body of a push without a message id, for `Function.post`, which does not read the log."""
    data = base64.b64encode(json.dumps(delivery).encode()).decode()
    return json.dumps({"message": {"data": data}, **top_level}).encode()


def klaviyo_call(sandbox: Sandbox, method: str, path: str, body: object = None) -> Response:
    """Make one successful call to Klaviyo as another client. The record contains it like the function's calls."""
    with klaviyo(sandbox.klaviyo.url, "another-client") as call:
        answered = call(method, f"/api/{path}", body)
    assert answered.status < 300, answered
    return answered


def delete_from_catalog(sandbox: Sandbox, collection: str, external_id: str) -> None:
    """Delete an item, a variant or a category as another client."""
    klaviyo_call(sandbox, "DELETE", f"{collection}/{quote(PREFIX + external_id, safe='')}")


def create_item(sandbox: Sandbox, product_id: str) -> None:
    """Create an item as another client."""
    texts = {"title": "Somebody's", "description": "", "url": "https://example.com"}
    attributes = {"external_id": product_id, **texts}
    klaviyo_call(sandbox, "POST", "catalog-items", {"data": {"type": "catalog-item", "attributes": attributes}})


def rename_item(sandbox: Sandbox, product_id: str) -> None:
    """Change an item's title as another client."""
    data = {"type": "catalog-item", "id": PREFIX + product_id, "attributes": {"title": "Somebody's"}}
    klaviyo_call(sandbox, "PATCH", f"catalog-items/{quote(PREFIX + product_id, safe='')}", {"data": data})


def create_variant(sandbox: Sandbox, sku: str, product_id: str) -> None:
    """Create a variant as another client."""
    texts = {"title": "Somebody's", "description": "", "url": "https://example.com"}
    attributes = {"external_id": sku, "sku": sku, "price": 1, "inventory_quantity": 1, **texts}
    item = {"item": {"data": {"type": "catalog-item", "id": PREFIX + product_id}}}
    body = {"data": {"type": "catalog-variant", "attributes": attributes, "relationships": item}}
    klaviyo_call(sandbox, "POST", "catalog-variants", body)


def create_category(sandbox: Sandbox, category_id: str) -> None:
    """Create a category as another client."""
    attributes = {"external_id": category_id, "name": "Somebody's"}
    klaviyo_call(
        sandbox, "POST", "catalog-categories", {"data": {"type": "catalog-category", "attributes": attributes}}
    )


def create_profile(sandbox: Sandbox, **attributes: str) -> str:
    """Create a profile as another client; return its id."""
    body = {"data": {"type": "profile", "attributes": attributes}}
    created: str = klaviyo_call(sandbox, "POST", "profiles", body).body["data"]["id"]
    return created


def push(function: Function, delivery: Mapping[str, Any], **top_level: Any) -> int:
    """Push a delivery; return the HTTP status. For tests with two instances in one process: they share one log."""
    return function.post(push_body(delivery, **top_level)).status_code
