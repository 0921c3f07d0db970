"""The samples: one of each message, consistent with the documents they refer to, and described by the manifest."""

import json
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import handlers
from core.rules import SyncRules
from handlers.registry import registrations

SAMPLES = Path(__file__).parents[2] / "samples"

Json = dict[str, Any]
Documents = dict[str, Json]
"""Documents by `collection/id`."""

MESSAGES = [(one.resource_type, one.type, one.switched_off_by(SyncRules())) for one in registrations()]

COLLECTIONS = {
    "customer": "customers",
    "order": "orders",
    "payment": "payments",
    "category": "categories",
    "product": "products",
    "inventory-entry": "inventory",
    "standalone-price": "standalone-prices",
}

EMBEDDED = {
    "CustomerCreated": "customer",
    "OrderCreated": "order",
    "OrderImported": "order",
    "OrderCreatedFromRecurringOrder": "order",
    "CategoryCreated": "category",
    "StandalonePriceCreated": "standalonePrice",
}
"""Messages that carry their resource whole, and the field that holds it."""

COMMON = {"notificationType", "projectKey", "resource", "resourceUserProvidedIdentifiers"}
ENVELOPE = {
    "Message": COMMON
    | {
        "id",
        "version",
        "resourceVersion",
        "sequenceNumber",
        "createdAt",
        "lastModifiedAt",
    },  # no type: payloadNotIncluded
    "ResourceCreated": COMMON | {"version", "modifiedAt"},
    "ResourceUpdated": COMMON | {"version", "oldVersion", "modifiedAt"},
    "ResourceDeleted": COMMON | {"version", "modifiedAt"},
    "Event": {"notificationType", "id", "type", "resourceType", "data", "createdAt"},
}
CLOUD_EVENT = {"specversion", "id", "type", "source", "subject", "time", "data"}

EXPECTED_KEYS = {
    "profile": {"kind", "external_id", "attributes"},
    "event": {"kind", "metric", "unique_id"},
    "category": {"kind", "external_id", "name"},
    "item": {"kind", "external_id", "attributes"},
    "variant": {"kind", "external_id", "attributes"},
    "no profile": {"kind", "external_id"},
    "no category": {"kind", "external_id"},
    "no item": {"kind", "external_id"},
    "no variant": {"kind", "external_id"},
}


def _read(path: Path) -> Json:
    read: Json = json.loads(path.read_text(encoding="utf-8"))
    return read


def _manifest() -> list[Json]:
    samples: list[Json] = tomllib.loads((SAMPLES / "samples.toml").read_text(encoding="utf-8"))["sample"]
    return samples


def _delivery(file: str) -> Json:
    """Read the commercetools payload of a sample, out of its CloudEvent if it is in one."""
    sent = _read(SAMPLES / file)
    delivery: Json = sent["data"] if "specversion" in sent else sent
    return delivery


def _type(delivery: Json) -> str:
    if delivery["notificationType"] != "Message":
        return str(delivery["notificationType"])
    left_out = delivery.get("payloadNotIncluded", {})
    return str(left_out.get("payloadType") or delivery["type"])


def _documents() -> Documents:
    folder = SAMPLES / "documents"
    return {path.relative_to(folder).with_suffix("").as_posix(): _read(path) for path in folder.glob("*/*.json")}


def _told() -> Iterator[tuple[Json, Json, Documents, set[str]]]:
    """Each sample with its delivery, what commercetools holds when it is sent, and what was deleted by then."""
    documents, deleted = _documents(), set[str]()
    for sample in _manifest():
        for change in sample.get("before", []):
            if "delete" in change:
                del documents[change["delete"]]
                deleted.add(change["delete"])
            else:
                documents[change["put"]] = _read(SAMPLES / change["from"])
        yield sample, _delivery(sample["file"]), documents, deleted


def _orders() -> dict[str, Json]:
    """Every order of the samples, by the file it is in: documents, changes and payloads."""
    files = sorted([*SAMPLES.glob("documents/orders/*.json"), *SAMPLES.glob("changes/order-*.json")])
    orders = {path.relative_to(SAMPLES).as_posix(): _read(path) for path in files}
    deliveries = {sample["file"]: _delivery(sample["file"]) for sample in _manifest()}
    return orders | {file: delivery["order"] for file, delivery in deliveries.items() if "order" in delivery}


def _cents(money: Json) -> int:
    return int(money["centAmount"])


def _taxed(order: Json) -> Iterator[tuple[Json, Json, bool]]:
    """Yield what is taxed in an order: its price, its tax, and whether the price includes the tax."""
    included = order["lineItems"][0]["taxRate"]["includedInPrice"]
    yield order["totalPrice"], order["taxedPrice"], included
    for line in [*order["lineItems"], *order["customLineItems"]]:
        yield line["totalPrice"], line["taxedPrice"], line["taxRate"]["includedInPrice"]
    if "shippingInfo" in order:
        yield order["shippingInfo"]["price"], order["taxedShippingPrice"], included


