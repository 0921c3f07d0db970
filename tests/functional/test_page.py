"""The page of `manage.py demo --serve`, as a browser shows it."""

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from commands.browser import chromium, logged, missing, prefer, requested, resize
from commands.page.serving import Served, page_server
from sandbox.samples import samples

pytestmark = pytest.mark.xdist_group("browser")

CUSTOMER = "c1000000-0000-4000-8000-000000000001"
NONE = "None yet. Press a sample above."
_LOCAL = re.compile(r"(http://127\.0\.0\.1:\d+/|data:|about:blank)")


@dataclass(frozen=True, slots=True)
class Page:
    """The page in a browser. Deliveries are numbered from 1."""

    served: Served
    chrome: Chrome

    def delivery(self, number: int) -> str:
        """The selector of a delivery in the list."""
        return f"#delivery-{number}"

    def click(self, element_id: str) -> None:
        """Press a button or follow a link."""
        self.chrome.find_element(By.ID, element_id).click()

    def all(self, selector: str) -> list[WebElement]:
        """Everything that a selector finds."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The text of everything that a selector finds."""
        script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim())"
        texts: list[str] = self.run(script, selector)
        return texts

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until it holds; what changes under one's hands is looked at again."""
        waiting = WebDriverWait(self.chrome, 30, 0.05, (StaleElementReferenceException,))
        return waiting.until(lambda _: condition(), what)

    def outcomes(self, number: int) -> list[str]:
        """What became of a delivery, attempt by attempt."""
        return self.texts(f"{self.delivery(number)} .badge")

    def deliver(self, sample: str, number: int) -> None:
        """Send a sample, which is the delivery of this number, and wait until it is over."""
        self.click(f"send-{sample}")
        self.wait(lambda: self.outcomes(number)[-1:] in (["synced"], ["ignored"]), f"{sample} is acknowledged")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.chrome.execute_script(script, *arguments)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Sandbox, function and page."""
    with page_server(0) as it:
        serving = threading.Thread(target=it.server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield it
        it.server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser of Debian's."""
    if programs := missing():
        reason = f"{', '.join(programs)} not installed (Debian: chromium, chromium-driver)"
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium(tmp_path_factory.mktemp("profile")) as it:
        it.get("about:blank")
        requested(it)  # what a new browser shows of its own
        yield it


@pytest.fixture
def page(chrome: Chrome, served: Served) -> Iterator[Page]:
    """The page, 1280 px wide. Afterwards: nothing in the console, no request to elsewhere."""
    resize(chrome, 1280, 860)
    prefer(chrome, "light")
    subscription = served.subscription
    if subscription.deliveries:  # the function would take a customer that it copied a moment ago for done
        era = subscription.era
        subscription.start_over()
        WebDriverWait(chrome, 30, 0.05).until(lambda _: subscription.era != era, "it started over")
    chrome.get(served.url)
    yield Page(served, chrome)
    assert logged(chrome, "browser") == []
    addresses = requested(chrome)
    assert addresses
    assert [address for address in addresses if not _LOCAL.match(address)] == []


def test_a_sample_is_clicked_and_shows_what_it_became(page: Page) -> None:
    """The message beside the requests, and the profile with its timeline, without loading the page again."""
    page.run("window.loadedOnce = true")
    page.deliver("13", 1)
    page.deliver("16", 2)
    assert page.texts(".deliveries .head strong")[:2] == ["OrderCreated", "CustomerCreated"]
    page.wait(lambda: page.texts("#delivery summary b") == ["POST", "POST", "POST"], "the requests are shown")
    page.wait(lambda: len(page.all(".profile.touched .timeline .new")) == 3, "the timeline has the order")
    assert page.texts(".profile.touched summary strong") == ["Mira Falkner"]
    timeline = page.texts(".timeline li")
    assert sorted(entry.split("\n")[0] for entry in timeline) == ["Ordered Product", "Ordered Product", "Placed Order"]
    assert any("S-20001" in entry and "311.90 EUR" in entry for entry in timeline)
    message = page.texts("#delivery .columns > section:first-child .json")[0]
    assert '"orderNumber": "S-20001"' in message
    assert page.run("return window.loadedOnce") is True


