"""What can be written on the page: a message, a sync.toml; and what is copied from it."""

import json

import pytest
from selenium.webdriver.support.select import Select

from tests.functional.page.browser import FIRST_ACT, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_ACT + 1
_WRITE = "arguments[0].value = arguments[1]"


def _write(page: Page, dialog: str, text: str) -> None:
    page.wait(lambda: page.all(f"#{dialog}[open]"), "the dialog is open")
    page.run(_WRITE, page.all(f"#{dialog}-text")[0], text)


def _submit(page: Page, dialog: str, what: str) -> None:
    page.all(f"#{dialog} [data-submit={what}]")[0].click()


def test_a_sample_is_edited_and_the_difference_seen(page: Page) -> None:
    """First only looked at; then sent, and Klaviyo has what was written."""
    page.click("edit")
    page.wait(lambda: page.run("return document.getElementById('own-text').value"), "the text is there")
    message = json.loads(page.run("return document.getElementById('own-text').value"))
    message["order"]["orderNumber"] = "S-77777"
    _write(page, "own", json.dumps(message))
    _submit(page, "own", "compare")
    page.wait_for("#own .part li", '"S-20001" -> "S-77777"')
    assert len(page.stage.subscription.deliveries) == FIRST_ACT
    message["order"]["id"] = message["resource"]["id"] = "0d000000-0000-4000-8000-0000000000ff"
    _write(page, "own", json.dumps(message))
    _submit(page, "own", "send-own")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".timeline .about", "S-77777")


def test_a_sample_is_edited_before_it_was_ever_sent(page: Page) -> None:
    """Chosen from the list in the dialog, where it can be compared with what was changed."""
    page.click("open-own")
    page.wait(lambda: page.all("#own[open]"), "the dialog is open")
    assert not page.all("#own [data-submit=compare]")[0].is_displayed()
    Select(page.all("#own-sample")[0]).select_by_visible_text("Order created guest")
    page.wait(lambda: "S-20002" in page.run("return document.getElementById('own-text').value"), "the text is there")
    text = page.run("return document.getElementById('own-text').value")
    _write(page, "own", text.replace("noor.visser@example.com", "other@example.com"))
    _submit(page, "own", "compare")
    page.wait_for("#own .part li", '"noor.visser@example.com" -> "other@example.com"')
    _submit(page, "own", "send-own")
    page.wait_for_outcome(NEXT, "synced")
    page.wait_for(".person", "other@example.com")


@pytest.mark.parametrize(
    ("text", "why"), [("no json", "it is no JSON"), ("[]", "it is no JSON object"), ("{}", "it names no resource")]
)
def test_nonsense_is_a_dead_letter(page: Page, text: str, why: str) -> None:
    """Whatever is pasted goes to the function as it is."""
    page.click("open-own")
    _write(page, "own", text)
    _submit(page, "own", "send-own")
    page.wait_for(".letter", why)


def test_another_sync_toml_is_compared_used_and_taken_back(page: Page) -> None:
    """The difference for the chosen message; then the function runs with it; then with the default again."""
    page.click("open-settings")
    _write(page, "settings", '[metrics]\nplaced_order = "Bestellt"\n')
    _submit(page, "settings", "compare")
    page.wait_for("#settings .part li", '"Placed Order" -> "Bestellt"')
    assert not page.stage.has_own_settings
    _submit(page, "settings", "settings")
    page.wait_for("#open-settings", "Your sync.toml")
    page.click("send-17")
    page.wait_for(".headline", "Bestellt, Ordered Product")
    page.click("open-settings")
    page.wait(lambda: page.all("#settings[open]"), "the dialog is open")
    _submit(page, "settings", "reset")
    page.wait(lambda: page.text("#open-settings") == "sync.toml", "the default is back")


def test_a_wrong_sync_toml_is_told_and_not_used(page: Page) -> None:
    """Every problem in words, as the function's start would say them."""
    page.click("open-settings")
    _write(page, "settings", "[metric]\nplaced_order = 1\n")
    _submit(page, "settings", "settings")
    page.wait_for("#settings .problems", "metric")
    assert page.all("#settings[open]")
    assert not page.stage.has_own_settings


def test_a_path_is_only_text(page: Page) -> None:
    """The name of a file is no TOML, and is not opened."""
    page.click("open-settings")
    _write(page, "settings", "/etc/passwd")
    _submit(page, "settings", "settings")
    page.wait_for("#settings .problems", "is not TOML")
    assert "root" not in page.text("#settings .problems")


def test_a_message_and_a_call_are_copied_as_curl(page: Page) -> None:
    """Commands that a shell takes; keys are variables."""
    page.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    page.click("copy-push")
    page.wait(lambda: page.run("return window.copied"), "it is copied")
    assert page.run("return window.copied").startswith(f"curl -X POST {page.stage.subscription.url}/")
    page.run("window.copied = ''; document.querySelector('.steps .write summary').click()")
    page.wait(lambda: page.all(".steps .loaded button"), "the call is there")
    page.all(".steps .loaded button")[0].click()
    page.wait(lambda: page.run("return window.copied"), "it is copied")
    command = page.run("return window.copied")
    assert "/api/events" in command
    assert '-H "Authorization: Klaviyo-API-Key $KLAVIYO_AUTH_KEY"' in command
    assert "sandbox-secret" not in command


def test_the_log_line_is_shown(page: Page) -> None:
    """As it stands in Cloud Logging: ids and counts."""
    line = json.loads(page.text(".log pre"))
    assert line["outcome"] == "synced"
    assert line["calls"] == {"commercetools": 3, "klaviyo": 3}
    assert "mira" not in page.text(".log pre").lower()
