"""What a message changed in Klaviyo: two snapshots of its state compared."""

from typing import Any

from commands.page.state_diff import diff, merged

EMPTY: dict[str, Any] = {"profiles": [], "events": [], "items": {}, "variants": {}, "categories": {}}


def _state(**parts: Any) -> dict[str, Any]:
    return EMPTY | parts


def test_a_new_resource_is_one_change_without_a_field() -> None:
    """This holds for profiles, events, items and categories."""
    after = _state(
        profiles=[{"id": "P"}],
        events=[{"profile_id": "P", "metric": "Placed Order", "unique_id": "o"}],
        items={"i": {"title": "Vase"}},
        categories={"k": "Home"},
    )
    assert set(diff(EMPTY, after)) == {
        ("profile", "P", ""), ("event", "Placed Order o", ""), ("item", "i", ""), ("category", "k", ""),
    }  # fmt: skip
    assert diff(after, after) == {}


def test_a_change_has_the_previous_value() -> None:
    """Nested fields have their own names. Timestamps and raw metadata are ignored, as people do not look for them."""
    before = _state(
        profiles=[{"id": "P", "updated": "1", "last_event_date": "1", "location": {"city": "Ulm", "zip": "1"}}],
        variants={"v": {"price": 5, "images": ["a"], "custom_metadata": {"price_json": "1"}}},
        categories={"k": "Home"},
    )
    after = _state(
        profiles=[
            {
                "id": "P",
                "updated": "2",
                "last_event_date": "2",
                "location": {"city": "Bonn", "zip": "1"},
                "title": "Dr.",
            }
        ],
        variants={"v": {"price": 6, "images": ["b"], "custom_metadata": {"price_json": "2"}}},
        categories={"k": "House"},
    )
    assert diff(before, after) == {
        ("profile", "P", "city"): "Ulm",
        ("profile", "P", "title"): "",
        ("variant", "v", "price"): "5",
        ("variant", "v", "images"): "",
        ("category", "k", "name"): "Home",
    }


def test_merged_changes_keep_the_earlier_previous_value() -> None:
    """The attempts at a message count as one change."""
    key = ("profile", "P", "city")
    assert merged({key: "Ulm"}, {key: "Bonn", ("item", "i", ""): ""}) == {key: "Ulm", ("item", "i", ""): ""}
