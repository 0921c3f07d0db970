// Keeps the page current: asks for its parts when the server says that something changed, and replaces what differs.
"use strict";

const parts = [...document.querySelectorAll("[data-part]")];
const toggled = new Map(); // <details> that the reader opened or closed, by id
const narrow = matchMedia("(max-width: 719px)");
let refreshing = false;
let waiting = false;

async function refresh() {
  waiting = true;
  if (refreshing) return;
  refreshing = true;
  try {
    while (waiting) {
      waiting = false;
      await Promise.all(parts.map(refreshPart));
      document.getElementById("gone").hidden = true;
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
  } catch {
    document.getElementById("gone").hidden = false;
  } finally {
    refreshing = false;
  }
}

async function refreshPart(part) {
  const address = location.search;
  const response = await fetch(`/parts/${part.dataset.part}${address}`, { cache: "no-cache" });
  if (!response.ok || address !== location.search) return;
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const focused = document.activeElement?.id;
  patch(part, [...template.content.children]);
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus({ preventScroll: true });
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
      child?.remove();
      child = fresh;
      child.served = html;
    }
    if (part.children[index] !== child) part.insertBefore(child, part.children[index] ?? null);
  });
  for (const gone of there.values()) gone.remove();
}

function choose(number) {
  history.pushState(null, "", number ? `/?delivery=${number}` : "/");
  refresh();
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (!button) return;
  if (button.hasAttribute("data-follow")) history.pushState(null, "", "/");
  try {
    await fetch(button.formAction, { method: "POST", headers: { "X-Part": "1" } });
  } catch {
    document.getElementById("gone").hidden = false;
  }
  refresh();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-choose]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    choose(link.dataset.choose);
    if (narrow.matches) document.querySelector("main").scrollIntoView();
  }
  const details = event.target.closest("summary")?.parentElement;
  if (details) toggled.set(details.id, !details.open);
  const mark = event.target.closest("mark[data-v]");
  if (mark && !details) reveal(mark);
});
window.addEventListener("popstate", refresh);

document.getElementById("only-marked").addEventListener("change", (event) => {
  document.querySelector("main").classList.toggle("only-marked", event.target.checked);
});

// A marked value and its counterparts light up together.
function light(mark) {
  for (const lit of document.querySelectorAll("mark.lit")) lit.classList.remove("lit");
  for (const number of mark?.dataset.v.split(" ") ?? [])
    for (const same of document.querySelectorAll(`mark[data-v~="${number}"]`)) same.classList.add("lit");
}

function reveal(mark) {
  light(mark);
  const own = mark.closest(".json");
  for (const box of document.querySelectorAll(".json")) {
    const first = box.querySelector("mark.lit");
    if (!first || box === own) continue;
    const offset = first.getBoundingClientRect().top - box.getBoundingClientRect().top;
    box.scrollTop += offset - box.clientHeight / 3;
  }
}

document.addEventListener("mouseover", (event) => {
  light(event.target.closest("mark[data-v]") ?? document.activeElement?.closest("mark[data-v]"));
});
document.addEventListener("focusin", (event) => {
  const mark = event.target.closest("mark[data-v]");
  if (mark) reveal(mark);
});
// Within a box of JSON the arrow keys go from one marked value to the next.
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const box = event.target.closest(".json");
  if (!step || !box) return;
  const marks = [...box.querySelectorAll("mark[data-v]")];
  const next = marks[marks.indexOf(event.target) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

new EventSource("/changes").addEventListener("message", refresh);
