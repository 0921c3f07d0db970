// Marked values: pointing at one highlights its counterparts too. Within a box, arrow keys go to the next one.
function highlight(mark) {
  for (const lit of document.querySelectorAll("mark.lit")) lit.classList.remove("lit");
  for (const number of mark?.dataset.v.split(" ") ?? [])
    for (const same of document.querySelectorAll(`mark[data-v~="${number}"]`)) same.classList.add("lit");
}

function reveal(mark) {
  highlight(mark);
  const own = mark.closest(".json");
  for (const box of document.querySelectorAll("dialog[open] .json")) {
    const first = box.querySelector("mark.lit");
    if (!first || box === own) continue;
    box.scrollTop += first.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
  }
}

export function listenToMarks() {
  document.addEventListener("mouseover", (event) => {
    highlight(event.target.closest("mark[data-v]") ?? document.activeElement?.closest("mark[data-v]"));
  });
  document.addEventListener("focusin", (event) => {
    const mark = event.target.closest("mark[data-v]");
    if (mark) reveal(mark);
  });
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("mark[data-v]");
    if (mark && !event.target.closest("summary")) reveal(mark);
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const box = event.target.closest(".json");
    if (!step || !box) return;
    const marks = [...box.querySelectorAll("mark[data-v]")];
    const next = marks[marks.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}
