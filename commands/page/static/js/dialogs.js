// Dialogs: a message to write, sync.toml, both sides. [data-open] names one, with what it is filled from.
import { act, show } from "./actions.js";
import { follow, refresh } from "./parts.js";
import { text } from "./load.js";

const fill = {
  async own(dialog, button) {
    dialog.dataset.number = button.dataset.number ?? "";
    dialog.querySelector("textarea").value = button.dataset.text ? await text(button.dataset.text) : "";
    dialog.querySelector("[data-submit=compare]").hidden = !button.dataset.number;
  },
  async settings(dialog) {
    dialog.querySelector("textarea").value = await text("/text/settings");
  },
  async sides(dialog, button) {
    dialog.querySelector(".loaded").innerHTML = await text(button.dataset.load);
  },
};

const submit = {
  "send-own": (dialog) => act("send-own", { text: dialog.querySelector("textarea").value }),
  settings: (dialog) => act("settings", { settings: dialog.querySelector("textarea").value }),
  reset: () => act("settings", { reset: true }),
  compare: (dialog) => {
    const written = dialog.querySelector("textarea").value;
    const chosen = document.querySelector("#edit")?.dataset.number;
    if (dialog.id === "own") return act("compare", { number: Number(dialog.dataset.number) || null, text: written });
    return act("compare", { number: Number(chosen) || null, settings: written });
  },
};

export function listenToDialogs() {
  document.addEventListener("click", async (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) return open(opener);
    const dialog = event.target.closest("dialog");
    if (event.target.closest("[data-close]") || event.target === dialog) return dialog.close();
    const button = event.target.closest("[data-submit]");
    if (button && dialog) await send(dialog, button);
  });
  for (const form of document.querySelectorAll("dialog form")) form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("only-marked").addEventListener("change", (event) => {
    document.getElementById("sides").classList.toggle("only-marked", event.target.checked);
  });
}

async function open(opener) {
  const dialog = document.getElementById(opener.dataset.open);
  const result = dialog.querySelector(".result");
  if (result) result.replaceChildren();
  await fill[dialog.id](dialog, opener);
  dialog.showModal();
  dialog.querySelector("textarea")?.setSelectionRange(0, 0);
}

async function send(dialog, button) {
  const result = dialog.querySelector(".result");
  button.setAttribute("aria-disabled", "true");
  result.textContent = "One moment …";
  try {
    const answer = await submit[button.dataset.submit](dialog);
    if (answer.problems) return list(result, answer.problems);
    if (answer.html) return (result.innerHTML = answer.html);
    dialog.close();
    if (button.dataset.submit === "send-own") {
      follow();
      show("function");
    }
    await refresh();
  } catch (error) {
    list(result, [`That did not work: ${error.message}`]);
  } finally {
    button.removeAttribute("aria-disabled");
    if (result.textContent === "One moment …") result.replaceChildren();
  }
}

function list(place, problems) {
  const items = problems.map((problem) => Object.assign(document.createElement("li"), { textContent: problem }));
  const found = Object.assign(document.createElement("ul"), { className: "problems" });
  found.append(...items);
  place.replaceChildren(found);
}
