// Keeps the page's parts current: asks for them when the server says that something changed, replaces what differs.
import { arrange } from "./keyboard.js";
import { loadCall } from "./load.js";

const parts = [...document.querySelectorAll("[data-part]")];
const gone = document.getElementById("gone");
const toggled = new Map(); // <details> that the reader opened or closed, by id
let refreshing = false;
let waiting = false;

export function keepCurrent() {
  new EventSource("/changes").addEventListener("message", refresh);
  window.addEventListener("popstate", refresh);
  document.addEventListener("click", (event) => {
    const details = event.target.closest("summary")?.parentElement;
    if (details?.id && !details.classList.contains("menu")) toggled.set(details.id, !details.open);
  });
  arrange();
}

export async function refresh() {
  waiting = true;
  if (refreshing) return;
  refreshing = true;
  try {
    while (waiting) {
      waiting = false;
      await Promise.all(parts.map(refreshPart));
      gone.hidden = true;
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
  } catch {
    gone.hidden = false;
  } finally {
    refreshing = false;
  }
}

// What is looked at is in the address: a delivery, an area of Klaviyo, a person.
export function look(name, value) {
  const query = new URLSearchParams(location.search);
  query.set(name, value);
  if (name === "delivery") query.delete("area");
  if (name !== "who") query.delete("who");
  history.pushState(null, "", `/?${query}`);
  return refresh();
}

// Back to what was sent last.
export function follow() {
  if (location.search) history.pushState(null, "", "/");
}

async function refreshPart(part) {
  const address = location.search;
  const response = await fetch(`/parts/${part.dataset.part}${address}`, { cache: "no-cache" });
  if (!response.ok || address !== location.search) return;
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const focused = document.activeElement?.id;
  patch(part, [...template.content.children]);
  arrange(part);
  if (focused && document.activeElement === document.body)
    document.getElementById(focused)?.focus({ preventScroll: true });
}

// Every child of a part has an id; one that is as it was stays, with its focus and its scrolling.
function patch(part, wanted) {
  const there = new Map([...part.children].map((child) => [child.id, child]));
  wanted.forEach((fresh, index) => {
    const html = fresh.outerHTML;
    let child = there.get(fresh.id);
    there.delete(fresh.id);
    if (!child || (child.served ?? child.outerHTML) !== html) {
      for (const details of [fresh, ...fresh.querySelectorAll("details")])
        if (toggled.has(details.id)) details.open = toggled.get(details.id);
      if (child?.open && child.classList.contains("menu")) fresh.open = true;
      child?.remove();
      child = fresh;
      child.served = html;
      for (const open of fresh.querySelectorAll("details[data-call][open]")) loadCall(open);
    }
    if (part.children[index] !== child) part.insertBefore(child, part.children[index] ?? null);
  });
  for (const left of there.values()) left.remove();
}
