// The link of a letter carries its code behind `#`, which browsers send to nobody. Move it into the form, and out of the address.

const code = new URLSearchParams(location.hash.slice(1)).get("k");
const input = document.getElementById("code");
if (code && input instanceof HTMLInputElement) {
  input.value = code;
  history.replaceState(null, "", location.pathname);
  document.getElementById("submit")?.focus();
}
