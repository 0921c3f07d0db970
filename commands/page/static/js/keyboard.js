// The keyboard: a list is one stop for Tab, the arrow keys move inside; "/" goes to the filter, "n" plays the next act.
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

function entries(list) {
  return [...list.querySelectorAll("button, a")].filter((entry) => !entry.closest("[hidden]"));
}

// One entry of each list can be reached by Tab: the focused one, the current one, or the first.
export function arrange(root = document) {
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
    if (list && event.target.matches("button, a")) arrange(list);
  });
}

function move(event, list) {
  const all = entries(list);
  const now = all.indexOf(event.target);
  const wanted = { Home: 0, End: all.length - 1 }[event.key] ?? now + (STEPS[event.key] ?? 0);
  if (wanted === now || !all[wanted]) return;
  event.preventDefault();
  all[wanted].focus();
}

// Links and the select that say what is looked at; tabs also by the arrow keys.
export function listenToTabs(look) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-set]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    look(link.dataset.set, link.dataset.value);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-set]")) look(event.target.dataset.set, event.target.value);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (!tab || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = [...tab.parentElement.children].find((one) => one !== tab);
    other.focus();
    other.click();
  });
}
