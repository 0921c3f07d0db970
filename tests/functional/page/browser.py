"""The page in a browser, for its tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from commands.page.app_state import Stage
from commands.page.command import Served

FIRST_ACT = 7
"""Messages that the page sends by itself when it starts."""

_TEXTS = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim())"


@dataclass(frozen=True, slots=True)
class Page:
    """The page in a browser, after the first act of its story."""

    served: Served
    chrome: Chrome

    @property
    def stage(self) -> Stage:
        """What the page shows."""
        return self.served.stage

    def click(self, element_id: str) -> None:
        """Press a button or follow a link, as a mouse does."""
        element = self.chrome.find_element(By.ID, element_id)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.chrome).send_keys(*keys).perform()

    def all(self, selector: str) -> list[WebElement]:
        """Everything that a selector finds."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The text of everything that a selector finds."""
        texts: list[str] = self.run(_TEXTS, selector)
        return texts

    def text(self, selector: str) -> str:
        """The text of what a selector finds; empty when there is nothing."""
        return next(iter(self.texts(selector)), "")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until it holds; what changes under one's hands is looked at again."""
        waiting = WebDriverWait(self.chrome, 40, 0.05, (StaleElementReferenceException,))
        return waiting.until(lambda _: condition(), what)

    def wait_for(self, selector: str, text: str = "") -> None:
        """Wait until something with this text is found."""
        self.wait(lambda: any(text in found for found in self.texts(selector)), f"{selector}: {text}")

    def outcome(self, number: int) -> str:
        """What became of the delivery of this number, as the list shows it; empty when there is none."""
        found = self.all(f"#delivery-{number}")
        return str(found[0].get_attribute("class")) if found else ""

    def wait_for_outcome(self, number: int, *outcomes: str) -> None:
        """Wait until a delivery ended so."""
        self.wait(lambda: self.outcome(number) in outcomes, f"{number} is {outcomes}")

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.run("return document.activeElement.id"))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.chrome.execute_script(script, *arguments)
