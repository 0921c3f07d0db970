// What is loaded on demand: the JSON behind a call, texts to edit and to copy.
export async function text(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.text();
}

// The calls behind a step of the timeline, each with its JSON.
export async function loadCall(details) {
  const place = details.querySelector(".loaded");
  if (!place || place.childElementCount) return;
  place.textContent = "…";
  const calls = details.dataset.calls.split(" ");
  const found = await Promise.all(calls.map((call) => text(`/call/${details.dataset.call}${call}`)));
  place.innerHTML = found.join("");
}

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.open && event.target.dataset?.call !== undefined) loadCall(event.target);
  },
  true,
);

export function say(words) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => (live.textContent = words), 30);
}
