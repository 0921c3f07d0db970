"""`python -m commands.screenshot`: make the README's picture of the page."""

import tempfile
import threading
import time
from pathlib import Path

import click
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import visibility_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from commands.browser import chromium, missing, prefer, resize
from commands.page.serving import page_server
from commands.running import PATIENCE, ROOT

_BEFORE = ("02", "03", "04", "05", "06", "13")
_FAILING = "10"
_SHOWN = "16"
_LOOK_AT = """
const line = [...document.querySelectorAll("#delivery .l")].find((line) => line.textContent.includes(arguments[0]));
line.querySelector("mark").focus();
document.querySelector(".samples ol").scrollTop = 0;
"""


@click.command(epilog="Example:  python -m commands.screenshot --width 400 --dark phone.png")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path), default=ROOT / "docs/page.png")
@click.option("--width", type=click.IntRange(320), default=1280, show_default=True, help="Pixels.")
@click.option("--height", type=click.IntRange(320), default=860, show_default=True, help="Pixels.")
@click.option("--dark", is_flag=True, help="With dark colours.")
@click.option("--whole", is_flag=True, help="As high as the page is.")
def screenshot(file: Path, width: int, height: int, *, dark: bool, whole: bool) -> None:
    """Send some samples, one with a failing call, and save what the page shows of the last.

    FILE is docs/page.png unless told otherwise.
    """
    if programs := missing():
        raise click.ClickException(f"Not installed: {', '.join(programs)} (Debian: chromium, chromium-driver).")
    with page_server(0) as served, tempfile.TemporaryDirectory() as profile:
        serving = threading.Thread(target=served.server.serve_forever)
        serving.start()
        try:
            with chromium(Path(profile)) as chrome:
                prefer(chrome, "dark" if dark else "light")
                resize(chrome, width, height)
                chrome.get(served.url)
                _act(chrome)
                if whole:
                    resize(chrome, width, chrome.execute_script("return document.documentElement.scrollHeight"))
                chrome.save_screenshot(str(file))
        finally:
            served.server.shutdown()
            serving.join()
    click.echo(f"{file}: {file.stat().st_size // 1000} kB")


def _act(chrome: Chrome) -> None:
    wait = WebDriverWait(chrome, PATIENCE)
    delivered = 0
    for number in (*_BEFORE, "fail", _FAILING, _SHOWN):
        if number == "fail":
            chrome.find_element(By.ID, "fail-next").click()
            wait.until(visibility_of_element_located((By.CSS_SELECTOR, "#fail-next[aria-pressed=true]")))
            continue
        chrome.find_element(By.ID, f"send-{number}").click()
        delivered += 1
        wait.until(visibility_of_element_located((By.CSS_SELECTOR, f"#delivery-{delivered} .synced")))
    wait.until(visibility_of_element_located((By.CSS_SELECTOR, ".timeline .new")))
    ActionChains(chrome).move_to_element(chrome.find_element(By.TAG_NAME, "h1")).perform()
    chrome.execute_script(_LOOK_AT, "ShippingCost")
    time.sleep(0.5)


if __name__ == "__main__":
    screenshot(prog_name="python -m commands.screenshot")
