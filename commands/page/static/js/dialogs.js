// Dialogs: write a message, edit the settings, compare side by side. [data-open] names the dialog to open.
import { post, show } from "./actions.js";
import { refresh, selectLatest } from "./parts.js";
import { text } from "./load.js";

const fill = {
  async own(dialog, button) {
    await startEditing(dialog, button.dataset.text, button.dataset.number);
  },
  async settings(dialog) {
    dialog.querySelector("textarea").value = await text("/text/settings");
  },
  async sides(dialog, button) {
    dialog.querySelector(".loaded").innerHTML = await text(button.dataset.load);
  },
};

// Fill the editor, and remember what to compare the edited text with: a delivery, a sample, or nothing.
async function startEditing(dialog, path, number = "", sample = "") {
  dialog.dataset.number = number;
  dialog.dataset.sample = sample;
  dialog.querySelector("select").value = sample;
  dialog.querySelector("textarea").value = path ? await text(path) : "";
  dialog.querySelector(".result").replaceChildren();
  dialog.querySelector("[data-submit=compare]").hidden = !path;
}

const submit = {
  "send-own": (dialog) => post("send-own", { text: dialog.querySelector("textarea").value }),
  settings: (dialog) => post("settings", { settings: dialog.querySelector("textarea").value }),
  reset: () => post("settings", { reset: true }),
  compare: (dialog) => {
    const written = dialog.querySelector("textarea").value;
    const chosen = document.querySelector("#edit")?.dataset.number;
    const { number, sample } = dialog.dataset;
    if (dialog.id === "own") return post("compare", { number: Number(number) || null, sample: sample || null, text: written });
    return post("compare", { number: Number(chosen) || null, settings: written });
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
  document.getElementById("own-sample").addEventListener("change", (event) => {
    const sample = event.target.value;
    startEditing(document.getElementById("own"), sample && `/text/sample/${sample}`, "", sample);
  });
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
  const editor = dialog.querySelector("textarea");
  if (!editor) return;
  editor.setSelectionRange(0, 0);
  editor.scrollTop = 0;
}

async function send(dialog, button) {
  const result = dialog.querySelector(".result");
  button.setAttribute("aria-disabled", "true");
  result.textContent = "One moment …";
  try {
    const answer = await submit[button.dataset.submit](dialog);
    if (answer.problems) return showProblems(result, answer.problems);
    if (answer.html) return (result.innerHTML = answer.html);
    dialog.close();
    if (button.dataset.submit === "send-own") {
      selectLatest();
      show("function");
    }
    await refresh();
  } catch (error) {
    showProblems(result, [`That did not work: ${error.message}`]);
  } finally {
    button.removeAttribute("aria-disabled");
    if (result.textContent === "One moment …") result.replaceChildren();
  }
}

function showProblems(place, problems) {
  const items = problems.map((problem) => Object.assign(document.createElement("li"), { textContent: problem }));
  const list = Object.assign(document.createElement("ul"), { className: "problems" });
  list.append(...items);
  place.replaceChildren(list);
}
