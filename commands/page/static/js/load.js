// Loading on demand: the JSON behind a call, and texts to edit or copy. Also announcements for screen readers.
export async function text(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.text();
}

// Load the calls behind a step of the timeline, each with its JSON.
export async function loadCall(details) {
  const place = details.querySelector(".loaded");
  if (!place || place.childElementCount) return;
  place.textContent = "…";
  const calls = details.dataset.calls.split(" ");
  const html = await Promise.all(calls.map((call) => text(`/call/${details.dataset.call}${call}`)));
  place.innerHTML = html.join("");
}

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.open && event.target.dataset?.call !== undefined) loadCall(event.target);
  },
  true,
);

// Let a screen reader say it. The text is cleared first, as setting the same text again announces nothing.
export function announce(words) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => (live.textContent = words), 30);
}
