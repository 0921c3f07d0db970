"""The page by keyboard and screen reader."""

import pytest
from selenium.webdriver import Keys

from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_STEP_MESSAGES + 1
_COUNT_TAB_STOPS = """
const visible = (element) => element.checkVisibility({visibilityProperty: true})
  && !element.closest("dialog:not([open])");
return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((element) => element.tabIndex >= 0 && visible(element)).length;
"""


def test_the_filter_finds_a_sample_and_enter_sends_it(page: Page) -> None:
    """The slash focuses the filter, the arrow key enters the list, Enter sends; the focus stays on the sample."""
    page.press("/")
    assert page.focused() == "filter"
    page.press("guest", Keys.ARROW_DOWN)
    assert page.focused() == "send-17"
    page.press(Keys.ENTER)
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".headline", "Synced to Klaviyo")
    assert page.focused() == "send-17"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_filter_shows_how_many_match(page: Page) -> None:
    """Groups without a match are hidden; Escape clears the filter."""
    page.press("/", "parcel tracking")
    assert page.text("#filter-count") == f"{len(page.all('#samples li:not([hidden])'))} found"
    assert 0 < len(page.all("#samples li:not([hidden])")) < 10
    page.press(Keys.ESCAPE)
    assert len(page.all("#samples li:not([hidden])")) == len(page.app_state.samples)
    page.press("nothing like this")
    assert page.text("#no-sample") == "No message matches."


def test_each_list_is_one_tab_stop(page: Page) -> None:
    """Tab passes the samples and the messages in one step each; arrow keys move inside a list."""
    assert page.run(_COUNT_TAB_STOPS) < 40
    page.run("document.getElementById('choose-7').focus()")
    page.press(Keys.ARROW_DOWN)
    assert page.focused() == "choose-6"
    page.press(Keys.END)
    assert page.focused() == "choose-1"
    page.press(Keys.ENTER)
    page.wait_for("#message h3", "CategoryCreated")
    assert page.focused() == "choose-1"


def test_a_key_plays_the_next_step(page: Page) -> None:
    """`n` plays the next step, except while typing."""
    page.press("n")
    page.wait(lambda: page.app_state.steps_played == 2, "the second step is played")
    page.press("/", "n")
    page.wait(lambda: page.run("return document.getElementById('filter').value") == "n", "the letter is typed")
    assert page.app_state.steps_played == 2


def test_the_failures_menu_works_by_keyboard(page: Page) -> None:
    """Enter opens the menu, arrow keys move through it, Enter chooses, Escape closes; the focus returns to the menu."""
    page.run("document.getElementById('failures-summary').focus()")
    page.press(Keys.ENTER, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.focused() == "fault-throttled"
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#failures .chip.bad"), "the failure is switched on")
    page.wait(lambda: page.focused() == "failures-summary", "the focus returns")
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#failures[open]"), "the menu is open")
    page.press(Keys.ESCAPE)
    assert page.all("#failures[open]") == []
    assert page.focused() == "failures-summary"


def test_tabs_and_dialogs_work_by_keyboard(page: Page) -> None:
    """Arrow keys switch tabs; a dialog takes the focus and returns it when it closes."""
    page.run("document.getElementById('tab-people').focus()")
    page.press(Keys.ARROW_RIGHT)
    page.wait_for("#tab-catalog[aria-selected=true]", "Catalog")
    page.wait(lambda: page.focused() == "tab-catalog", "the focus is on the selected tab")
    page.run("document.getElementById('open-own').focus()")
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused() == "own-text", "the text field has the focus")
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.focused() == "open-own", "the focus returns")


def test_a_screen_reader_hears_what_happened(page: Page) -> None:
    """A live region announces one sentence after each action."""
    page.click("send-17")
    page.wait_for_outcome(NEXT, "synced")
    page.wait(lambda: "Synced to Klaviyo: Placed Order" in page.run("return live.textContent"), "it is announced")
