"""One page and one browser for all of its tests; each test begins after the first act of the story."""

import os
import re
import threading
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from commands.browser import chromium, log_entries, missing_programs, requested_urls, resize, set_colour_scheme
from commands.page.command import Served, page_server
from tests.functional.page.browser import FIRST_ACT, Page

_LOCAL = re.compile(r"(http://127\.0\.0\.1:\d+/|data:|about:blank)")


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Sandbox, function and page."""
    with page_server(0, plays=False) as it:
        serving = threading.Thread(target=it.server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield it
        it.server.shutdown()
        serving.join()


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser of Debian's."""
    if programs := missing_programs():
        reason = f"{', '.join(programs)} not installed (Debian: chromium, chromium-driver)"
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium(tmp_path_factory.mktemp("profile")) as it:
        it.get("about:blank")
        requested_urls(it)  # what a new browser shows of its own
        yield it


@pytest.fixture
def page(chrome: Chrome, served: Served) -> Iterator[Page]:
    """The page, 1280 px wide. Afterwards: nothing in the console, no request to elsewhere."""
    resize(chrome, 1280, 860)
    set_colour_scheme(chrome, "light")
    served.stage.start_over().result(60)
    chrome.get(served.url)
    shown = Page(served, chrome)
    shown.wait_for_outcome(FIRST_ACT, "synced")
    shown.wait_for(".headline", "Klaviyo has it")
    yield shown
    assert log_entries(chrome, "browser") == []
    addresses = requested_urls(chrome)
    assert addresses
    assert [address for address in addresses if not _LOCAL.match(address)] == []
