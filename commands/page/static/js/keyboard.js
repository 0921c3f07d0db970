// The keyboard: a list is one tab stop, arrow keys move inside it; "/" focuses the filter, "n" plays the next step.
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

function entries(list) {
  return [...list.querySelectorAll("button, a")].filter((entry) => !entry.closest("[hidden]"));
}

// Make one entry of each list a tab stop: the focused one, or else the current one, the previous tab stop, or the first.
export function updateTabStops(root = document) {
  const lists = root.matches?.("[data-roving]") ? [root] : root.querySelectorAll("[data-roving]");
  for (const list of lists) {
    const all = entries(list);
    const stop =
      all.find((entry) => entry === document.activeElement) ??
      all.find((entry) => entry.getAttribute("aria-current") === "true") ??
      all.find((entry) => entry.tabIndex === 0) ??
      all[0];
    for (const entry of list.querySelectorAll("button, a")) entry.tabIndex = entry === stop ? 0 : -1;
  }
}

export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const list = event.target.closest("[data-roving]");
    if (list) move(event, list);
    if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      document.querySelector(".areas button[data-view=shop]").click();
      document.getElementById("filter").focus();
      event.preventDefault();
    }
    if (event.key === "n") document.getElementById("next").click();
  });
  document.addEventListener("focusin", (event) => {
    const list = event.target.closest("[data-roving]");
    if (list && event.target.matches("button, a")) updateTabStops(list);
  });
}

function move(event, list) {
  const all = entries(list);
  const now = all.indexOf(event.target);
  const target = { Home: 0, End: all.length - 1 }[event.key] ?? now + (STEPS[event.key] ?? 0);
  if (target === now || !all[target]) return;
  event.preventDefault();
  all[target].focus();
}

// Links and the drop-down that change the selection. Arrow keys switch tabs.
export function listenToTabs(select) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-set]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    select(link.dataset.set, link.dataset.value);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-set]")) select(event.target.dataset.set, event.target.value);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (!tab || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = [...tab.parentElement.children].find((one) => one !== tab);
    other.focus();
    other.click();
  });
}
