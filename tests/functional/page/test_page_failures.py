"""What the page shows when a backend fails: the menu, retries, dead letters."""

import pytest

from commands.page.subscription import ATTEMPTS
from tests.functional.page.browser import FIRST_ACT, Page

pytestmark = pytest.mark.xdist_group("browser")

NEXT = FIRST_ACT + 1
GUEST = "17"


def _choose(page: Page, fault: str) -> None:
    page.click("failures-summary")
    page.click(f"fault-{fault}")
    page.wait(lambda: page.all("#failures .chip.bad"), "the failure is switched on")


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("throttled", "Klaviyo answered 429: "),
        ("error", "Klaviyo answered 500: "),
        ("timeout", "Klaviyo did not answer: "),
        ("lost", "Klaviyo did not answer: "),
    ],
)
def test_what_is_over_in_seconds_is_tried_again_within_the_message(page: Page, fault: str, step: str) -> None:
    """The message has its effect at its first attempt, each event counts once, and the menu is calm again."""
    _choose(page, fault)
    page.click(f"send-{GUEST}")
    page.wait_for_outcome(NEXT, "synced")
    page.wait(lambda: any(text.startswith(step) for text in page.texts(".steps .again .text")), "the retry is told")
    assert page.all(".steps .refused") == []
    assert page.text(".three div:last-child dd") == "Placed Order, Ordered Product"
    page.wait(lambda: sorted(page.texts(".timeline strong")) == ["Ordered Product", "Placed Order"], "once each")
    page.wait(lambda: not page.all("#failures .chip.bad"), "it is over")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("denied", "Klaviyo does not accept the key"),
        ("down", "Klaviyo is down"),
        ("shop-down", "commercetools is down"),
    ],
)
def test_an_outage_sends_the_message_back_to_pubsub(page: Page, fault: str, why: str) -> None:
    """It waits with a countdown; once the failure is switched off, the pause is skipped and it has its effect."""
    _choose(page, fault)
    page.click(f"send-{GUEST}")
    page.wait_for(".headline", f"Back to Pub/Sub: {why}.")
    assert page.texts(".wait span")[0].startswith("in ")
    page.click("failures-summary")
    page.click("fault-none")
    page.wait(lambda: not page.all("#failures .chip.bad"), "the failure is over")
    page.click(f"now-{NEXT}")
    page.wait_for(".headline", "At attempt 2")
    summaries = page.texts(".attempt > summary")
    assert [summary.split("\n")[0].split(":")[0] for summary in summaries] == ["Attempt 2", "Attempt 1"]
    states = page.run("return [...document.querySelectorAll('.attempt')].map((one) => one.open)")
    assert states == [True, False]


def test_a_long_pause_is_pubsubs(page: Page) -> None:
    """Retry-After above five seconds: the function does not wait, the subscription does."""
    _choose(page, "throttled-long")
    page.click(f"send-{GUEST}")
    page.wait_for(".headline", "Back to Pub/Sub: Klaviyo asks for a pause.")


def test_a_message_is_given_up_after_its_attempts(page: Page) -> None:
    """It lies among the dead letters, as one that the subscription forwarded, and can be replayed."""
    _choose(page, "down")
    page.click(f"send-{GUEST}")
    for attempt in range(2, ATTEMPTS + 1):
        page.wait_for(".wait p", f"attempt {attempt}.")
        page.click(f"now-{NEXT}")
    page.wait_for(".letter", f"given up after {ATTEMPTS} attempts")
    page.click("failures-summary")
    page.click("fault-none")
    page.wait(lambda: not page.all("#failures .chip.bad"), "the failure is over")
    page.click(f"replay-{NEXT}")
    page.wait_for_outcome(NEXT + 1, "synced")
    assert page.all(".letter") == []


def test_a_refused_message_is_a_dead_letter_with_its_reason(page: Page) -> None:
    """The function published it with the reason; Replay sends the original again, and what was written counts once."""
    _choose(page, "refused")
    page.click(f"send-{GUEST}")
    page.wait_for(".letter", "Klaviyo refuses the content")
    assert "/data/attributes" in page.text(".letter code")
    assert page.texts(".steps .refused .text") == ["Klaviyo refused Placed Order (54.60 EUR) (400)"]
    page.click(f"replay-{NEXT}")
    page.wait_for_outcome(NEXT + 1, "synced")
    page.wait(lambda: not page.all(".letter"), "the lane is empty")
    page.wait(lambda: sorted(page.texts(".timeline strong")) == ["Ordered Product", "Placed Order"], "once each")


def test_what_if_klaviyo_is_down_can_be_tried_in_place(page: Page) -> None:
    """The answer to the question that everybody asks is one click away from the message."""
    page.click("try")
    page.wait_for("#failures .chip.bad", "503")
    page.wait_for(".wait p", "Pub/Sub delivers it again")
