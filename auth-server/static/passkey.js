// Signs in with a passkey, adds one, and tells whoever keeps them which still count. Without it the pages work as they are.

const keys = window.PublicKeyCredential;
const form = document.getElementById("passkey");
const owned = document.getElementById("passkeys");
const kind = form?.dataset.kind;
const parse = kind === "create" ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
let waiting, pressed;

// At once, or, by "conditional" mediation, where somebody types their name.
async function ask(mediation) {
  waiting?.abort();
  waiting = new AbortController();
  const { signal } = waiting;
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.options, { method: "POST", body, signal });
    if (answer.redirected) return location.assign(answer.url);
    const { challenge, options } = await answer.json();
    const key = await navigator.credentials[kind]({ publicKey: keys[parse](options), mediation, signal });
    sessionStorage.setItem("passkey", key.id);
    form.elements.challenge.value = challenge;
    form.elements.credential.value = JSON.stringify(key);
    form.submit();
  } catch {
    if (mediation || signal.aborted) return;
    document.getElementById("passkey-said").textContent = form.dataset.failed;
    pressed = false;
    offer();
  }
}

async function offer() {
  if (kind === "get" && (await keys.isConditionalMediationAvailable?.()) && !pressed) ask("conditional");
}

function tell(signal, facts) {
  keys?.[signal]?.(facts).catch(() => {});
}

if (form && keys?.[parse]) {
  const { forget: rpId, unable } = form.dataset;
  form.hidden = false;
  if (unable) document.getElementById(unable).hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pressed = true;
    ask();
  });
  if (rpId) tell("signalUnknownCredential", { rpId, credentialId: sessionStorage.getItem("passkey") });
  offer();
  setInterval(offer, 54e4);
}

if (owned) {
  const { ids, ...facts } = owned.dataset;
  tell("signalAllAcceptedCredentials", { ...facts, allAcceptedCredentialIds: ids.split(" ").filter(Boolean) });
  tell("signalCurrentUserDetails", facts);
}
