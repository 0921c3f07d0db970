"""The samples: one for each message, consistent with the documents they refer to, and described by the manifest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import handlers  # noqa: F401 - registers every handler
from core.rules import SyncRules
from handlers.registry import registrations
from tests.unit.sample_files import SAMPLES, Json, manifest, notification_of, read_json

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
"""Messages that include their whole resource, and the field that contains it."""

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
    },  # not `type`: it may be in payloadNotIncluded
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


def _type(notification: Json) -> str:
    if notification["notificationType"] != "Message":
        return str(notification["notificationType"])
    left_out = notification.get("payloadNotIncluded", {})
    return str(left_out.get("payloadType") or notification["type"])


def _documents() -> Documents:
    folder = SAMPLES / "documents"
    return {path.relative_to(folder).with_suffix("").as_posix(): read_json(path) for path in folder.glob("*/*.json")}


def _steps() -> Iterator[tuple[Json, Json, Documents, set[str]]]:
    """Each sample with its notification, and the documents that exist or are deleted when it is sent."""
    documents, deleted = _documents(), set[str]()
    for sample in manifest():
        for change in sample.get("before", []):
            if "delete" in change:
                del documents[change["delete"]]
                deleted.add(change["delete"])
            else:
                documents[change["put"]] = read_json(SAMPLES / change["from"])
        yield sample, notification_of(sample["file"]), documents, deleted


@pytest.mark.parametrize(("resource", "name", "is_off"), MESSAGES)
def test_every_message_has_a_sample(resource: str, name: str, is_off: str | None) -> None:
    """Each consumed message has at least one sample: a synced one, or an ignored one if it is off by default."""
    outcome = "ignored" if is_off else "synced"
    samples = [notification_of(sample["file"]) for sample in manifest() if sample["outcome"] == outcome]
    assert (resource, name) in [
        (notification["resource"]["typeId"], _type(notification))
        for notification in samples
        if "resource" in notification
    ]


def test_manifest_lists_every_sample_once() -> None:
    """It lists each file of the folder once, in the order of their numbers."""
    assert [sample["file"] for sample in manifest()] == sorted(path.name for path in SAMPLES.glob("*.json"))


def test_every_change_is_used() -> None:
    """No file in changes/ is unused, and none that the manifest names is missing."""
    used = [change["from"] for sample in manifest() for change in sample.get("before", []) if "put" in change]
    assert sorted(used) == sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("changes/*.json"))


@pytest.mark.parametrize("sample", manifest(), ids=lambda sample: sample["file"])
def test_manifest_entries_are_complete(sample: Json) -> None:
    """A sample has an outcome, numbers of calls and known effects. An ignored one allows no call to Klaviyo."""
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
def test_notification_has_the_fields_of_its_kind(path: Path) -> None:
    """It has the fields that commercetools publishes, and none of other kinds."""
    sent = read_json(path)
    if "specversion" in sent:
        assert sent.keys() >= CLOUD_EVENT
        assert sent["subject"] == sent["data"]["resource"]["id"]
        assert sent["id"] == sent["data"]["id"]
    notification = notification_of(path.name)
    kind = notification["notificationType"]
    assert notification.keys() >= ENVELOPE[kind]
    if kind == "Message":
        assert ("type" in notification) != ("payloadNotIncluded" in notification)
        assert notification["version"] == 1
    elif kind != "Event":
        assert notification.keys().isdisjoint({"id", "type", "sequenceNumber", "createdAt"})
    if kind != "Event":
        assert notification["projectKey"] == "shop"
        assert notification["resource"].keys() == {"typeId", "id"}


def test_notifications_match_the_documents() -> None:
    """When a sample is sent, its resource exists in the notification's version, or was deleted before."""
    for sample, notification, documents, deleted in _steps():
        resource = notification.get("resource", {"typeId": "none"})
        if resource["typeId"] not in COLLECTIONS:  # the notification contains everything
            assert sample["reads"] == 0, sample["file"]
            continue
        key = f"{COLLECTIONS[resource['typeId']]}/{resource['id']}"
        if key in deleted:
            continue
        assert key in documents, sample["file"]
        assert documents[key]["version"] == notification.get("resourceVersion", notification["version"]), sample["file"]
        if embedded := notification.get(EMBEDDED.get(_type(notification), "")):
            assert embedded == documents[key], sample["file"]


def test_deletions_are_sent_after_the_document_is_deleted() -> None:
    """A notification of a deletion matches the state of commercetools."""
    for sample, notification, documents, _ in _steps():
        if _type(notification).endswith("Deleted") and _type(notification) != "ProductVariantDeleted":
            key = f"{COLLECTIONS[notification['resource']['typeId']]}/{notification['resource']['id']}"
            assert key not in documents, sample["file"]


def test_message_ids_and_sequence_numbers_are_unique() -> None:
    """No two messages share an id, and no two of a resource share a sequence number."""
    messages = [
        one for sample in manifest() if (one := notification_of(sample["file"]))["notificationType"] == "Message"
    ]
    numbers = [(message["resource"]["id"], message["sequenceNumber"]) for message in messages]
    assert len({message["id"] for message in messages}) == len(messages)
    assert len(set(numbers)) == len(numbers)


def test_documents_are_named_by_their_ids() -> None:
    """A document's file has its id as name. A change keeps the id and raises the version."""
    documents = _documents()
    for key, document in documents.items():
        assert key.split("/")[1] == document["id"]
    for sample in manifest():
        for change in sample.get("before", []):
            if "put" in change:
                changed = read_json(SAMPLES / change["from"])
                assert change["put"].split("/")[1] == changed["id"]
                assert changed["version"] > documents.get(change["put"], {"version": 0})["version"]
                documents[change["put"]] = changed


def test_referenced_documents_exist() -> None:
    """Customers, payments, products and categories that documents refer to exist from the start."""
    documents = _documents()
    referenced: set[str] = set()
    for key, document in documents.items():
        match key.split("/")[0]:
            case "orders":
                referenced |= {f"products/{line['productId']}" for line in document["lineItems"]}
                referenced |= {f"customers/{document['customerId']}"} if "customerId" in document else set()
                payments = document.get("paymentInfo", {"payments": []})["payments"]
                referenced |= {f"payments/{payment['id']}" for payment in payments}
            case "products":
                categories = document["masterData"]["current"]["categories"]
                referenced |= {f"categories/{category['id']}" for category in categories}
            case "categories":
                referenced |= {f"categories/{ancestor['id']}" for ancestor in document["ancestors"]}
    assert referenced <= documents.keys()


def test_stock_of_variants_is_that_of_inventory_entries() -> None:
    """A variant's availability matches its inventory entry."""
    documents = _documents()
    for key, document in documents.items():
        if not key.startswith("products/"):
            continue
        current = document["masterData"]["current"]
        for variant in [current["masterVariant"], *current["variants"]]:
            if availability := variant.get("availability"):
                entry = documents[f"inventory/{availability['id']}"]
                assert (entry["sku"], entry["availableQuantity"]) == (variant["sku"], availability["availableQuantity"])
