// The seconds until Pub/Sub delivers a message again.
export function tick() {
  for (const place of document.querySelectorAll("[data-due]")) {
    const seconds = Math.ceil(Number(place.dataset.due) - Date.now() / 1000);
    const told = seconds > 0 ? `in ${seconds} s` : "now";
    if (place.textContent !== told) place.textContent = told;
  }
  setTimeout(tick, 250);
}
