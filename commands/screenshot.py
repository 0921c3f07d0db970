"""`python -m commands.screenshot`: take the screenshots of the page for README and docs."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.wait import WebDriverWait

from commands.browser import chromium, missing_programs, resize, set_colour_scheme
from commands.page.command import page_server
from commands.page.story import STORY
from commands.processes import ROOT, TIMEOUT

_FOLDER = ROOT / "docs"


@dataclass(frozen=True, slots=True)
class Picture:
    """A screenshot: file name, screen size, colour scheme, and what to do on the page before taking it."""

    name: str
    width: int
    height: int
    scheme: str
    act: Callable[[Chrome], None]


def _wait_for_order(chrome: Chrome) -> None:
    _wait_for(chrome, ".headline", "Placed Order")
    _wait_for(chrome, "#klaviyo-area .timeline", "Placed Order")


def _play_to_outage(chrome: Chrome) -> None:
    """Play to the third step, where the message waits for its redelivery."""
    for step in STORY[1:3]:
        _wait_for(chrome, "#next", step.label)
        chrome.find_element(By.ID, "next").click()
        _wait_for(chrome, "#story .lead", step.summary)
    _wait_for(chrome, ".wait p", "Pub/Sub redelivers the message")


PICTURES = (
    Picture("page.png", 1280, 860, "light", _wait_for_order),
    Picture("page-outage.png", 1280, 860, "dark", _play_to_outage),
)
"""Taken in this order, from the same page."""


@click.command(epilog="Example:  python -m commands.screenshot")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=_FOLDER,
    help="Save the screenshots here.  [default: docs]",
)
def screenshot(folder: Path) -> None:
    """Play the first steps of the page's story and save the screenshots for README and docs."""
    if programs := missing_programs():
        raise click.ClickException(f"Not installed: {', '.join(programs)} (Debian: chromium, chromium-driver).")
    with page_server(0) as served, tempfile.TemporaryDirectory() as profile:
        serving = threading.Thread(target=served.server.serve_forever)
        serving.start()
        try:
            with chromium(Path(profile)) as chrome:
                chrome.get(served.url)
                for picture in PICTURES:
                    resize(chrome, picture.width, picture.height)
                    set_colour_scheme(chrome, picture.scheme)
                    picture.act(chrome)
                    chrome.save_screenshot(str(folder / picture.name))
        finally:
            served.server.shutdown()
            serving.join()
    for picture in PICTURES:
        click.echo(f"{folder / picture.name}: {(folder / picture.name).stat().st_size // 1000} kB")


def _wait_for(chrome: Chrome, selector: str, text: str) -> None:
    WebDriverWait(chrome, TIMEOUT).until(text_to_be_present_in_element((By.CSS_SELECTOR, selector), text))


if __name__ == "__main__":
    screenshot(prog_name="python -m commands.screenshot")
