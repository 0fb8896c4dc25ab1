// Gives every password field a button that shows what was typed and a hint while caps lock is on.
// Without this module the fields work as they are.

for (const group of document.querySelectorAll("[data-password]")) {
  const input = group.querySelector("input");
  if (input) {
    addToggle(group, input);
    addCapsLockHint(group, input);
  }
}

function addToggle(group, input) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reveal";
  button.setAttribute("aria-controls", input.id);
  const show = (visible) => {
    input.type = visible ? "text" : "password";
    button.setAttribute("aria-pressed", String(visible));
    button.textContent = visible ? group.dataset.hide : group.dataset.show;
  };
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // A password must not stay readable on the screen, nor be kept by form history as plain text.
  input.form?.addEventListener("submit", () => show(false));
  window.addEventListener("pagehide", () => show(false));
  show(false);
  const row = document.createElement("div");
  row.className = "reveal-row";
  input.replaceWith(row);
  row.append(input, button);
}

function addCapsLockHint(group, input) {
  const hint = document.createElement("p");
  hint.className = "caps";
  hint.setAttribute("role", "status");
  group.append(hint);
  const look = (event) => {
    const on = typeof event.getModifierState === "function" && event.getModifierState("CapsLock");
    hint.textContent = on ? group.dataset.caps : "";
  };
  input.addEventListener("keydown", look);
  input.addEventListener("keyup", look);
  input.addEventListener("blur", () => (hint.textContent = ""));
}
