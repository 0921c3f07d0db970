"""A moved category takes the items of its branch along, if necessary over several deliveries."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.processes import Sandbox
from tests.functional.call_counts import measured
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Answer, Function, Serve
from tests.functional.documents import category, change, message, product, recent
from tests.functional.failure_cases import FakeTopic, Stopwatch
from tests.functional.races import deliver_while, push_body

MOVED = change("ResourceUpdated", "category", "bags", version=2)
TREE = [
    category("women", "Women"),
    category("more", "More", ancestors=["women"]),
    category("men", "Men"),
    category("bags", "Bags", ancestors=["women", "more"]),
    category("totes", "Totes", ancestors=["women", "more", "bags"]),
]


def _fill(sandbox: Sandbox, function: Function, products: Mapping[str, Sequence[str]]) -> None:
    """Create the tree and these products, each with its category ids, in both systems.

    For a minute, this function instance remembers what it wrote; another one has to read Klaviyo.
    """
    documents = [product(product_id, categories=categories) for product_id, categories in products.items()]
    sandbox.commercetools.put_all({"categories": TREE, "products": documents})
    for one in TREE:
        assert function.deliver(message("CategoryCreated", "category", one["id"])).outcome == "synced"
    for product_id in products:
        assert function.deliver(message("ProductPublished", "product", product_id)).outcome == "synced"


def _move(sandbox: Sandbox, *above: str, category_id: str = "bags", version: int = 2) -> None:
    """Move a category below these ancestors. Its descendants come along, with unchanged versions."""
    documents = sandbox.commercetools.state()["documents"]["categories"]
    for one in documents.values():
        ancestors = [ancestor["id"] for ancestor in one["ancestors"]]
        if one["id"] == category_id:
            path, changed = list(above), version
        elif category_id in ancestors:
            path, changed = [*above, *ancestors[ancestors.index(category_id) :]], one["version"]
        else:
            continue
        name = one["name"]["en-US"]
        sandbox.commercetools.put("categories", category(one["id"], name, ancestors=path, version=changed))


def _item_categories(sandbox: Sandbox) -> dict[str, set[str]]:
    return {own: set(item["categories"]) for own, item in sandbox.klaviyo.state()["items"].items()}


def _deliver_until_acknowledged(function: Function, delivery: Mapping[str, Any]) -> list[Answer]:
    answers: list[Answer] = []
    while not answers or answers[-1].status == REFUSED:
        assert len(answers) < 40, answers[-1].line
        answers.append(function.deliver(delivery))
    return answers


@pytest.mark.parametrize(
    ("above", "path"),
    [
        (["men"], "Men > Bags"),
        (["women"], "Women > Bags"),
        (["women", "more", "new"], "Women > More > New > Bags"),
        ([], "Bags"),
    ],
    ids=["elsewhere", "up", "down", "to the root"],
)
def test_items_move_with_their_category(sandbox: Sandbox, serve: Serve, above: list[str], path: str) -> None:
    """Items leave the old ancestors and join the new ones; other items stay. The moved category's name comes last."""
    _fill(sandbox, serve(), {"bag": ["bags"], "tote": ["totes", "men"], "other": ["more"]})
    sandbox.commercetools.put("categories", category("new", "New", ancestors=["women", "more"]))
    _move(sandbox, *above)
    done = measured(sandbox, serve(), MOVED)
    assert done.outcome == "synced"
    assert _item_categories(sandbox) == {
        "bag": {*above, "bags"},
        "tote": {*above, "bags", "totes", "men"},
        "other": {"women", "more"},
    }
    assert (done.state["categories"]["bags"], done.state["categories"]["totes"]) == (path, f"{path} > Totes")
    patched = [call["path"].rsplit(":", 1)[1] for call in sandbox.klaviyo.requests() if call["method"] == "PATCH"]
    assert [*sorted(patched[:2]), *patched[2:]] == ["bag", "tote", "totes", "bags"], (
        "the moved category's own name must be written last"
    )


def test_the_calls_of_a_move(sandbox: Sandbox, function: Function) -> None:
    """A move reads the category and its descendants twice, and one page of products.

    In Klaviyo it reads the list of categories three times, and the item ids of two categories.
    """
    _fill(sandbox, function, {"bag": ["bags"]})
    _move(sandbox, "men")
    done = measured(sandbox, function, MOVED)
    category_reads = [name for name in done.read if name.startswith("categories.")]
    assert category_reads == ["categories.get", *["categories.query"] * 2, "categories.get"]
    assert done.read.count("product-projections.query") == 1
    assert done.written.count("get_item_ids_for_catalog_category") == 2
    assert done.written.count("get_catalog_categories") == 3
    assert done.written.count("update_catalog_item") == 1


