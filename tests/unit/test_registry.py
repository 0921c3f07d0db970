"""One handler a key."""

import pytest

from core.notification import Notification
from handlers import registry
from handlers.registry import handler_for, handles, registrations
from handlers.services import Services


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


def handler(notification: Notification, services: Services) -> None:
    """Do nothing."""


def test_a_handler_is_found_by_its_keys() -> None:
    """Under each type it was registered for, and under no other."""
    handles("review", "ReviewCreated", "ResourceUpdated")(handler)
    assert handler_for("review", "ReviewCreated") is handler
    assert handler_for("review", "ResourceUpdated") is handler
    assert handler_for("review", "ReviewRatingSet") is None
    assert handler_for("cart", "ReviewCreated") is None
    assert [one.is_change for one in registrations() if one.resource_type == "review"] == [False, True]
    assert all(one.subscribe for one in registrations() if one.resource_type == "review")


def test_a_second_registration_is_an_error() -> None:
    """It says which key is taken, and leaves the first handler in place."""
    handles("review", "ReviewCreated", subscribe=False)(handler)
    with pytest.raises(ValueError, match="review/ReviewCreated has a handler already"):
        handles("review", "ReviewCreated")(lambda _delivery, _services: None)
    assert handler_for("review", "ReviewCreated") is handler
    assert [one.subscribe for one in registrations() if one.resource_type == "review"] == [False]
