"""The page in a browser, as its tests use it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from commands.page.app_state import AppState
from commands.page.command import PageServer

FIRST_STEP_MESSAGES = 7
"""Messages of the story's first step, which the page plays on its own at the start."""

_INNER_TEXTS = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim())"


@dataclass(frozen=True, slots=True)
class Page:
    """The page in a browser, after the first step of its story."""

    served: PageServer
    chrome: Chrome

    @property
    def app_state(self) -> AppState:
        """The state that the page shows."""
        return self.served.app_state

    def click(self, element_id: str) -> None:
        """Click a button or a link with the mouse."""
        element = self.chrome.find_element(By.ID, element_id)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def press(self, *keys: str) -> None:
        """Press keys; they go to the focused element."""
        ActionChains(self.chrome).send_keys(*keys).perform()

    def all(self, selector: str) -> list[WebElement]:
        """All elements that match a selector."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match a selector."""
        texts: list[str] = self.run(_INNER_TEXTS, selector)
        return texts

    def text(self, selector: str) -> str:
        """The text of the first element that matches a selector; empty if there is none."""
        return next(iter(self.texts(selector)), "")

    def wait(self, condition: Callable[[], Any], description: str) -> Any:
        """Wait until a condition holds; check again if an element is replaced during the check."""
        wait = WebDriverWait(self.chrome, 40, 0.05, (StaleElementReferenceException,))
        return wait.until(lambda _: condition(), description)

    def wait_for(self, selector: str, text: str = "") -> None:
        """Wait until an element that matches the selector contains this text."""
        self.wait(lambda: any(text in found for found in self.texts(selector)), f"{selector}: {text}")

    def outcome(self, number: int) -> str:
        """The outcome of a delivery in the list; empty if it is not there."""
        found = self.all(f"#delivery-{number}")
        return str(found[0].get_attribute("class")) if found else ""

    def wait_for_outcome(self, number: int, *outcomes: str) -> None:
        """Wait until a delivery has one of these outcomes."""
        self.wait(lambda: self.outcome(number) in outcomes, f"{number} is {outcomes}")

    def focused(self) -> str:
        """The id of the focused element."""
        return str(self.run("return document.activeElement.id"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return its result."""
        return self.chrome.execute_script(script, *arguments)
