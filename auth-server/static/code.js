// The code of a link is behind `#`, which browsers send to nobody: move it into the form.

const input = document.getElementById("code");

function move() {
  const code = new URLSearchParams(location.hash.slice(1)).get("k");
  if (code && input instanceof HTMLInputElement) {
    input.value = code;
    history.replaceState(null, "", location.pathname + location.search);
    document.getElementById(input.form?.id === "setup" ? "username" : "submit")?.focus();
  }
}

// An open page does not load again for such a link.
window.addEventListener("hashchange", move);
move();