def test_a_large_branch_takes_several_deliveries(
    sandbox: Sandbox, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """Each delivery continues where the last one stopped, and the category's name is written after the last item."""
    function = serve()
    _fill(sandbox, function, {f"bag-{number:02}": ["bags"] for number in range(40)})
    impatient = serve(SYNC_CONFIG=settings_file("[limits]\nmessage_seconds = 3\n"))
    _move(sandbox, "men")
    sandbox.klaviyo.fail("catalog-items/[^/]*$", method="PATCH", delay=0.6)
    sandbox.klaviyo.forget_requests()
    answers = _deliver_until_acknowledged(impatient, MOVED)
    assert len(answers) > 1
    assert all(categories == {"men", "bags"} for categories in _item_categories(sandbox).values())
    calls = sandbox.klaviyo.requests()
    assert sum(answer.line["calls"]["klaviyo"] for answer in answers) == len(calls)
    written = [call for call in calls if call["operation"] == "update_catalog_item" and call["status"] == 200]
    assert 40 <= len(written) <= 40 + 8 * len(answers), "only items in flight at a timeout may be written twice"
    assert calls[-1]["path"].endswith("bags")
    assert [call["operation"] for call in calls].count("update_catalog_category") == 2


def test_a_refused_item_delays_the_new_name(sandbox: Sandbox, dead_letters: FakeTopic, function: Function) -> None:
    """If an item is refused, the others move and the message is dead-lettered. A replay finishes the branch."""
    _fill(sandbox, function, {"bag-1": ["bags"], "bag-2": ["totes"], "bag-3": ["bags"]})
    _move(sandbox, "men")
    sandbox.klaviyo.fail("catalog-items/[^/]*bag-1$", method="PATCH", status=400)
    answer = function.deliver(MOVED)
    assert (answer.status, answer.outcome, answer.line["part"]) == (
        ACKNOWLEDGED,
        "dead-lettered",
        "item of product bag-1",
    )
    assert len(dead_letters.published) == 1
    assert [own for own, categories in _item_categories(sandbox).items() if "men" in categories] == ["bag-2", "bag-3"]
    names = sandbox.klaviyo.state()["categories"]
    assert (names["bags"], names["totes"]) == ("Women > More > Bags", "Men > Bags > Totes")
    sandbox.klaviyo.clear_failures()
    assert function.deliver(MOVED).outcome == "synced"
    assert _item_categories(sandbox)["bag-1"] == {"men", "bags"}
    assert sandbox.klaviyo.state()["categories"]["bags"] == "Men > Bags"


def test_a_message_about_the_new_parent_that_comes_first(sandbox: Sandbox, function: Function) -> None:
    """If the new parent's message is handled before the moved category's, the items still move."""
    _fill(sandbox, function, {"bag": ["bags"], "tote": ["totes"]})
    _move(sandbox, "men")
    sandbox.commercetools.patch("categories", "men", {"name": {"en-US": "Gents"}})
    assert function.deliver(change("ResourceUpdated", "category", "men", version=2)).outcome == "synced"
    assert function.deliver(MOVED).outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"men", "bags"}, "tote": {"men", "bags", "totes"}}
    assert sandbox.klaviyo.state()["categories"]["totes"] == "Gents > Bags > Totes"


def test_an_item_refused_in_the_new_parents_message(sandbox: Sandbox, dead_letters: FakeTopic, serve: Serve) -> None:
    """The moved category keeps its old name, so its own message still moves an item that was refused before."""
    _fill(sandbox, serve(), {"bag": ["bags"]})
    function = serve()
    _move(sandbox, "men")
    sandbox.commercetools.patch("categories", "men", {"name": {"en-US": "Gents"}})
    sandbox.klaviyo.fail("catalog-items/", method="PATCH", status=400)
    answer = function.deliver(change("ResourceUpdated", "category", "men", version=2))
    assert (answer.outcome, len(dead_letters.published)) == ("dead-lettered", 1)
    names = sandbox.klaviyo.state()["categories"]
    assert (names["men"], names["bags"]) == ("Men", "Women > More > Bags")
    sandbox.klaviyo.clear_failures()
    assert function.deliver(MOVED).outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"men", "bags"}}