EACH_ORDER = pytest.mark.parametrize(("file", "order"), _orders().items(), ids=list(_orders()))


@pytest.mark.parametrize(("resource", "name", "is_off"), MESSAGES)
def test_every_message_has_a_sample(resource: str, name: str, is_off: str | None) -> None:
    """Each message that is consumed is shown by at least one sample that is synced, or ignored if it is off so far."""
    assert handlers.__all__
    outcome = "ignored" if is_off else "synced"
    shown = [_delivery(sample["file"]) for sample in _manifest() if sample["outcome"] == outcome]
    assert (resource, name) in [
        (delivery["resource"]["typeId"], _type(delivery)) for delivery in shown if "resource" in delivery
    ]


def test_manifest_lists_every_sample_once() -> None:
    """The manifest names each delivery of the folder once, in the order of their numbers."""
    assert [sample["file"] for sample in _manifest()] == sorted(path.name for path in SAMPLES.glob("*.json"))


def test_every_change_is_made() -> None:
    """No file in changes/ is left over, and none that the manifest names is missing."""
    made = [change["from"] for sample in _manifest() for change in sample.get("before", []) if "put" in change]
    assert sorted(made) == sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("changes/*.json"))


@pytest.mark.parametrize("sample", _manifest(), ids=lambda sample: sample["file"])
def test_manifest_says_what_to_check(sample: Json) -> None:
    """A sample has an outcome, a budget and effects of known kinds; an ignored one allows no call to Klaviyo."""
    assert sample["shows"]
    assert sample["outcome"] in {"synced", "ignored"}
    assert sample["reads"] >= 0
    if sample["outcome"] == "ignored":
        assert sample["writes"] == sample["calls"]["klaviyo"] == 0
    else:
        assert sample["writes"] >= 1
        assert sample["expect"]
    for effect in sample.get("expect", []):
        assert effect.keys() >= EXPECTED_KEYS[effect["kind"]]
        assert ("value" in effect) == ("value_currency" in effect)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.name)
def test_delivery_has_the_envelope_of_its_kind(path: Path) -> None:
    """Deliveries have the fields that commercetools publishes, and those of other kinds are absent."""
    sent = _read(path)
    if "specversion" in sent:
        assert sent.keys() >= CLOUD_EVENT
        assert sent["subject"] == sent["data"]["resource"]["id"]
        assert sent["id"] == sent["data"]["id"]
    delivery = _delivery(path.name)
    kind = delivery["notificationType"]
    assert delivery.keys() >= ENVELOPE[kind]
    if kind == "Message":
        assert ("type" in delivery) != ("payloadNotIncluded" in delivery)
        assert delivery["version"] == 1
    elif kind != "Event":
        assert delivery.keys().isdisjoint({"id", "type", "sequenceNumber", "createdAt"})
    if kind != "Event":
        assert delivery["projectKey"] == "shop"
        assert delivery["resource"].keys() == {"typeId", "id"}


def test_deliveries_agree_with_commercetools() -> None:
    """When a sample is sent, its resource is there in the version it tells of, or was deleted before."""
    for sample, delivery, documents, deleted in _told():
        resource = delivery.get("resource", {"typeId": "none"})
        if resource["typeId"] not in COLLECTIONS:  # the message alone says everything
            assert sample["reads"] == 0, sample["file"]
            continue
        key = f"{COLLECTIONS[resource['typeId']]}/{resource['id']}"
        if key in deleted:
            continue
        assert key in documents, sample["file"]
        assert documents[key]["version"] == delivery.get("resourceVersion", delivery["version"]), sample["file"]
        if embedded := delivery.get(EMBEDDED.get(_type(delivery), "")):
            assert embedded == documents[key], sample["file"]


def test_deletions_are_told_of_what_is_gone() -> None:
    """A delivery that says its resource was deleted is sent after the document was taken away."""
    for sample, delivery, documents, _ in _told():
        if _type(delivery).endswith("Deleted") and _type(delivery) != "ProductVariantDeleted":
            key = f"{COLLECTIONS[delivery['resource']['typeId']]}/{delivery['resource']['id']}"
            assert key not in documents, sample["file"]


def test_message_ids_and_sequence_numbers_are_used_once() -> None:
    """No two messages share an id, nor a sequence number within a resource."""
    messages = [d for sample in _manifest() if (d := _delivery(sample["file"]))["notificationType"] == "Message"]
    numbers = [(message["resource"]["id"], message["sequenceNumber"]) for message in messages]
    assert len({message["id"] for message in messages}) == len(messages)
    assert len(set(numbers)) == len(numbers)


