"""The main ways through the page of `manage.py demo --serve`, by mouse."""

import json

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from commands.page.delivery import Message
from commands.page.outcome_text import TIMES
from commands.page.story import ACTS, Act
from sandbox.samples import samples
from tests.functional.page.browser import FIRST_ACT, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_ACT + 1
ORDERED = f"Placed Order, 2 {TIMES} Ordered Product"
_SEEN = {
    "Take Klaviyo down": (".wait p", "Pub/Sub delivers it again"),
    "Bring Klaviyo back": (".headline", "At attempt 2"),
    "Send what Klaviyo refuses": (".letter", "Klaviyo refuses the content"),
    "Start a sale": (".price.sale del", "35.00"),
    "Erase a customer": ("#held .note", "erased"),
    "Damage Klaviyo by hand": (".report", "variant deleted"),
    "Reconcile": (".report", "mended"),
    "Load the shop's past": (".report", "Placed Order"),
}
"""What is seen after an act; after the others a new event on a timeline."""


def test_the_first_look_shows_what_happened(page: Page) -> None:
    """Without a click: a sentence, what came in, what was read and written, the profile, and one main button."""
    assert page.text("#story .lead") == ACTS[0].told
    assert page.text(".headline") == f"Klaviyo has it: {ORDERED}."
    came, read, written = page.texts(".three dd")
    assert came.startswith("A customer's order")
    assert read == "the customer, the product"
    assert written == ORDERED
    assert page.text("#profile-name") == "Mira Falkner"
    timeline = page.texts(".timeline .is-new strong")
    assert sorted(timeline) == ["Ordered Product", "Ordered Product", "Placed Order"]
    assert page.all(".two.facts-first") == []
    assert page.texts(".primary:not(dialog *)") == [ACTS[1].label]
    assert "If Klaviyo is down" in page.text(".what-if")


def test_a_sample_is_clicked_and_shows_what_it_became(page: Page) -> None:
    """The page is not loaded again; the area of Klaviyo follows what the message is about."""
    page.run("window.loadedOnce = true")
    page.click("send-05")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for("#message h3", "ProductPublished")
    page.wait_for("#tab-catalog[aria-selected=true]", "Catalog")
    assert "Linden Leather Tote" in page.text("#held .item .title")
    assert page.text("#held .item .stock") == "164 in stock"
    page.click("item-a0000000-0000-4000-8000-000000000001-summary")
    assert len(page.all(".item details[open] tbody tr")) == 12
    assert page.texts(".item details[open] .in span") == ["Women", "Women > Bags", "Women > Bags > Handbags"]
    assert page.all("img") == []
    assert page.run("return window.loadedOnce") is True


def test_expected_misses_are_quiet(page: Page) -> None:
    """The first publish of a product asks for what is not there yet: no red, and the variants are one line."""
    page.click("choose-4")
    page.wait_for("#message h3", "ProductPublished")
    steps = page.texts(".steps .text")
    assert "Looked up the item: not there yet" in steps
    assert "Created 12 variants" in steps
    assert page.all(".steps .refused, .steps .again") == []
    assert len(page.all(".steps .miss")) == 1


def test_json_comes_on_demand(page: Page) -> None:
    """A step opens and has the JSON of its calls, with what was mapped marked and what was copied plain."""
    assert page.all(".steps .json") == []
    page.run("document.querySelector('.steps .write summary').click()")
    page.wait(lambda: len(page.all(".steps .json")) == 3, "a box for each event")
    marked = page.texts(".steps .json mark")
    assert '"S-20001"' in marked
    lines = page.texts(".steps .json .l")
    assert any(line.startswith('"orderNumber": "S-20001"') for line in lines)
    marked_lines = page.run(
        "return [...document.querySelectorAll('.steps .l:has(mark)')].map((one) => one.textContent)"
    )
    assert not any("orderNumber" in line for line in marked_lines)


def test_a_value_and_where_it_came_from_light_up_together(page: Page) -> None:
    """Side by side, under the mouse and with the arrow keys."""
    page.click("open-sides")
    page.wait(lambda: page.all("#sides section + section mark"), "both sides are there")
    mark = next(one for one in page.all("#sides section + section mark") if one.text == '"Linden Leather Tote"')
    ActionChains(page.chrome).move_to_element(mark).perform()
    page.wait(lambda: page.all("#sides section:first-child mark.lit"), "the counterparts are lit")
    assert {text for text in page.texts("mark.lit") if text} == {'"Linden Leather Tote"'}  # some are in closed boxes
    ActionChains(page.chrome).move_to_element(page.chrome.find_element(By.ID, "sides-title")).perform()
    page.wait(lambda: not page.all("mark.lit"), "nothing is lit")
    page.click("only-marked")
    hidden = "return [...document.querySelectorAll('#sides .l')].filter((line) => !line.offsetParent).length"
    assert page.run(hidden) > 100