def test_items_leave_a_category_that_was_renamed(sandbox: Sandbox, serve: Serve) -> None:
    """If no category in Klaviyo has the old path any more, each item is read, and only wrong ones are written."""
    function = serve()
    _fill(sandbox, function, {"bag": ["bags"], "right": ["bags"]})
    _move(sandbox, "women")
    assert function.deliver(message("ProductPublished", "product", "right")).outcome == "synced"
    sandbox.commercetools.patch("categories", "more", {"name": {"en-US": "Other"}})
    assert function.deliver(change("ResourceUpdated", "category", "more", version=2)).outcome == "synced"
    done = measured(sandbox, serve(), MOVED)
    assert done.outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"women", "bags"}, "right": {"women", "bags"}}
    assert done.written.count("update_catalog_item") == 1


def test_a_category_moved_back_while_lists_lag(sandbox: Sandbox, function: Function) -> None:
    """A category that moves away and back is right even while Klaviyo's lists still show its items where they were."""
    _fill(sandbox, function, {"bag": ["bags"]})
    sandbox.klaviyo.lag(5)
    _move(sandbox, "men")
    assert function.deliver(MOVED).outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"men", "bags"}}
    _move(sandbox, "women", "more", version=3)
    assert function.deliver(change("ResourceUpdated", "category", "bags", version=3)).outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"women", "more", "bags"}}
    assert sandbox.klaviyo.state()["categories"]["bags"] == "Women > More > Bags"


def test_a_move_before_the_list_shows_the_category(sandbox: Sandbox, serve: Serve) -> None:
    """Items move even while Klaviyo's list lacks their category: it is not mistaken for a new one without items."""
    first, second = serve(), serve()
    sandbox.klaviyo.lag(5)
    _fill(sandbox, first, {"bag": ["bags"]})
    _move(sandbox, "men")
    assert second.deliver(recent(MOVED)).outcome == "synced"
    assert _item_categories(sandbox) == {"bag": {"men", "bags"}}
    assert sandbox.klaviyo.state()["categories"]["bags"] == "Men > Bags"


def test_a_descendant_that_moves_away_during_a_rename(sandbox: Sandbox, serve: Serve) -> None:
    """A descendant is read again after its rename: another instance may have moved it before the old name arrived."""
    first, second = serve(), serve()
    _fill(sandbox, first, {"tote": ["totes"]})
    sandbox.commercetools.patch("categories", "bags", {"name": {"en-US": "Purses"}})
    sandbox.klaviyo.fail("catalog-categories/", method="PATCH", delay=1, late=True, count=1)
    sandbox.klaviyo.forget_requests()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(first.deliver, MOVED)
        while not any(call["method"] == "PATCH" for call in sandbox.klaviyo.requests()):
            time.sleep(0.01)
        _move(sandbox, "men", category_id="totes")
        totes = change("ResourceUpdated", "category", "totes", version=2)
        assert second.post(push_body(recent(totes))).status_code == ACKNOWLEDGED
        assert answer.result().outcome == "synced"
    names = sandbox.klaviyo.state()["categories"]
    assert (names["bags"], names["totes"]) == ("Women > More > Purses", "Men > Totes")
    assert _item_categories(sandbox) == {"tote": {"men", "totes"}}


def test_a_move_does_not_block_other_categories(sandbox: Sandbox, function: Function) -> None:
    """While the items of a branch move slowly, another category's message is handled within two seconds."""
    _fill(sandbox, function, {"bag": ["bags"]})
    _move(sandbox, "men")
    sandbox.commercetools.put("categories", category("home", "Home"))
    sandbox.klaviyo.fail("catalog-items/[^/]*$", method="PATCH", delay=4)
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(function.deliver, MOVED)
        while not any(call["operation"] == "get_item_ids_for_catalog_category" for call in sandbox.klaviyo.requests()):
            time.sleep(0.01)
        watch = Stopwatch()
        assert function.post(push_body(message("CategoryCreated", "category", "home"))).status_code == ACKNOWLEDGED
        assert watch.seconds < 2
        assert moving.result().outcome == "synced"


def test_a_product_read_before_its_category_moved(sandbox: Sandbox, serve: Serve) -> None:
    """An instance that writes an item with outdated categories reads them again afterwards and corrects the item."""
    first, second = serve(), serve()
    _fill(sandbox, first, {"bag": ["bags"]})
    sandbox.klaviyo.fail("catalog-items/[^/]*/variants", method="GET", delay=1, count=1)

    def move() -> None:
        _move(sandbox, "men")
        assert second.post(push_body(MOVED)).status_code == ACKNOWLEDGED

    deliver_while(first, sandbox, message("ProductPublished", "product", "bag"), "get_variants_for_catalog_item", move)
    assert _item_categories(sandbox) == {"bag": {"men", "bags"}}