def test_documents_are_named_by_their_ids() -> None:
    """A document lies where its id says, and a change keeps the id and raises the version."""
    documents = _documents()
    for key, document in documents.items():
        assert key.split("/")[1] == document["id"]
    for sample in _manifest():
        for change in sample.get("before", []):
            if "put" in change:
                changed = _read(SAMPLES / change["from"])
                assert change["put"].split("/")[1] == changed["id"]
                assert changed["version"] > documents.get(change["put"], {"version": 0})["version"]
                documents[change["put"]] = changed


def test_documents_refer_to_documents() -> None:
    """Customers, payments, products and categories that documents refer to exist at the start."""
    documents = _documents()
    named: set[str] = set()
    for key, document in documents.items():
        match key.split("/")[0]:
            case "orders":
                named |= {f"products/{line['productId']}" for line in document["lineItems"]}
                named |= {f"customers/{document['customerId']}"} if "customerId" in document else set()
                payments = document.get("paymentInfo", {"payments": []})["payments"]
                named |= {f"payments/{payment['id']}" for payment in payments}
            case "products":
                categories = document["masterData"]["current"]["categories"]
                named |= {f"categories/{category['id']}" for category in categories}
            case "categories":
                named |= {f"categories/{ancestor['id']}" for ancestor in document["ancestors"]}
    assert named <= documents.keys()


def test_stock_of_variants_is_that_of_inventory_entries() -> None:
    """A variant's availability is what the inventory entry behind it says."""
    documents = _documents()
    for key, document in documents.items():
        if not key.startswith("products/"):
            continue
        current = document["masterData"]["current"]
        for variant in [current["masterVariant"], *current["variants"]]:
            if availability := variant.get("availability"):
                entry = documents[f"inventory/{availability['id']}"]
                assert (entry["sku"], entry["availableQuantity"]) == (variant["sku"], availability["availableQuantity"])


@EACH_ORDER
def test_order_adds_up(file: str, order: Json) -> None:
    """Lines, custom lines and shipping, less a discount on the total, are the order's total."""
    lines = [*order["lineItems"], *order["customLineItems"]]
    methods = [order["shippingInfo"]] if "shippingInfo" in order else [one["shippingInfo"] for one in order["shipping"]]
    shipping = sum(_cents(method["price"]) for method in methods)
    discount = _cents(order["discountOnTotalPrice"]["discountedAmount"]) if "discountOnTotalPrice" in order else 0
    total = sum(_cents(line["totalPrice"]) for line in lines) + shipping - discount
    assert total == _cents(order["totalPrice"]), file


@EACH_ORDER
def test_lines_are_price_times_quantity(file: str, order: Json) -> None:
    """A line costs its price, discounted or not, times its quantity; high precision is rounded at the end."""
    for line in order["lineItems"]:
        price = line.get("discountedPrice", line["price"])["value"]
        assert _cents(price) * line["quantity"] == _cents(line["totalPrice"]), file
    for line in order["customLineItems"]:
        money = line["money"]
        units = money["preciseAmount"] if money["type"] == "highPrecision" else money["centAmount"]
        exact = Decimal(units).scaleb(line["totalPrice"]["fractionDigits"] - money["fractionDigits"]) * line["quantity"]
        assert round(exact) == _cents(line["totalPrice"]), file


@EACH_ORDER
def test_taxes_are_right(file: str, order: Json) -> None:
    """Net and tax make gross, the tax is the rate of the net but for rounding, and the price is one of the two."""
    for price, tax, included in _taxed(order):
        net, gross, total_tax = (_cents(tax[name]) for name in ("totalNet", "totalGross", "totalTax"))
        assert net + total_tax == gross, file
        assert _cents(price) == (gross if included else net), file
        assert sum(_cents(portion["amount"]) for portion in tax["taxPortions"]) == total_tax, file
        assert abs(net * tax["taxPortions"][0]["rate"] - total_tax) <= 2, file


def test_refunds_are_partial() -> None:
    """Each refund, and all of them together, are less than what was charged."""
    payments = [_read(path) for path in SAMPLES.glob("**/payment*/*.json")]
    payments += [_read(path) for path in SAMPLES.glob("changes/payment-*.json")]
    refunds = []
    for payment in payments:
        amounts = [(done["type"], _cents(done["amount"])) for done in payment["transactions"]]
        refunds.append([amount for kind, amount in amounts if kind == "Refund"])
        assert sum(refunds[-1]) < sum(amount for kind, amount in amounts if kind == "Charge")
    assert max(len(amounts) for amounts in refunds) == 2