def test_any_delivery_can_be_looked_at(page: Page) -> None:
    """A link with an address of its own; back goes back, and what comes meanwhile does not take it away."""
    page.click("choose-1")
    page.wait_for("#message h3", "CategoryCreated")
    assert page.chrome.current_url.endswith("/?delivery=1")
    page.stage.send_all()
    page.wait_for_outcome(NEXT, "ignored")
    assert page.texts(".messages a[aria-current] .type") == ["CategoryCreated"]
    page.chrome.refresh()
    page.wait(lambda: page.all("#choose-1[aria-current]"), "a reload shows the same")
    page.chrome.back()
    page.wait(lambda: not page.all("#choose-1[aria-current]"), "back is what was sent last")


def _play(page: Page, number: int, act: Act) -> None:
    """Press the button, and wait for what the act tells of."""
    page.wait(lambda: page.text("#next") == act.label, f"act {number} is offered")
    page.click("next")
    page.wait(lambda: page.stage.acts_done == number, f"act {number} is played")
    page.wait(lambda: not page.all(".messages li.queued"), "all is delivered")
    selector, text = _SEEN.get(act.label, (".timeline .is-new strong", ""))
    page.wait_for(selector, text)
    if act.deed == "replay":
        page.wait(lambda: not page.all(".letter"), "the letter is replayed")


def test_the_story_is_told_to_its_end(page: Page) -> None:
    """One button after the other: each act has the effect that it tells of, and then it starts over."""
    for number, act in enumerate(ACTS[1:], 2):
        _play(page, number, act)
    page.wait(lambda: page.text("#next") == "Start over", "it is over")
    page.click("next")
    page.wait(lambda: page.stage.acts_done == 1 and page.text("#story .lead") == ACTS[0].told, "it begins again")


def test_all_samples_are_sent_and_forgotten_again(page: Page) -> None:
    """Each ends as samples.toml says; the order is shown, not the last of them; starting over leaves the first act."""
    expected = [sample.outcome for sample in samples()]
    page.click("send-all")
    classes = "return [...document.querySelectorAll('.messages li')].map((entry) => entry.className)"
    page.wait(lambda: page.run(classes)[::-1][FIRST_ACT:] == expected, "all have their outcome")
    page.wait_for("#message h3", "OrderCreated")
    assert page.text("#story .step") == f"You sent all {len(expected)}"
    page.click("start-over")
    page.wait(lambda: len(page.all(".messages li")) == FIRST_ACT, "the others are forgotten")


def test_a_message_delivered_twice_counts_once(page: Page) -> None:
    """Two deliveries of one message, one event each."""
    page.click("twice")
    page.wait_for_outcome(NEXT + 1, "synced")
    assert "again" in page.text(f"#delivery-{NEXT + 1} .type")
    page.wait(lambda: page.texts(".timeline strong").count("Placed Order") == 1, "one order")


def test_what_changed_is_marked_with_what_it_was(page: Page) -> None:
    """A customer's update: the fields that differ, and no other."""
    page.click("send-15")
    page.wait_for("#profile-name", "Mira Falkner-Roth")
    page.wait(lambda: page.texts(".facts .new") == ["changed", "was 0"], "address and points changed")
    assert page.all(".timeline .is-new") == []


def test_what_a_document_says_is_only_text(page: Page) -> None:
    """A name with markup is shown as it is; it neither runs nor loads anything."""
    name = '<img src="https://outside.example/x.png" onerror="document.title = 1"><b>&amp;'
    order = json.loads(page.stage.samples["17"].data)
    order["order"]["billingAddress"]["firstName"] = name
    page.stage.send(Message("<b>", "<i>", json.dumps(order).encode()))
    page.wait_for("#profile-name", name)
    page.wait_for(".three dd", "<i>.")
    assert page.all("img") == []
    assert page.chrome.title.startswith("commercetools")


def test_damage_is_mended_and_the_past_is_loaded(page: Page) -> None:
    """The jobs of the account's menu say what they did, and Klaviyo's side shows it."""
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
    page.click("job-past")
    page.wait_for(".report", "Placed Order")
    page.wait_for("#held .timeline strong", "Placed Order")
    page.wait(lambda: "Nobody" not in page.text("#profile-name"), "the account was emptied first")
