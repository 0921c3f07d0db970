"""What the page shows if a backend fails: the menu, retries and dead letters."""

import pytest

from commands.page.subscription import MAX_DELIVERY_ATTEMPTS
from tests.functional.page.browser import FIRST_STEP_MESSAGES, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_STEP_MESSAGES + 1
GUEST_ORDER = "17"


def _switch_on(page: Page, fault: str) -> None:
    page.click("failures-summary")
    page.click(f"fault-{fault}")
    page.wait(lambda: page.all("#failures .chip.bad"), "the failure is switched on")


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("throttled", "Klaviyo returned 429: "),
        ("error", "Klaviyo returned 500: "),
        ("timeout", "Klaviyo did not respond: "),
        ("lost", "Klaviyo did not respond: "),
    ],
)
def test_a_short_failure_is_retried_within_the_message(page: Page, fault: str, step: str) -> None:
    """The message succeeds on its first attempt, each event counts once, and the menu shows no failure afterwards."""
    _switch_on(page, fault)
    page.click(f"send-{GUEST_ORDER}")
    page.wait_for_outcome(NEXT, "synced")
    page.wait(lambda: any(text.startswith(step) for text in page.texts(".steps .retried .text")), "the retry is shown")
    assert page.all(".steps .refused") == []
    assert page.text(".three div:last-child dd") == "Placed Order, Ordered Product"
    page.wait(lambda: sorted(page.texts(".timeline strong")) == ["Ordered Product", "Placed Order"], "once each")
    page.wait(lambda: not page.all("#failures .chip.bad"), "the failure is over")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("denied", "Klaviyo rejects the API key"),
        ("down", "Klaviyo is down"),
        ("shop-down", "commercetools is down"),
    ],
)
def test_an_outage_sends_the_message_back_to_pubsub(page: Page, fault: str, why: str) -> None:
    """It waits with a countdown. Once the failure is switched off, "Deliver now" skips the backoff, and it succeeds."""
    _switch_on(page, fault)
    page.click(f"send-{GUEST_ORDER}")
    page.wait_for(".headline", f"Back to Pub/Sub: {why}.")
    assert page.texts(".wait span")[0].startswith("in ")
    page.click("failures-summary")
    page.click("fault-none")
    page.wait(lambda: not page.all("#failures .chip.bad"), "the failure is over")
    page.click(f"now-{NEXT}")
    page.wait_for(".headline", "on attempt 2")
    summaries = page.texts(".attempt > summary")
    assert [summary.split("\n")[0].split(":")[0] for summary in summaries] == ["Attempt 2", "Attempt 1"]
    states = page.run("return [...document.querySelectorAll('.attempt')].map((one) => one.open)")
    assert states == [True, False]


def test_a_long_retry_after_goes_back_to_pubsub(page: Page) -> None:
    """For a Retry-After above five seconds, the subscription waits instead of the function."""
    _switch_on(page, "throttled-long")
    page.click(f"send-{GUEST_ORDER}")
    page.wait_for(".headline", "Back to Pub/Sub: Klaviyo is throttling requests.")


def test_a_message_is_given_up_after_its_last_attempt(page: Page) -> None:
    """It is listed as a dead letter that the subscription forwarded, and can be replayed."""
    _switch_on(page, "down")
    page.click(f"send-{GUEST_ORDER}")
    for attempt in range(2, MAX_DELIVERY_ATTEMPTS + 1):
        page.wait_for(".wait p", f"(attempt {attempt})")
        page.click(f"now-{NEXT}")
    page.wait_for(".letter", f"given up after {MAX_DELIVERY_ATTEMPTS} attempts")
    page.click("failures-summary")
    page.click("fault-none")
    page.wait(lambda: not page.all("#failures .chip.bad"), "the failure is over")
    page.click(f"replay-{NEXT}")
    page.wait_for_outcome(NEXT + 1, "synced")
    assert page.all(".letter") == []


def test_rejected_content_is_a_dead_letter_with_its_reason(page: Page) -> None:
    """The function publishes the reason with it. Replay sends the original again, and every event counts once."""
    _switch_on(page, "refused")
    page.click(f"send-{GUEST_ORDER}")
    page.wait_for(".letter", "Klaviyo rejects the content")
    assert "/data/attributes" in page.text(".letter code")
    assert page.texts(".steps .refused .text") == ["Klaviyo rejected Placed Order (54.60 EUR) (400)"]
    page.click(f"replay-{NEXT}")
    page.wait_for_outcome(NEXT + 1, "synced")
    page.wait(lambda: not page.all(".letter"), "no dead letter is listed")
    page.wait(lambda: sorted(page.texts(".timeline strong")) == ["Ordered Product", "Placed Order"], "once each")


def test_an_outage_can_be_tried_from_the_message(page: Page) -> None:
    """What happens if Klaviyo is down is one click away from every order."""
    page.click("try")
    page.wait_for("#failures .chip.bad", "503")
    page.wait_for(".wait p", "Pub/Sub redelivers the message")
