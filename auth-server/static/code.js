// A link carries its code behind `#`, which browsers send to nobody. Move it into the form, and out of the address.

const input = document.getElementById("code");

function move() {
  const code = new URLSearchParams(location.hash.slice(1)).get("k");
  if (code && input instanceof HTMLInputElement) {
    input.value = code;
    history.replaceState(null, "", location.pathname);
    document.getElementById(input.form?.id === "setup" ? "username" : "submit")?.focus();
  }
}

// Where the page is open already, such a link loads nothing.
window.addEventListener("hashchange", move);
move();
