"""How the page looks: screen sizes, themes, and an accessibility check of its main states."""

import importlib.resources
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.browser import resize, set_colour_scheme
from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

pytestmark = pytest.mark.xdist_group("browser")

SIZES = ((390, 844), (768, 1024), (1280, 860), (1920, 1080))
NEXT = FIRST_STEP_MESSAGES + 1
_OVERFLOWING = """
const scrolls = (element) => element.closest("pre, textarea, .sr, .skip, dialog:not([open])");
return [...document.querySelectorAll("body *")]
  .filter((element) => !scrolls(element) && element.checkVisibility()
    && (element.getBoundingClientRect().right > arguments[0] + 1 || element.getBoundingClientRect().left < -1))
  .map((element) => element.outerHTML.slice(0, 160));
"""
_AXE = """
const done = arguments[arguments.length - 1];
const htmlOf = (nodes) => nodes.map((node) => node.html.slice(0, 160)).join(" | ");
const describe = (violation) => `${violation.impact} ${violation.id}: ${htmlOf(violation.nodes)}`;
axe.run(document, {resultTypes: ["violations"]})
  .then((result) => done(result.violations.map(describe)), (error) => done([`${error}`]));
"""


def _first(page: Page) -> None:
    page.wait_for(".timeline .is-new strong")


def _waiting(page: Page) -> None:
    page.click("try")
    page.wait_for(".wait p", "Pub/Sub redelivers the message")


def _letter(page: Page) -> None:
    page.app_state.inject_fault("refused")
    page.click("send-17")
    page.wait_for(".letter")


def _catalog(page: Page) -> None:
    page.click("tab-catalog")
    page.wait_for("#klaviyo-area .item .title")


def _sides(page: Page) -> None:
    page.click("open-sides")
    page.wait(lambda: page.all("#sides mark"), "both sides are shown")


def _settings(page: Page) -> None:
    page.click("open-settings")
    page.wait(lambda: page.all("#settings[open]"), "the dialog is open")


def _menu(page: Page) -> None:
    page.click("failures-summary")


def _json(page: Page) -> None:
    page.run("document.querySelector('.steps .write summary').click()")
    page.wait(lambda: page.all(".steps .json"), "the JSON is shown")


def _own(page: Page) -> None:
    page.click("open-own")
    page.wait(lambda: page.all("#own[open]"), "the dialog is open")


def _tools(page: Page) -> None:
    page.click("jobs-summary")


STATES = (_first, _waiting, _letter, _catalog, _sides, _settings, _own, _menu, _tools, _json)


@pytest.mark.parametrize("state", STATES)
def test_it_fits_every_screen_in_both_themes(page: Page, state: Callable[[Page], None]) -> None:
    """No element is wider than the screen, and the background is light or dark as the browser prefers."""
    state(page)
    for scheme, (width, height) in itertools.product(("light", "dark"), SIZES):
        set_colour_scheme(page.chrome, scheme)
        resize(page.chrome, width, height)
        for view in ("shop", "function", "klaviyo"):
            page.run("document.body.dataset.view = arguments[0]", view)
            assert page.run("return document.documentElement.scrollWidth") <= width
            assert page.run(_OVERFLOWING, width) == []
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert red > 200 if scheme == "light" else red < 60


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_no_violation(page: Page, state: Callable[[Page], None]) -> None:
    """Of any severity, in both themes, on a phone and on a usual screen."""
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    state(page)
    page.run(axe)
    for scheme, (width, height) in itertools.product(("light", "dark"), (SIZES[0], SIZES[2])):
        set_colour_scheme(page.chrome, scheme)
        resize(page.chrome, width, height)
        assert page.chrome.execute_async_script(_AXE) == []


def test_a_phone_shows_one_area_at_a_time(page: Page) -> None:
    """Klaviyo is one tap away, and a message sent from the shop's list is shown immediately."""
    resize(page.chrome, *SIZES[0])
    visible = "return ['shop', 'function', 'klaviyo-now'].filter((id) => document.getElementById(id).checkVisibility())"
    assert page.run(visible) == ["function"]
    page.all(".areas [data-view=klaviyo]")[0].click()
    assert page.run(visible) == ["klaviyo-now"]
    assert page.run("return document.getElementById('klaviyo-now').getBoundingClientRect().top") < 500
    page.all(".areas [data-view=shop]")[0].click()
    assert page.run(visible) == ["shop"]
    page.click("send-17")
    page.wait_for_outcome(NEXT, "synced")
    assert page.run(visible) == ["function"]


def test_a_phone_shows_that_klaviyo_has_changed(page: Page) -> None:
    """A dot on Klaviyo's button, until it is tapped."""
    resize(page.chrome, *SIZES[0])
    page.all(".areas [data-view=klaviyo]")[0].click()
    page.all(".areas [data-view=shop]")[0].click()
    badge = page.all("#klaviyo-badge")[0]
    assert not badge.is_displayed()
    page.click("send-17")
    page.wait(badge.is_displayed, "the badge is shown")
    page.wait_for_outcome(NEXT, "synced")
    page.all(".areas [data-view=klaviyo]")[0].click()
    assert not badge.is_displayed()


@pytest.mark.parametrize(("name", "width"), [("page.png", 1280), ("page-outage.png", 1280)])
def test_the_docs_screenshots_have_the_right_size(name: str, width: int) -> None:
    """As wide as the page is shown, and small enough for a README."""
    picture = (Path(__file__).parents[3] / "docs" / name).read_bytes()
    assert int.from_bytes(picture[16:20]) == width
    assert len(picture) < 300_000
