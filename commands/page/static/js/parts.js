// Keeps the page's parts up to date: on a change event, fetch them and replace the elements that differ.
import { updateTabStops } from "./keyboard.js";
import { loadCall } from "./load.js";

const parts = [...document.querySelectorAll("[data-part]")];
const stopped = document.getElementById("server-stopped");
const badge = document.getElementById("klaviyo-badge");
const toggled = new Map(); // by the id of a <details> that the user opened or closed: true if it is open
let refreshing = false;
let requested = false;

export function keepCurrent() {
  new EventSource("/changes").addEventListener("message", refresh);
  window.addEventListener("popstate", refresh);
  document.addEventListener("click", (event) => {
    const details = event.target.closest("summary")?.parentElement;
    if (details?.id && !details.classList.contains("menu")) toggled.set(details.id, !details.open);
  });
  updateTabStops();
}

export async function refresh() {
  requested = true;
  if (refreshing) return;
  refreshing = true;
  try {
    while (requested) {
      requested = false;
      await Promise.all(parts.map(refreshPart));
      stopped.hidden = true;
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
  } catch {
    stopped.hidden = false;
  } finally {
    refreshing = false;
  }
}

// The URL holds the selection: a delivery, an area of Klaviyo, a profile.
export function select(name, value) {
  const query = new URLSearchParams(location.search);
  query.set(name, value);
  if (name === "delivery") query.delete("area");
  if (name !== "who") query.delete("who");
  history.pushState(null, "", `/?${query}`);
  return refresh();
}

// Select the latest message again.
export function selectLatest() {
  if (location.search) history.pushState(null, "", "/");
}

async function refreshPart(part) {
  const address = location.search;
  const response = await fetch(`/parts/${part.dataset.part}${address}`, { cache: "no-cache" });
  if (!response.ok || address !== location.search) return;
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const focused = document.activeElement?.id;
  const changed = patch(part, [...template.content.children]);
  if (changed && part.id === "klaviyo" && !part.checkVisibility()) badge.hidden = false;
  updateTabStops(part);
  if (focused && document.activeElement === document.body)
    document.getElementById(focused)?.focus({ preventScroll: true });
}

// The dot on Klaviyo's button says that something changed there while a narrow screen showed another area.
export function hideBadge() {
  badge.hidden = true;
}

// Replace the children of a part that differ; true if any did. Each child has an id. An unchanged child stays, and with
// it its focus and scroll position.
function patch(part, fetched) {
  let changed = false;
  const remaining = new Map([...part.children].map((child) => [child.id, child]));
  fetched.forEach((fresh, index) => {
    const html = fresh.outerHTML;
    let child = remaining.get(fresh.id);
    remaining.delete(fresh.id);
    if (!child || (child.served ?? child.outerHTML) !== html) {
      for (const details of [fresh, ...fresh.querySelectorAll("details")])
        if (toggled.has(details.id)) details.open = toggled.get(details.id);
      if (child?.open && child.classList.contains("menu")) fresh.open = true;
      child?.remove();
      child = fresh;
      changed = true;
      child.served = html;
      for (const open of fresh.querySelectorAll("details[data-call][open]")) loadCall(open);
    }
    if (part.children[index] !== child) part.insertBefore(child, part.children[index] ?? null);
  });
  for (const obsolete of remaining.values()) obsolete.remove();
  return changed;
}
