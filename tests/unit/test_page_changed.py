"""What a message changed in Klaviyo: two states compared."""

from typing import Any

from commands.page.state_diff import diff, merged

EMPTY: dict[str, Any] = {"profiles": [], "events": [], "items": {}, "variants": {}, "categories": {}}


def _state(**parts: Any) -> dict[str, Any]:
    return EMPTY | parts


def test_what_is_new_has_no_name() -> None:
    """A profile, an event, an item, a category."""
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


def test_a_change_has_what_was_before() -> None:
    """Nested fields by their own names; times and raw metadata are no change that people look for."""
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


def test_of_two_changes_the_first_says_what_was() -> None:
    """A message that was delivered twice is one."""
    place = ("profile", "P", "city")
    assert merged({place: "Ulm"}, {place: "Bonn", ("item", "i", ""): ""}) == {place: "Ulm", ("item", "i", ""): ""}