def test_a_published_product_is_shown_with_picture_price_stock_and_categories(page: Page) -> None:
    """The picture is drawn here: the sample's host does not exist, and is not asked."""
    for number, sample in enumerate(("02", "03", "04", "05"), 1):
        page.deliver(sample, number)
    page.wait(lambda: page.all(".item.touched"), "the item is there")
    assert page.all(".item.touched summary svg[role=img]")
    assert page.texts(".item.touched .facts") == ["179.00 · 164 in stock"]
    assert page.texts(".item.touched .tag") == ["Women", "Women > Bags", "Women > Bags > Handbags"]
    assert "https://cdn.shop.example/images/linden-tote-cognac.jpg" in page.texts(".item.touched dd")
    assert len(page.all(".item.touched tbody tr")) == 12
    assert page.all("img") == []


def test_a_value_and_where_it_came_from_light_up_together(page: Page) -> None:
    """Under the mouse, and with the arrow keys."""
    page.deliver("13", 1)
    marks = page.wait(
        lambda: [mark for mark in page.all("#delivery section + section mark") if mark.text == '"Mira"'],
        "the requests are shown",
    )
    mark = marks[0]
    ActionChains(page.chrome).move_to_element(mark).perform()
    page.wait(lambda: page.all("#delivery section:first-child mark.lit"), "the counterparts are lit")
    assert set(page.texts("mark.lit")) == {'"Mira"'}
    ActionChains(page.chrome).move_to_element(page.chrome.find_element(By.TAG_NAME, "h1")).perform()
    page.wait(lambda: not page.all("mark.lit"), "nothing is lit")
    page.run("document.querySelector('#delivery section + section .json').focus()")
    ActionChains(page.chrome).send_keys(Keys.ARROW_RIGHT).perform()
    assert page.run("return document.activeElement.tagName") == "MARK"
    assert page.all("#delivery section:first-child mark.lit")


def test_a_failed_call_shows_as_retried_and_then_synced(page: Page) -> None:
    """The button arms one failure; the message is refused, delivered again, and has its effect once."""
    page.click("fail-next")
    page.wait(lambda: page.all("#fail-next[aria-pressed=true]"), "the button is pressed")
    page.click("send-13")
    page.wait(lambda: page.outcomes(1)[:1] == ["retried"], "the first attempt is refused")
    page.wait(lambda: page.outcomes(1) == ["retried", "synced"], "the second attempt is acknowledged")
    assert "klaviyo_error 503" in page.texts(page.delivery(1))[0]
    page.wait(lambda: len(page.all("#delivery .attempt")) == 2, "both attempts are shown")
    assert len(page.all("#delivery .card.refused")) == 1
    assert page.texts("#delivery .card.refused .status") == ["503"]
    page.wait(lambda: page.texts(".profile summary strong") == ["Mira Falkner"], "the profile is there")
    page.wait(lambda: page.all("#fail-next[aria-pressed=false]"), "the failure is over")


def test_a_message_sent_twice_counts_once(page: Page) -> None:
    """Two deliveries of one message, one event each."""
    page.click("twice-17")
    page.wait(lambda: page.outcomes(1) == page.outcomes(2) == ["synced"], "both are acknowledged")
    assert "the same message again" in page.texts(page.delivery(2))[0]
    page.wait(lambda: len(page.all(".timeline .new")) == 2, "the order and its line")


