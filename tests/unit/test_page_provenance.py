"""Which values in a request to Klaviyo are marked as coming from commercetools."""

import json
from typing import Any

import pytest

from commands.page.provenance import Line, Provenance

PRICE = {"value": {"type": "centPrecision", "currencyCode": "EUR", "centAmount": 17900, "fractionDigits": 2}}
YEN = {"value": {"type": "centPrecision", "currencyCode": "JPY", "centAmount": 29800, "fractionDigits": 0}}
PRECISE = {"value": {"type": "highPrecision", "centAmount": 18950, "preciseAmount": 1894950, "fractionDigits": 4}}


def _marked(lines: list[Line]) -> list[str]:
    return [line.text for line in lines if line.origins]


@pytest.mark.parametrize(
    ("document", "body", "shared"),
    [
        ({"firstName": "Mira"}, {"first_name": "Mira"}, "Mira"),
        ({"email": "Mira@Example.com"}, {"email": "mira@example.com"}, "Mira@Example.com"),
        ({"createdAt": "2026-11-17T09:00:00.000Z"}, {"time": "2026-11-17T09:00:00+00:00"}, "2026-11-17T09:00:00.000Z"),
        ({"mobile": "0171 3920014"}, {"phone_number": "+491713920014"}, "0171 3920014"),
        ({"slug": {"en": "linden-tote"}}, {"url": "https://shop.example/p/linden-tote"}, "linden-tote"),
        ({"sku": "TOTE-S"}, {"id": "$custom:::$default:::TOTE-S"}, "TOTE-S"),
        ({"obj": {"name": "Bags"}}, {"name": "Women > Bags"}, "Bags"),
        (PRICE, {"price": 179}, "17900"),
        (PRICE, {"price": 179.0}, "17900"),
        (YEN, {"price": 29800}, "29800"),
        (PRECISE, {"price": 189.495}, "1894950"),
        ({"availableQuantity": 14}, {"inventory_quantity": 14}, "14"),
        ({"quantity": 0}, {"inventory_quantity": 0}, "0"),
        ({"newsletter": True}, {"newsletter": True}, "true"),
    ],
)
def test_a_shared_value_is_marked_on_both_sides(document: Any, body: Any, shared: str) -> None:
    """It may be equal, the same value in another spelling, or part of a longer text."""
    provenance = Provenance([document])
    request_lines = provenance.body(body)
    document_lines = provenance.document(0)
    assert len(_marked(request_lines)) == 1
    assert [text.strip('"') for text in _marked(document_lines)] == [shared]
    numbers = {number for line in request_lines for number in line.origins}
    assert all(numbers & set(line.origins) for line in document_lines if line.origins)


@pytest.mark.parametrize(
    ("document", "body"),
    [
        ({"version": 1}, {"inventory_policy": 1}),
        ({"quantity": 1}, {"published": True}),
        ({"isActive": True}, {"quantity": 1}),
        ({"typeId": "event"}, {"metric": "event"}),
        ({"metric": "event"}, {"type": "event"}),
        ({"projectKey": "shop"}, {"url": "https://shop.example/"}),
        ({"name": "Sand"}, {"title": "Sandals"}),
        ({"size": "S"}, {"title": "S for Sam"}),
        ({"postalCode": "10115"}, {"phone_number": "+4910115"}),
        ({"amount": {"centAmount": 0, "fractionDigits": 2}}, {"value": 0}),
        ({"createdAt": "2026-11-17T09:00:00.000Z"}, {"time": "2026-11-17T09:00:01+00:00"}),
        ({"name": None}, {"title": None}),
    ],
)
def test_a_coincidence_is_not_marked(document: Any, body: Any) -> None:
    """Small numbers, booleans, names of types and parts of words match by chance."""
    provenance = Provenance([document])
    assert _marked(provenance.body(body)) == []
    assert _marked(provenance.document(0)) == []


def test_a_document_marks_only_values_that_were_sent() -> None:
    """Values that no request contains stay plain."""
    provenance = Provenance([{"first": "Mira", "last": "Falkner"}])
    provenance.body({"first_name": "Mira"})
    assert _marked(provenance.document(0)) == ['"Mira"']


def test_the_id_in_a_path_is_compared() -> None:
    """`PATCH /api/catalog-variants/$custom:::$default:::SKU` is about the variant with that SKU."""
    provenance = Provenance([{"sku": "TOTE-S"}])
    origins = provenance.path("/api/catalog-variants/$custom:::$default:::TOTE-S")
    assert origins
    assert _marked(provenance.document(0)) == ['"TOTE-S"']
    assert not provenance.path("/api/events")


def test_lines_are_pretty_printed_json() -> None:
    """They have their commas, and brackets say if they enclose a marked line."""
    document = {"a": [1, {"b": "xyz"}], "c": {}, "d": [], "e": 'q"<'}
    provenance = Provenance([{"b": "xyz"}])
    lines = provenance.body(document)
    keys = ["" if line.key is None else json.dumps(line.key) + ": " for line in lines]
    shown = ["  " * line.depth + key + line.text + "," * line.comma for key, line in zip(keys, lines, strict=True)]
    assert "\n".join(shown) == json.dumps(document, indent=2)
    assert [line.encloses_marked for line in lines] == [
        True, True, False, True, False, True, True, False, False, False, True,
    ]  # fmt: skip


def test_raw_order_fields_in_an_event_are_not_marked() -> None:
    """A property with the same name and value as in the order was copied, not mapped."""
    provenance = Provenance([{"orderNumber": "S-1", "email": "a@example.com", "total": {"centAmount": 500}}])
    properties = {"orderNumber": "S-1", "OrderNumber": "S-1", "total": {"centAmount": 500}}
    profile = {"email": "a@example.com"}
    lines = provenance.body({"data": {"type": "event", "attributes": {"profile": profile, "properties": properties}}})
    assert [line.key for line in lines if line.origins] == ["email", "OrderNumber"]
