"""`python -m commands.screenshot`: make the pictures of the page that README and docs show."""

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
    """One file: how large the screen is, its theme, and what is done before it is taken."""

    name: str
    width: int
    height: int
    scheme: str
    act: Callable[[Chrome], None]


def _order(chrome: Chrome) -> None:
    _await(chrome, ".headline", "Placed Order")
    _await(chrome, "#held .timeline", "Placed Order")


def _outage(chrome: Chrome) -> None:
    """The third step: the message waits for Pub/Sub to deliver it again."""
    for step in STORY[1:3]:
        _await(chrome, "#next", step.label)
        chrome.find_element(By.ID, "next").click()
        _await(chrome, "#story .lead", step.summary)
    _await(chrome, ".wait p", "Pub/Sub redelivers the message")


PICTURES = (
    Picture("page.png", 1280, 860, "light", _order),
    Picture("page-outage.png", 1280, 860, "dark", _outage),
)
"""In the order in which they are taken, one after the other from the same page."""


@click.command(epilog="Example:  python -m commands.screenshot")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=_FOLDER,
    help="Where the pictures go; docs unless told otherwise.",
)
def screenshot(folder: Path) -> None:
    """Play the first steps of the page's story, and save what README and docs show of them."""
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


def _await(chrome: Chrome, selector: str, text: str) -> None:
    WebDriverWait(chrome, TIMEOUT).until(text_to_be_present_in_element((By.CSS_SELECTOR, selector), text))


if __name__ == "__main__":
    screenshot(prog_name="python -m commands.screenshot")
