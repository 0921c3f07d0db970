// Menus are <details> elements. Escape, a choice or a click outside closes them.
function close(menu, returnsFocus) {
  menu.open = false;
  if (returnsFocus) menu.querySelector("summary").focus();
}

export function listenToMenus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      const inside = menu.contains(event.target);
      if (!inside || event.target.closest(".sheet button")) close(menu, inside);
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest("details.menu[open]");
    if (!menu) return;
    if (event.key === "Escape") return close(menu, true);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const choices = [...menu.querySelectorAll(".sheet button")];
    choices[(choices.indexOf(document.activeElement) + step + choices.length) % choices.length].focus();
  });
}
