"""Deliveries, parcels and returns of test orders, and the Messages about them."""

from collections.abc import Mapping, Sequence
from typing import Any

from commands.processes import Sandbox
from tests.functional.documents import CREATED, Json, line_item, message, money, order

LATER = "2026-05-02T08:00:00.000Z"
DHL = {"trackingId": "T-1", "carrier": "DHL", "isReturn": False}


def items(quantities: Mapping[str, int]) -> list[Json]:
    """Delivery items from quantities by line id."""
    return [{"id": line, "quantity": quantity} for line, quantity in quantities.items()]


def parcel(
    number: int = 1, tracking: Json | None = None, quantities: Mapping[str, int] | None = None, **fields: Any
) -> Json:
    """A parcel. Without `quantities` it does not say what it contains."""
    document = {"id": f"parcel-{number}", "createdAt": CREATED, "items": items(quantities or {})} | fields
    return document | ({"trackingData": tracking} if tracking else {})


def delivery(number: int = 1, quantities: Mapping[str, int] | None = None, *parcels: Json, **fields: Any) -> Json:
    """A delivery of these lines in these parcels; by default of two units of line-1."""
    return {
        "id": f"delivery-{number}",
        "createdAt": CREATED,
        "items": items({"line-1": 2} if quantities is None else quantities),
        "parcels": list(parcels),
    } | fields


def method(*deliveries: Json, name: str = "DHL Standard", **fields: Any) -> Json:
    """Shipping info: a method and its deliveries."""
    return {"shippingMethodName": name, "price": money(490), "deliveries": list(deliveries)} | fields


def shipped_order(*deliveries: Json, **fields: Any) -> Json:
    """An order with these deliveries. It has two units at 10.00 each, and three units for 10.00 in total."""
    lines = [line_item(1), line_item(2, "product-2", quantity=3, totalPrice=money(1000))]
    return order(**{"lines": lines, "shippingInfo": method(*deliveries), "shippingMode": "Single"} | fields)


def parcel_added(of: Json, added: Json, **payload: Any) -> Json:
    """ParcelAddedToDelivery, with the delivery and the parcel."""
    return message("ParcelAddedToDelivery", "order", "order-1", delivery=of, parcel=added, **payload)


def tracking_updated(tracking: Json | None, number: int = 1, **payload: Any) -> Json:
    """ParcelTrackingDataUpdated. None means that the tracking data was removed."""
    data = {"trackingData": tracking} if tracking else {}
    ids = {"deliveryId": "delivery-1", "parcelId": f"parcel-{number}"}
    return message("ParcelTrackingDataUpdated", "order", "order-1", **{**ids, **data, **payload})


def shipment_state(state: str, **payload: Any) -> Json:
    """OrderShipmentStateChanged to this state."""
    return message("OrderShipmentStateChanged", "order", "order-1", shipmentState=state, **payload)


def return_item(number: int = 1, line: str = "line-1", quantity: int = 1, **fields: Any) -> Json:
    """A return item that is announced but has not arrived."""
    return {
        "type": "LineItemReturnItem",
        "id": f"return-item-{number}",
        "lineItemId": line,
        "quantity": quantity,
        "shipmentState": "Advised",
        "paymentState": "Initial",
        "createdAt": CREATED,
        "lastModifiedAt": CREATED,
    } | fields


def return_info(*of: Json, tracking: str | None = "R-1", date: str | None = None) -> Json:
    """A return, by default of one announced item."""
    info = {"items": list(of) or [return_item()], "returnTrackingId": tracking, "returnDate": date}
    return {name: value for name, value in info.items() if value is not None}


def return_added(info: Json, **payload: Any) -> Json:
    """ReturnInfoAdded, with one return."""
    return message("ReturnInfoAdded", "order", "order-1", returnInfo=info, **payload)


def returns_set(*infos: Json, **payload: Any) -> Json:
    """ReturnInfoSet: these replace all returns of the order."""
    return message("ReturnInfoSet", "order", "order-1", returnInfo=list(infos), **payload)


def return_state(state: str, number: int = 1, **payload: Any) -> Json:
    """OrderReturnShipmentStateChanged of one return item."""
    change = {"returnItemId": f"return-item-{number}", "returnShipmentState": state}
    return message("OrderReturnShipmentStateChanged", "order", "order-1", **change, **payload)


def events(sandbox: Sandbox, metric: str) -> dict[str, Json]:
    """Klaviyo's events of a metric by unique id. Fails if there are duplicates."""
    found: Sequence[Json] = [one for one in sandbox.klaviyo.state()["events"] if one["metric"] == metric]
    by_id = {one["unique_id"]: one for one in found}
    assert len(by_id) == len(found)
    return by_id
