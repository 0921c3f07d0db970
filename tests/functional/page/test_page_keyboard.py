"""The page without a mouse."""

import pytest
from selenium.webdriver import Keys

from tests.functional.page.browser import FIRST_ACT, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_ACT + 1
_STOPS = """
const seen = (element) => element.checkVisibility({visibilityProperty: true}) && !element.closest("dialog:not([open])");
return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((element) => element.tabIndex >= 0 && seen(element)).length;
"""


def test_the_filter_finds_a_sample_and_enter_sends_it(page: Page) -> None:
    """The slash goes to the filter, the arrow into the list, Enter sends; the focus stays where it was."""
    page.press("/")
    assert page.focused() == "filter"
    page.press("guest", Keys.ARROW_DOWN)
    assert page.focused() == "send-17"
    page.press(Keys.ENTER)
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".headline", "Klaviyo has it")
    assert page.focused() == "send-17"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_filter_says_how_many_it_found(page: Page) -> None:
    """Groups without a match go; Escape brings all back."""
    page.press("/", "parcel tracking")
    assert page.text("#filter-count") == f"{len(page.all('#samples li:not([hidden])'))} found"
    assert 0 < len(page.all("#samples li:not([hidden])")) < 10
    page.press(Keys.ESCAPE)
    assert len(page.all("#samples li:not([hidden])")) == len(page.stage.samples)
    page.press("nothing has this")
    assert page.text("#no-sample") == "No message has these words."


def test_lists_are_one_stop_each(page: Page) -> None:
    """Tab passes the samples and the messages in one step each; the arrows move inside."""
    assert page.run(_STOPS) < 40
    page.run("document.getElementById('choose-7').focus()")
    page.press(Keys.ARROW_DOWN)
    assert page.focused() == "choose-6"
    page.press(Keys.END)
    assert page.focused() == "choose-1"
    page.press(Keys.ENTER)
    page.wait_for("#message h3", "CategoryCreated")
    assert page.focused() == "choose-1"


def test_the_story_goes_on_with_a_key(page: Page) -> None:
    """`n` plays the next act, not while somebody writes."""
    page.press("n")
    page.wait(lambda: page.stage.acts_done == 2, "the second act is played")
    page.press("/", "n")
    page.wait(lambda: page.run("return document.getElementById('filter').value") == "n", "it is written")
    assert page.stage.acts_done == 2


def test_a_failure_is_chosen_and_left_with_keys(page: Page) -> None:
    """The menu opens with Enter, the arrows go through it, Enter chooses, Escape closes; the focus comes back."""
    page.run("document.getElementById('failures-summary').focus()")
    page.press(Keys.ENTER, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.focused() == "fault-throttled"
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#failures .chip.bad"), "it is switched on")
    page.wait(lambda: page.focused() == "failures-summary", "the focus comes back")
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#failures[open]"), "the menu is open")
    page.press(Keys.ESCAPE)
    assert page.all("#failures[open]") == []
    assert page.focused() == "failures-summary"


def test_tabs_and_dialogs_answer_to_keys(page: Page) -> None:
    """Arrow keys choose a tab; a dialog takes the focus and gives it back."""
    page.run("document.getElementById('tab-people').focus()")
    page.press(Keys.ARROW_RIGHT)
    page.wait_for("#tab-catalog[aria-selected=true]", "Catalog")
    page.wait(lambda: page.focused() == "tab-catalog", "the focus is on the chosen tab")
    page.run("document.getElementById('open-own').focus()")
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused() == "own-text", "one can write at once")
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.focused() == "open-own", "the focus comes back")


def test_what_happened_is_told_to_a_screen_reader(page: Page) -> None:
    """One polite sentence after each action."""
    page.click("send-17")
    page.wait_for_outcome(NEXT, "synced")
    page.wait(lambda: "Klaviyo has it: Placed Order" in page.run("return live.textContent"), "it is told")
