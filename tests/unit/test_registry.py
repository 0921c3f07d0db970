"""The registry: one handler per key, consumed while its condition holds."""

import pytest

from core.conditions import Condition, setting
from core.notification import Notification
from core.rules import SyncRules
from handlers import registry
from handlers.registry import Registration, handles, registration_of, registrations
from handlers.services import Services


@pytest.fixture(autouse=True)
def _registry_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


def handler(notification: Notification, services: Services) -> None:
    """Do nothing."""


def _registered(name: str = "ReviewCreated") -> Registration:
    found = registration_of("review", name)
    assert found
    return found


def _rules(**tables: dict[str, object]) -> SyncRules:
    return SyncRules.model_validate(tables)


def test_a_handler_is_found_by_its_keys() -> None:
    """It is found under each type that it was registered for, and under no other."""
    handles("review", "ReviewCreated", "ResourceUpdated")(handler)
    assert _registered().handler is handler
    assert _registered("ResourceUpdated").handler is handler
    assert registration_of("review", "ReviewRatingSet") is None
    assert registration_of("cart", "ReviewCreated") is None
    assert [one.is_change for one in registrations() if one.resource_type == "review"] == [False, True]
    assert all(one.subscribe for one in registrations() if one.resource_type == "review")


def test_a_second_registration_is_an_error() -> None:
    """The error names the key, and the first handler stays registered."""
    handles("review", "ReviewCreated", subscribe=False)(handler)
    with pytest.raises(ValueError, match="review/ReviewCreated has a handler already"):
        handles("review", "ReviewCreated", when=setting("customer.erase"))(lambda _notification, _services: None)
    assert _registered().handler is handler
    assert [one.subscribe for one in registrations() if one.resource_type == "review"] == [False]


def test_without_a_condition_only_disabled_switches_off() -> None:
    """Its own key in `[messages] disabled` switches a message off; another key does not."""
    handles("review", "ReviewCreated")(handler)
    assert _registered().switched_off_by(SyncRules()) is None
    assert _registered().switched_off_by(_rules(messages={"disabled": ["review/ReviewRatingSet"]})) is None
    assert _registered().switched_off_by(_rules(messages={"disabled": ["review/ReviewCreated"]})) == (
        "[messages] disabled"
    )


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [
        (None, None),
        (["view_reviews:shop"], None),
        (["manage_reviews:shop"], None),
        (["manage_project:shop"], None),
        (["view_orders:shop", "view_reviews_of_others:shop"], "CT_SCOPE without view_reviews"),
        ([], "CT_SCOPE without view_reviews"),
    ],
)
def test_a_missing_scope_switches_off(scopes: list[str] | None, reason: str | None) -> None:
    """Only known scopes are checked. A broader scope is enough."""
    handles("review", "ReviewCreated", scope="view_reviews")(handler)
    assert _registered().switched_off_by(SyncRules(), scopes) == reason


def test_a_false_condition_switches_off_with_its_name() -> None:
    """Any predicate on the rules can be a condition. `disabled` is reported first, because it is explicit."""
    handles("review", "ReviewCreated", when=Condition("a hidden product", lambda r: r.product.unpublished == "hide"))(
        handler
    )
    assert _registered().switched_off_by(_rules(product={"unpublished": "hide"})) is None
    assert _registered().switched_off_by(SyncRules()) == "a hidden product"
    assert _registered().switched_off_by(_rules(messages={"disabled": ["review/ReviewCreated"]})) == (
        "[messages] disabled"
    )


@pytest.mark.parametrize(
    ("paths", "tables", "holds"),
    [
        (["customer.erase"], {}, True),
        (["customer.erase"], {"customer": {"erase": False}}, False),
        (["product.brand_attribute"], {}, True),
        (["product.brand_attribute"], {"product": {"brand_attribute": ""}}, False),
        (["order.properties.include"], {}, False),
        (["order.properties.include"], {"order": {"properties": {"include": ["origin"]}}}, True),
        (["customer.clear", "payment.refund_states"], {}, True),
        (["customer.clear", "payment.refund_states"], {"payment": {"refund_states": []}}, False),
    ],
    ids=str,
)
def test_a_setting_is_on_if_true_or_not_empty(
    paths: list[str], tables: dict[str, dict[str, object]], *, holds: bool
) -> None:
    """An empty string or list is off. Of several settings, one is enough."""
    assert setting(*paths).holds(_rules(**tables)) is holds


def test_conditions_name_settings_as_in_sync_toml() -> None:
    """A name has table and key, so that people can find the setting."""
    assert setting("customer.erase").name == "[customer] erase"
    assert setting("order.properties.include", "order.value").name == "[order.properties] include or [order] value"
    assert setting("customer").name == "[customer]"


def test_a_setting_that_does_not_exist_is_an_error() -> None:
    """It is raised when the handler is registered, not when a message arrives."""
    with pytest.raises(AttributeError, match="newsletter"):
        setting("customer.newsletter")
