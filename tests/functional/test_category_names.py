"""Category names under races: two instances, lagging lists, and reads older than the message."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.documents import category, change, message, product, recent, reference
from tests.functional.failure_cases import FakeTopic
from tests.functional.races import deliver_while, push_body

CHANGED = change("ResourceUpdated", "category", "women")
CREATED = message("CategoryCreated", "category", "women")


def _names(sandbox: Sandbox) -> Mapping[str, str]:
    names: Mapping[str, str] = sandbox.klaviyo.state()["categories"]
    return names


def _rename(sandbox: Sandbox, category_id: str, name: str) -> None:
    sandbox.commercetools.patch("categories", category_id, {"name": {"en-US": name}})


def test_the_path_follows_the_parent_references(sandbox: Sandbox, function: Function) -> None:
    """The path does not depend on the order of `ancestors`: here the parent comes first."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    ancestors = [reference("category", "bags"), reference("category", "women")]
    totes = category("totes", "Totes", ancestors=["women", "bags"]) | {"ancestors": ancestors}
    sandbox.commercetools.put("categories", totes)
    assert function.deliver(message("CategoryCreated", "category", "totes")).outcome == "synced"
    assert _names(sandbox)["totes"] == "Women > Bags > Totes"


def test_a_read_older_than_the_message_is_not_copied(sandbox: Sandbox, function: Function) -> None:
    """If version 4 is read for a message about version 5, the message is retried and nothing is written."""
    sandbox.commercetools.put("categories", category("women", "Women", version=4))
    answer = function.deliver(change("ResourceUpdated", "category", "women", version=5))
    assert (answer.outcome, answer.reason) == ("retried", "stale_read")
    assert function.deliver(CREATED | {"resourceVersion": 5}).reason == "stale_read"
    assert _names(sandbox) == {}
    sandbox.commercetools.put("categories", category("women", "Women", version=5))
    assert function.deliver(change("ResourceUpdated", "category", "women", version=5)).outcome == "synced"


def test_a_created_category_that_can_not_be_read_yet(function: Function) -> None:
    """A recent CategoryCreated without its category is retried; an old one is ignored as deleted in the meantime."""
    assert function.deliver(recent(CREATED)).reason == "not_there_yet"
    assert function.deliver(CREATED).reason == "deleted_meanwhile"


def test_a_category_deleted_during_its_creation(sandbox: Sandbox, serve: Serve) -> None:
    """If another instance handles the deletion first, this one notices in its read after the write, and deletes."""
    function = serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.klaviyo.fail("catalog-categories$", method="POST", delay=0.4)
    answer = deliver_while(
        function,
        sandbox,
        recent(CREATED),
        "get_catalog_categories",
        lambda: sandbox.commercetools.delete("categories", "women"),
    )
    assert answer.reason == "deleted_meanwhile"
    assert _names(sandbox) == {}


@pytest.mark.parametrize("instances", [1, 2])
def test_a_category_renamed_back_while_lists_lag(sandbox: Sandbox, serve: Serve, instances: int) -> None:
    """A name changed back is written although Klaviyo's list still shows it, by the same instance or by another one."""
    functions = [serve() for _ in range(instances)]
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    for category_id in ("women", "bags"):
        functions[0].deliver(message("CategoryCreated", "category", category_id))
    sandbox.klaviyo.lag(5)
    _rename(sandbox, "women", "Ladies")
    assert functions[0].deliver(recent(CHANGED)).outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Bags"}
    _rename(sandbox, "women", "Women")
    back = CHANGED if instances == 1 else recent(CHANGED)
    assert functions[-1].deliver(back).outcome == "synced"
    assert _names(sandbox) == {"women": "Women", "bags": "Women > Bags"}


def test_a_child_created_just_before_its_parent_is_renamed(sandbox: Sandbox, serve: Serve) -> None:
    """A child that another instance has just created is renamed although Klaviyo's list does not show it yet."""
    first, second = serve(), serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    assert first.deliver(CREATED).outcome == "synced"
    sandbox.klaviyo.lag(5)
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    assert first.deliver(recent(message("CategoryCreated", "category", "bags"))).outcome == "synced"
    _rename(sandbox, "women", "Ladies")
    assert second.deliver(recent(CHANGED)).outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Bags"}


def test_a_child_created_while_its_parent_is_renamed(sandbox: Sandbox, serve: Serve) -> None:
    """If a child is created with its parent's old name, its ancestors are read again and the name is corrected."""
    first, second = serve(), serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    assert first.deliver(CREATED).outcome == "synced"
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    sandbox.klaviyo.fail("catalog-categories/?$", method="GET", delay=0.8, count=1)

    def rename() -> None:
        _rename(sandbox, "women", "Ladies")
        assert second.post(push_body(recent(CHANGED))).status_code == ACKNOWLEDGED

    created = message("CategoryCreated", "category", "bags")
    assert deliver_while(first, sandbox, created, "get_catalog_categories", rename).outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Bags"}


