"""The main uses of the page of `manage.py demo --serve`, by mouse."""

import json

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from commands.page.delivery import Message
from commands.page.outcome_text import TIMES
from commands.page.story import STORY, StoryStep
from sandbox.samples import samples
from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_STEP_MESSAGES + 1
ORDERED = f"Placed Order, 2 {TIMES} Ordered Product"
_EXPECTED = {
    "Take Klaviyo down": (".wait p", "Pub/Sub redelivers the message"),
    "Bring Klaviyo back": (".headline", "on attempt 2"),
    "Send what Klaviyo rejects": (".letter", "Klaviyo rejects the content"),
    "Start a sale": (".price.sale del", "35.00"),
    "Erase a customer": ("#klaviyo-area .note", "erased"),
    "Change Klaviyo by hand": (".report", "variant deleted"),
    "Reconcile": (".report", "fixed"),
    "Load the shop's history": (".report", "Placed Order"),
}
"""What the page shows after a step, by its label; after any other step, a new event on a timeline."""


def test_the_page_explains_the_first_step(page: Page) -> None:
    """Without a click: a summary, the message, what was read and written, the profile, and one main button."""
    assert page.text("#story .lead") == STORY[0].summary
    assert page.text(".headline") == f"Synced to Klaviyo: {ORDERED}."
    received, read, written = page.texts(".three dd")
    assert received.startswith("A customer's order")
    assert read == "the customer, the product"
    assert written == ORDERED
    assert page.text("#profile-name") == "Mira Falkner"
    timeline = page.texts(".timeline .is-new strong")
    assert sorted(timeline) == ["Ordered Product", "Ordered Product", "Placed Order"]
    assert page.all(".two.facts-first") == []
    assert page.texts(".primary:not(dialog *)") == [STORY[1].label]
    assert "If Klaviyo is down" in page.text(".what-if")


def test_clicking_a_sample_shows_its_result(page: Page) -> None:
    """Without reloading the page; Klaviyo's area switches to what the message is about."""
    page.run("window.loadedOnce = true")
    page.click("send-05")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for("#message h3", "ProductPublished")
    page.wait_for("#tab-catalog[aria-selected=true]", "Catalog")
    assert "Linden Leather Tote" in page.text("#klaviyo-area .item .title")
    assert page.text("#klaviyo-area .item .stock") == "164 in stock"
    page.click("item-a0000000-0000-4000-8000-000000000001-summary")
    assert len(page.all(".item details[open] tbody tr")) == 12
    assert page.texts(".item details[open] .in span") == ["Women", "Women > Bags", "Women > Bags > Handbags"]
    assert page.all("img") == []
    assert page.run("return window.loadedOnce") is True


def test_expected_misses_are_quiet(page: Page) -> None:
    """A first publish looks up the variants of a missing item. Nothing is red; variants are one line."""
    page.click("choose-4")
    page.wait_for("#message h3", "ProductPublished")
    steps = page.texts(".steps .text")
    assert "Looked up the item's variants: not in Klaviyo yet" in steps
    assert "Created 12 variants" in steps
    assert page.all(".steps .refused, .steps .retried") == []
    assert len(page.all(".steps .miss")) == 1


def test_json_is_loaded_on_demand(page: Page) -> None:
    """A step opens to the JSON of its calls. Mapped values are marked, copied ones are not."""
    assert page.all(".steps .json") == []
    page.run("document.querySelector('.steps .write summary').click()")
    page.wait(lambda: len(page.all(".steps .json")) == 3, "a box for each event")
    marked = page.texts(".steps .json mark")
    assert '"S-20001"' in marked
    lines = page.texts(".steps .json .l")
    assert any(line.startswith('"orderNumber": "S-20001"') for line in lines)
    marked_lines = page.run(
        "return [...document.querySelectorAll('.steps .l:has(mark)')].map((line) => line.textContent)"
    )
    assert not any("orderNumber" in line for line in marked_lines)


def test_a_value_is_highlighted_with_its_origin(page: Page) -> None:
    """Side by side, while the mouse points at it; "Only mapped values" hides the other lines."""
    page.click("open-sides")
    page.wait(lambda: page.all("#sides section + section mark"), "both sides are shown")
    mark = next(mark for mark in page.all("#sides section + section mark") if mark.text == '"Linden Leather Tote"')
    ActionChains(page.chrome).move_to_element(mark).perform()
    page.wait(lambda: page.all("#sides section:first-child mark.lit"), "the counterparts are highlighted")
    assert {text for text in page.texts("mark.lit") if text} == {
        '"Linden Leather Tote"'
    }  # marks in closed boxes have no text
    ActionChains(page.chrome).move_to_element(page.chrome.find_element(By.ID, "sides-title")).perform()
    page.wait(lambda: not page.all("mark.lit"), "nothing is highlighted")
    page.click("only-marked")
    hidden = "return [...document.querySelectorAll('#sides .l')].filter((line) => !line.offsetParent).length"
    assert page.run(hidden) > 100


def test_each_query_is_shown_with_its_own_response(page: Page) -> None:
    """A product's stock is queried twice, with other predicates: "Side by side" and the steps keep them apart."""
    page.click("choose-4")
    page.wait_for("#message h3", "ProductPublished")
    page.click("open-sides")
    page.wait(lambda: page.all("#sides section + section mark"), "both sides are shown")
    queries = [name for name in page.texts("#sides section:first-child summary") if "/shop/inventory?where=" in name]
    assert len(queries) == len(set(queries)) == 2


