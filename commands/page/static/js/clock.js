// Countdowns to Pub/Sub's next delivery attempt.
export function updateCountdowns() {
  for (const place of document.querySelectorAll("[data-due]")) {
    const seconds = Math.ceil(Number(place.dataset.due) - Date.now() / 1000);
    const countdown = seconds > 0 ? `in ${seconds} s` : "now";
    if (place.textContent !== countdown) place.textContent = countdown;
  }
  setTimeout(updateCountdowns, 250);
}