def test_a_descendant_renamed_during_its_parents_rename(sandbox: Sandbox, serve: Serve) -> None:
    """An instance that overwrites a descendant's newer name reads the descendants again and corrects it."""
    first, second = serve(), serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    for category_id in ("women", "bags"):
        first.deliver(message("CategoryCreated", "category", category_id))
    _rename(sandbox, "women", "Ladies")
    sandbox.klaviyo.fail("catalog-categories/", method="PATCH", delay=1, count=1)

    def rename() -> None:
        _rename(sandbox, "bags", "Purses")
        done = second.post(push_body(change("ResourceUpdated", "category", "bags", version=2)))
        assert done.status_code == ACKNOWLEDGED

    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(first.deliver, CHANGED)
        while len(sandbox.klaviyo.requests()) < 2:  # both names are read, and the write is delayed
            time.sleep(0.01)
        rename()
        assert answer.result().outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Purses"}


def test_a_descendant_last_named_by_an_older_message(sandbox: Sandbox, serve: Serve) -> None:
    """An older message's name of a child may arrive after a newer message has renamed the whole branch.

    The parent's name then looks as if the branch were finished. The instance that wrote the child corrects it.
    """
    first, second = serve(), serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    for category_id in ("women", "bags"):
        first.deliver(message("CategoryCreated", "category", category_id))
    _rename(sandbox, "women", "Dames")
    sandbox.klaviyo.fail("catalog-categories/[^/]*bags", method="PATCH", delay=1, late=True, count=1)
    sandbox.klaviyo.fail(
        "catalog-categories/[^/]*women", method="PATCH", delay=2, late=True, count=1
    )  # the newer message's
    sandbox.klaviyo.fail(
        "catalog-categories/[^/]*women", method="PATCH", delay=2, count=1
    )  # the older message's, applied immediately
    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(first.post, push_body(CHANGED | {"version": 2}))
        while not any(call["method"] == "PATCH" for call in sandbox.klaviyo.requests()):
            time.sleep(0.01)
        _rename(sandbox, "women", "Ladies")
        assert second.post(push_body(CHANGED | {"version": 3})).status_code == ACKNOWLEDGED
        assert answer.result().status_code == ACKNOWLEDGED
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Bags"}


def test_a_refused_descendant_delays_its_parents_name(
    sandbox: Sandbox, dead_letters: FakeTopic, function: Function
) -> None:
    """If a child is refused, its siblings are renamed and the log names the child. A replay finishes the branch."""
    tree = [category("women", "Women"), *(category(name, name, ancestors=["women"]) for name in ("bags", "shoes"))]
    sandbox.commercetools.put_all({"categories": tree})
    for one in tree:
        function.deliver(message("CategoryCreated", "category", one["id"]))
    _rename(sandbox, "women", "Ladies")
    sandbox.klaviyo.fail("catalog-categories/[^/]*bags", method="PATCH", status=400)
    answer = function.deliver(CHANGED)
    assert (answer.outcome, answer.line["part"]) == ("dead-lettered", "category bags")
    assert len(dead_letters.published) == 1
    assert _names(sandbox) == {"women": "Women", "bags": "Women > bags", "shoes": "Ladies > shoes"}
    sandbox.klaviyo.clear_failures()
    assert function.deliver(CHANGED).outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > bags", "shoes": "Ladies > shoes"}


def test_a_category_created_by_a_products_message(sandbox: Sandbox, serve: Serve) -> None:
    """A category created by a product's message gets its parent's new name, even if the rename came first."""
    first, second = serve(), serve()
    sandbox.commercetools.put("categories", category("women", "Women"))
    assert first.deliver(CREATED).outcome == "synced"
    sandbox.commercetools.put("categories", category("bags", "Bags", ancestors=["women"]))
    sandbox.commercetools.put("products", product("bag", categories=["bags"]))
    sandbox.commercetools.fail("categories/bags$", delay=1.5, count=1)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(first.deliver, message("ProductPublished", "product", "bag"))
        while not _is_read(sandbox):
            time.sleep(0.01)
        _rename(sandbox, "women", "Ladies")
        assert second.post(push_body(recent(CHANGED))).status_code == ACKNOWLEDGED
        assert answer.result().outcome == "synced"
    assert _names(sandbox) == {"women": "Ladies", "bags": "Ladies > Bags"}


def _is_read(sandbox: Sandbox) -> bool:
    return any(call["path"].endswith("/categories/bags") for call in sandbox.commercetools.requests())


def test_waiting_messages_share_a_copy(sandbox: Sandbox, function: Function) -> None:
    """Of eight concurrent messages about one category, the first copies it, and one copies for all that waited."""
    sandbox.commercetools.put("categories", category("women", "Women"))
    function.deliver(CREATED)
    sandbox.klaviyo.fail("catalog-categories/", method="PATCH", delay=0.3)
    sandbox.klaviyo.forget_requests()
    delivery: Mapping[str, Any] = recent(CHANGED)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(function.post, [push_body(delivery)] * 8))
    assert {answer.status_code for answer in answers} == {ACKNOWLEDGED}
    written = [call for call in sandbox.klaviyo.requests() if call["operation"] == "update_catalog_category"]
    assert len(written) == 2
