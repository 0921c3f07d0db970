// Buttons: [data-do] names the action, [data-body] is its JSON, [data-follow] selects what it sends.
import { hideBadge, refresh } from "./parts.js";
import { announce, text } from "./load.js";

const token = document.querySelector("meta[name=page-token]").content;

export async function post(name, body = {}) {
  const response = await fetch(`/do/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Page-Token": token },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response.json();
}

export function listenToButtons(selectLatest) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-do], button[data-copy], button[data-view]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    if (button.dataset.view) return show(button.dataset.view);
    if (button.dataset.copy) return copy(button);
    button.setAttribute("aria-disabled", "true");
    document.body.classList.add("busy");
    try {
      if (button.hasAttribute("data-follow")) {
        selectLatest();
        if (button.dataset.do !== "job") show("function");
      }
      await post(button.dataset.do, JSON.parse(button.dataset.body ?? "{}"));
    } catch (error) {
      announce(`That did not work: ${error.message}`);
    } finally {
      button.removeAttribute("aria-disabled");
      document.body.classList.remove("busy");
    }
    await refresh();
    announceResult(button.dataset.do);
  });
}

// A narrow screen shows one area at a time.
export function show(view) {
  if (view === "klaviyo") hideBadge();
  if (document.body.dataset.view === view) return;
  document.body.dataset.view = view;
  window.scrollTo(0, 0);
  for (const button of document.querySelectorAll(".areas button"))
    button.toggleAttribute("aria-current", button.dataset.view === view);
  for (const button of document.querySelectorAll(".areas button[aria-current]")) button.setAttribute("aria-current", "true");
}

function announceResult(action) {
  const result = document.querySelector(action === "next" || action === "job" ? "#story .lead" : "#message .headline");
  if (result) announce(result.textContent.trim());
}

async function copy(button) {
  const command = await text(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(command);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    button.textContent = "Copying blocked";
    announce("The browser blocked copying");
  }
  setTimeout(() => (button.textContent = label), 1600);
}
