"""How the page looks: sizes, themes, and what an accessibility checker says of its main states."""

import importlib.resources
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.browser import resize, set_colour_scheme
from tests.functional.page.browser import FIRST_ACT, Page

pytestmark = pytest.mark.xdist_group("browser")

SIZES = ((390, 844), (768, 1024), (1280, 860), (1920, 1080))
NEXT = FIRST_ACT + 1
_BEYOND = """
const scrolls = (element) => element.closest("pre, textarea, .sr, .skip, dialog:not([open])");
return [...document.querySelectorAll("body *")]
  .filter((element) => !scrolls(element) && element.checkVisibility()
    && (element.getBoundingClientRect().right > arguments[0] + 1 || element.getBoundingClientRect().left < -1))
  .map((element) => element.outerHTML.slice(0, 160));
"""
_AXE = """
const done = arguments[arguments.length - 1];
const told = (one) => `${one.impact} ${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`;
axe.run(document, {resultTypes: ["violations"]})
  .then((found) => done(found.violations.map(told)), (error) => done([`${error}`]));
"""


def _first(page: Page) -> None:
    page.wait_for(".timeline .is-new strong")


def _waiting(page: Page) -> None:
    page.click("try")
    page.wait_for(".wait p", "Pub/Sub delivers it again")


def _letter(page: Page) -> None:
    page.stage.arm("refused")
    page.click("send-17")
    page.wait_for(".letter")


def _catalog(page: Page) -> None:
    page.click("tab-catalog")
    page.wait_for("#held .item .title")


def _sides(page: Page) -> None:
    page.click("open-sides")
    page.wait(lambda: page.all("#sides mark"), "both sides are there")


def _settings(page: Page) -> None:
    page.click("open-settings")
    page.wait(lambda: page.all("#settings[open]"), "the dialog is open")


def _menu(page: Page) -> None:
    page.click("failures-summary")


def _json(page: Page) -> None:
    page.run("document.querySelector('.steps .write summary').click()")
    page.wait(lambda: page.all(".steps .json"), "the JSON is there")


def _own(page: Page) -> None:
    page.click("open-own")
    page.wait(lambda: page.all("#own[open]"), "the dialog is open")


def _account(page: Page) -> None:
    page.click("jobs-summary")


STATES = (_first, _waiting, _letter, _catalog, _sides, _settings, _own, _menu, _account, _json)


@pytest.mark.parametrize("state", STATES)
def test_it_fits_every_screen_in_both_themes(page: Page, state: Callable[[Page], None]) -> None:
    """Nothing is wider than the screen, and the ground is light or dark as asked."""
    state(page)
    for scheme, (width, height) in itertools.product(("light", "dark"), SIZES):
        set_colour_scheme(page.chrome, scheme)
        resize(page.chrome, width, height)
        for view in ("shop", "function", "klaviyo"):
            page.run("document.body.dataset.view = arguments[0]", view)
            assert page.run("return document.documentElement.scrollWidth") <= width
            assert page.run(_BEYOND, width) == []
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert red > 200 if scheme == "light" else red < 60


@pytest.mark.parametrize("state", STATES)
def test_a_checker_finds_nothing_to_complain_of(page: Page, state: Callable[[Page], None]) -> None:
    """axe-core, in both themes and at the smallest and the usual size: no violation of any weight."""
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    state(page)
    page.run(axe)
    for scheme, (width, height) in itertools.product(("light", "dark"), (SIZES[0], SIZES[2])):
        set_colour_scheme(page.chrome, scheme)
        resize(page.chrome, width, height)
        assert page.chrome.execute_async_script(_AXE) == []


def test_on_a_phone_one_area_is_seen_at_a_time(page: Page) -> None:
    """Klaviyo's side is one tap away; what is sent from the shop's list is shown at once."""
    resize(page.chrome, *SIZES[0])
    seen = "return ['shop', 'function', 'klaviyo-now'].filter((id) => document.getElementById(id).checkVisibility())"
    assert page.run(seen) == ["function"]
    page.all(".areas [data-view=klaviyo]")[0].click()
    assert page.run(seen) == ["klaviyo-now"]
    assert page.run("return document.getElementById('klaviyo-now').getBoundingClientRect().top") < 500
    page.all(".areas [data-view=shop]")[0].click()
    assert page.run(seen) == ["shop"]
    page.click("send-17")
    page.wait_for_outcome(NEXT, "synced")
    assert page.run(seen) == ["function"]


@pytest.mark.parametrize(("name", "width"), [("page.png", 1280), ("page-outage.png", 1280)])
def test_the_pictures_of_the_docs_are_of_this_page(name: str, width: int) -> None:
    """As wide as they say, and small enough to be loaded with a README."""
    picture = (Path(__file__).parents[3] / "docs" / name).read_bytes()
    assert int.from_bytes(picture[16:20]) == width
    assert len(picture) < 300_000
