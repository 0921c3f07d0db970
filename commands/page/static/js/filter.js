// The samples' filter. A sample matches if it contains every word.
import { updateTabStops } from "./keyboard.js";

export function listenToFilter() {
  const input = document.getElementById("filter");
  const samples = document.getElementById("samples");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const group of samples.querySelectorAll(".group")) {
      let shown = 0;
      for (const entry of group.querySelectorAll("li")) {
        const searchable = entry.querySelector("button").dataset.words;
        entry.hidden = !words.every((word) => searchable.includes(word));
        shown += !entry.hidden;
      }
      group.hidden = !shown;
      count += shown;
    }
    document.getElementById("no-sample").hidden = count > 0;
    document.getElementById("filter-count").textContent = words.length ? `${count} found` : "";
    samples.scrollTop = 0;
    updateTabStops(samples);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) {
      input.value = "";
      input.dispatchEvent(new Event("input"));
      event.preventDefault();
    }
    if (event.key === "ArrowDown" || event.key === "Enter") {
      samples.querySelector("[tabindex='0']")?.focus();
      event.preventDefault();
    }
  });
}
