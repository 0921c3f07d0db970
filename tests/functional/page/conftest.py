"""One page and one browser for all tests; each test begins after the story's first step."""

import os
import re
import threading
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from commands.browser import chromium, log_entries, missing_programs, requested_urls, resize, set_colour_scheme
from commands.page.command import PageServer, page_server
from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

_LOCAL_URL = re.compile(r"(http://127\.0\.0\.1:\d+/|data:|about:blank)")


@pytest.fixture(scope="session")
def served() -> Iterator[PageServer]:
    """The sandbox, the function and the page's server."""
    with page_server(0, plays_first_step=False) as server:
        serving = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server
        server.server.shutdown()
        serving.join()


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Debian's Chromium. Without it, the tests are skipped, or fail if REQUIRE_CHROMIUM is set."""
    if programs := missing_programs():
        reason = f"{', '.join(programs)} not installed (Debian: chromium, chromium-driver)"
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get("about:blank")
        requested_urls(driver)  # discard what a new browser loads on its own
        yield driver


@pytest.fixture
def page(chrome: Chrome, served: PageServer) -> Iterator[Page]:
    """The page, 1280 px wide. Afterwards the console must be empty and no request have gone to another site."""
    resize(chrome, 1280, 860)
    set_colour_scheme(chrome, "light")
    served.app_state.start_over().result(60)
    chrome.get(served.url)
    shown = Page(served, chrome)
    shown.wait_for_outcome(FIRST_STEP_MESSAGES, "synced")
    shown.wait_for(".headline", "Synced to Klaviyo")
    yield shown
    assert log_entries(chrome, "browser") == []
    urls = requested_urls(chrome)
    assert urls
    assert [url for url in urls if not _LOCAL_URL.match(url)] == []