def test_any_delivery_can_be_selected(page: Page) -> None:
    """It has its own URL: it stays selected while others arrive and after a reload, and the back button works."""
    page.click("choose-1")
    page.wait_for("#message h3", "CategoryCreated")
    assert page.chrome.current_url.endswith("/?delivery=1")
    page.app_state.send_all()
    page.wait_for_outcome(NEXT, "ignored")
    assert page.texts(".messages a[aria-current] .type") == ["CategoryCreated"]
    page.chrome.refresh()
    page.wait(lambda: page.all("#choose-1[aria-current]"), "a reload keeps the selection")
    page.chrome.back()
    page.wait(lambda: not page.all("#choose-1[aria-current]"), "back selects the latest message")


def _play(page: Page, number: int, step: StoryStep) -> None:
    """Press the main button, and wait for the step's effect."""
    page.wait(lambda: page.text("#next") == step.label, f"step {number} is offered")
    page.click("next")
    page.wait(lambda: page.app_state.steps_played == number, f"step {number} is played")
    page.wait(lambda: not page.all(".messages li.queued"), "all messages are delivered")
    selector, text = _EXPECTED.get(step.label, (".timeline .is-new strong", ""))
    page.wait_for(selector, text)
    page.wait_for("#story .step", f"Step {number} of {len(STORY)}")
    if step.action == "replay":
        page.wait(lambda: not page.all(".letter"), "the dead letter is replayed")


def test_the_story_plays_to_its_end(page: Page) -> None:
    """Each step has the effect that its summary describes, and after the last one the story starts over."""
    for number, step in enumerate(STORY[1:], 2):
        _play(page, number, step)
    page.wait(lambda: page.text("#next") == "Start over", "the story is over")
    page.click("next")
    page.wait(
        lambda: page.app_state.steps_played == 1 and page.text("#story .lead") == STORY[0].summary,
        "the story begins again",
    )


def test_all_samples_can_be_sent_and_reset(page: Page) -> None:
    """Each has its outcome from samples.toml, and the first order is selected. Starting over leaves the first step."""
    expected = [sample.outcome for sample in samples()]
    page.click("send-all")
    classes = "return [...document.querySelectorAll('.messages li')].map((entry) => entry.className)"
    page.wait(lambda: page.run(classes)[::-1][FIRST_STEP_MESSAGES:] == expected, "all have their outcomes")
    page.wait_for("#message h3", "OrderCreated")
    assert page.text("#story .step") == f"You sent all {len(expected)} messages"
    page.click("start-over")
    page.wait(lambda: len(page.all(".messages li")) == FIRST_STEP_MESSAGES, "the other messages are gone")


def test_a_message_delivered_twice_counts_once(page: Page) -> None:
    """Two deliveries of one message create each event once."""
    page.click("twice")
    page.wait_for_outcome(NEXT + 1, "synced")
    assert "duplicate" in page.text(f"#delivery-{NEXT + 1} .type")
    page.wait(lambda: page.texts(".timeline strong").count("Placed Order") == 1, "there is one order")


def test_a_changed_field_shows_its_previous_value(page: Page) -> None:
    """After a customer update, exactly the fields that differ are marked."""
    page.click("send-15")
    page.wait_for("#profile-name", "Mira Falkner-Roth")
    page.wait(lambda: page.texts(".facts .new") == ["changed", "was 0"], "address and points changed")
    assert page.all(".timeline .is-new") == []


def test_markup_in_a_message_is_only_text(page: Page) -> None:
    """A name with HTML is shown literally; it runs and loads nothing."""
    name = '<img src="https://outside.example/x.png" onerror="document.title = 1"><b>&amp;'
    order = json.loads(page.app_state.samples["17"].data)
    order["order"]["billingAddress"]["firstName"] = name
    page.app_state.send(Message("<b>", "<i>", json.dumps(order).encode()))
    page.wait_for("#profile-name", name)
    page.wait_for(".three dd", "<i>.")
    assert page.all("img") == []
    assert page.chrome.title.startswith("commercetools")


def test_the_jobs_report_and_show_what_they_did(page: Page) -> None:
    """Manual changes, reconcile and backfill: the banner has a report, and Klaviyo's area shows the result."""
    page.click("jobs-summary")
    page.click("job-damage")
    page.wait_for(".report", "variant deleted")
    page.wait_for("#profile-name.changed", "Nobody Falkner")
    page.click("jobs-summary")
    page.click("job-reconcile")
    page.wait_for(".report", "items: 1 differed (")
    page.wait_for("#profile-name.changed", "Mira Falkner")
    page.click("jobs-summary")
    page.click("job-damage")
    page.wait_for("#profile-name", "Nobody")
    page.click("jobs-summary")
    page.click("job-backfill")
    page.wait_for(".report", "Placed Order")
    page.wait_for("#klaviyo-area .timeline strong", "Placed Order")
    page.wait(lambda: "Nobody" not in page.text("#profile-name"), "Klaviyo was emptied first")
    page.wait_for("#profile-name .new", "new")
    assert page.all("#klaviyo-area dd.changed") == [], "a loaded profile is new, not a change of one before"
