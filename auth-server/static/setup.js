// The set-up link carries its code behind `#`, which browsers send to nobody. Move it into the form.

const code = new URLSearchParams(location.hash.slice(1)).get("k");
const input = document.getElementById("code");
if (code && input instanceof HTMLInputElement) {
  input.value = code;
  history.replaceState(null, "", location.pathname);
  document.getElementById("username")?.focus();
}