def test_any_delivery_can_be_looked_at(page: Page) -> None:
    """A link with an address of its own; back goes back, and what comes meanwhile does not take it away."""
    page.deliver("02", 1)
    page.deliver("13", 2)
    first, third = 1, 3
    page.click(f"choose-{first}")
    page.wait(lambda: "CategoryCreated" in page.texts("#delivery h3")[0], "the first is shown")
    assert page.chrome.current_url.endswith(f"/?delivery={first}")
    page.run("return fetch('/send/03', {method: 'POST', headers: {'X-Part': '1'}}).then(() => true)")
    page.wait(lambda: page.outcomes(3) == ["synced"], "another one came")
    assert page.texts(".deliveries a[aria-current] strong") == ["CategoryCreated"]
    page.chrome.refresh()
    page.wait(lambda: page.all(f"#choose-{first}[aria-current]"), "a reload shows the same")
    page.chrome.back()
    page.wait(lambda: page.all(f"#choose-{third}[aria-current]"), "back is the latest again")


def test_all_samples_are_sent_and_forgotten_again(page: Page) -> None:
    """Each ends as samples.toml says; starting over leaves nothing."""
    page.click("send-all")
    expected = [sample.outcome for sample in samples()]
    page.wait(lambda: page.texts(".deliveries .badge")[::-1] == expected, "all have their outcome")
    page.click("start-over")
    page.wait(lambda: page.texts(".deliveries") == [NONE], "no delivery is left")
    page.wait(lambda: not page.all(".right .card"), "Klaviyo is empty")


_HEIGHTS = "return [...document.querySelectorAll('details[open] > .json')].map((box) => box.offsetHeight)"
_BEYOND = """
return [...document.querySelectorAll(".page *")]
  .filter((element) => element.getBoundingClientRect().right > arguments[0] + 1)
  .map((element) => element.outerHTML.slice(0, 200));
"""


def test_it_fits_the_screen_in_both_themes(page: Page) -> None:
    """Nothing is wider than the screen; JSON scrolls in its own box; the ground is light or dark as asked."""
    page.deliver("08", 1)
    page.deliver("16", 2)
    page.wait(lambda: page.all(".profile.touched .timeline .new"), "all parts are there")
    for scheme, width in itertools.product(("light", "dark"), (1280, 900, 400)):
        prefer(page.chrome, scheme)
        resize(page.chrome, width, 860)
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.run(_BEYOND, width) == []
        boxes = page.run(
            "return [...document.querySelectorAll('details[open] > .json')].map((box) => box.offsetHeight)"
        )
        assert boxes
        assert max(boxes) <= 420
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert red > 200 if scheme == "light" else red < 60


def test_what_a_document_says_is_only_text(page: Page) -> None:
    """A name with markup is shown as it is; it neither runs nor loads anything."""
    name = '<img src="https://outside.example/x.png" onerror="document.title = 1"><b>&amp;'
    page.served.subscription.sandbox.commercetools.patch("customers", CUSTOMER, {"firstName": name})
    page.deliver("13", 1)
    page.wait(lambda: page.all(".profile.touched"), "the profile is there")
    assert page.texts(".profile summary strong") == [f"{name} Falkner"]
    assert page.all("img") == []
    assert page.chrome.title.startswith("commercetools")


def test_it_can_be_used_from_the_keyboard(page: Page) -> None:
    """Every button is reached by Tab and shows it; a new delivery does not take the focus away."""
    page.run("document.getElementById('send-02').focus()")
    ActionChains(page.chrome).send_keys(Keys.ENTER).perform()
    page.wait(lambda: page.outcomes(1) == ["synced"], "it is sent")
    assert page.run("return document.activeElement.id") == "send-02"
    ActionChains(page.chrome).send_keys(Keys.TAB).perform()
    assert page.run("return document.activeElement.id") == "twice-02"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.all("#deliveries[aria-live=polite]")


def test_the_picture_of_the_readme_is_of_this_page() -> None:
    """1280 pixels wide, and small enough to be loaded with a README."""
    picture = (Path(__file__).parents[2] / "docs/page.png").read_bytes()
    assert int.from_bytes(picture[16:20]) == 1280
    assert len(picture) < 300_000
