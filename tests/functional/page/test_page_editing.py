"""What can be edited on the page (a message, a sync.toml) and what can be copied from it."""

import json

import pytest
from selenium.webdriver.support.select import Select

from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_STEP_MESSAGES + 1
_SET_VALUE = "arguments[0].value = arguments[1]"


def _type(page: Page, dialog: str, text: str) -> None:
    page.wait(lambda: page.all(f"#{dialog}[open]"), "the dialog is open")
    page.run(_SET_VALUE, page.all(f"#{dialog}-text")[0], text)


def _submit(page: Page, dialog: str, action: str) -> None:
    page.all(f"#{dialog} [data-submit={action}]")[0].click()


def test_an_edited_message_is_compared_and_sent(page: Page) -> None:
    """Comparing sends nothing. Sending it does, and Klaviyo has the edited values."""
    page.click("edit")
    page.wait(lambda: page.run("return document.getElementById('own-text').value"), "the text is loaded")
    message = json.loads(page.run("return document.getElementById('own-text').value"))
    message["order"]["orderNumber"] = "S-77777"
    _type(page, "own", json.dumps(message))
    _submit(page, "own", "compare")
    page.wait_for("#own .part li", '"S-20001" -> "S-77777"')
    assert len(page.app_state.subscription.deliveries) == FIRST_STEP_MESSAGES
    message["order"]["id"] = message["resource"]["id"] = "0d000000-0000-4000-8000-0000000000ff"
    _type(page, "own", json.dumps(message))
    _submit(page, "own", "send-own")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".timeline .about", "S-77777")


def test_a_sample_can_be_edited_without_sending_it_first(page: Page) -> None:
    """The dialog's list offers every sample, and compares the edited text with it."""
    page.click("open-own")
    page.wait(lambda: page.all("#own[open]"), "the dialog is open")
    assert not page.all("#own [data-submit=compare]")[0].is_displayed()
    Select(page.all("#own-sample")[0]).select_by_visible_text("Order created guest")
    page.wait(lambda: "S-20002" in page.run("return document.getElementById('own-text').value"), "the text is loaded")
    text = page.run("return document.getElementById('own-text').value")
    _type(page, "own", text.replace("noor.visser@example.com", "other@example.com"))
    _submit(page, "own", "compare")
    page.wait_for("#own .part li", '"noor.visser@example.com" -> "other@example.com"')
    _submit(page, "own", "send-own")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".person", "other@example.com")


@pytest.mark.parametrize(
    ("text", "why"), [("not json", "it is not JSON"), ("[]", "it is not a JSON object"), ("{}", "it names no resource")]
)
def test_an_invalid_message_is_a_dead_letter(page: Page, text: str, why: str) -> None:
    """The page sends any text to the function unchanged."""
    page.click("open-own")
    _type(page, "own", text)
    _submit(page, "own", "send-own")
    page.wait_for(".letter", why)


def test_a_sync_toml_is_compared_used_and_reset(page: Page) -> None:
    """First the difference for the selected message, then the function runs with it, then with the defaults again."""
    page.click("open-settings")
    _type(page, "settings", '[metrics]\nplaced_order = "Bestellt"\n')
    _submit(page, "settings", "compare")
    page.wait_for("#settings .part li", '"Placed Order" -> "Bestellt"')
    assert not page.app_state.has_own_settings
    _submit(page, "settings", "settings")
    page.wait_for("#open-settings", "Your settings")
    page.click("send-17")
    page.wait_for(".headline", "Bestellt, Ordered Product")
    page.click("open-settings")
    page.wait(lambda: page.all("#settings[open]"), "the dialog is open")
    _submit(page, "settings", "reset")
    page.wait(lambda: page.text("#open-settings") == "Settings", "the defaults are back")


def test_a_wrong_sync_toml_is_reported_and_not_used(page: Page) -> None:
    """The dialog lists the same problems that the function would report when it starts."""
    page.click("open-settings")
    _type(page, "settings", "[metric]\nplaced_order = 1\n")
    _submit(page, "settings", "settings")
    page.wait_for("#settings .problems", "metric")
    assert page.all("#settings[open]")
    assert not page.app_state.has_own_settings


def test_a_path_is_not_opened(page: Page) -> None:
    """A file name in place of settings is just text that is not TOML."""
    page.click("open-settings")
    _type(page, "settings", "/etc/passwd")
    _submit(page, "settings", "settings")
    page.wait_for("#settings .problems", "is not TOML")
    assert "root" not in page.text("#settings .problems")


def test_a_message_and_a_call_are_copied_as_curl(page: Page) -> None:
    """The commands contain shell variables in place of keys."""
    page.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    page.click("copy-push")
    page.wait(lambda: page.run("return window.copied"), "the command is copied")
    assert page.run("return window.copied").startswith(f"curl -X POST {page.app_state.subscription.url}/")
    page.run("window.copied = ''; document.querySelector('.steps .write summary').click()")
    page.wait(lambda: page.all(".steps .loaded button"), "the call is loaded")
    page.all(".steps .loaded button")[0].click()
    page.wait(lambda: page.run("return window.copied"), "the command is copied")
    command = page.run("return window.copied")
    assert "/api/events" in command
    assert '-H "Authorization: Klaviyo-API-Key $KLAVIYO_AUTH_KEY"' in command
    assert "sandbox-secret" not in command


def test_the_log_line_is_shown(page: Page) -> None:
    """With ids and counts, as in Cloud Logging, and without personal data."""
    line = json.loads(page.text(".log pre"))
    assert line["outcome"] == "synced"
    assert line["calls"] == {"commercetools": 3, "klaviyo": 3}
    assert "mira" not in page.text(".log pre").lower()
