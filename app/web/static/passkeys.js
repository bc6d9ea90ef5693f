// Passkeys: a form marked data-passkey asks the browser for one first, and then is sent with what the browser answers.
// data-options is what to ask, as JSON, or the address that tells it. Nothing is decided here: the server verifies.
"use strict";

const ASK = {
  make: (options) => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  use: (options) => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
};
const WHY = {
  NotAllowedError: "The passkey was not used: it was cancelled, took too long, or could not verify that it is you. Nothing was sent. Try again.",
  InvalidStateError: "This device holds a passkey of yours for this site already. Nothing was sent.",
  SecurityError: "The browser allows no passkeys at this address. Nothing was sent.",
};
const hasPasskeys = Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON);
const busy = new Set();

function tell(form, words) {
  const said = form.querySelector("[data-passkey-said]");
  if (!said) return;
  said.textContent = words;
  said.hidden = !words;
}

async function optionsOf(form) {
  const known = form.dataset.options;
  if (known.startsWith("{")) return JSON.parse(known);
  const fields = new URLSearchParams();
  for (const name of ["csrf", "key"]) if (form.elements[name]) fields.set(name, form.elements[name].value);
  const answer = await fetch(known, { method: "POST", body: fields });
  const told = await answer.json();
  if (answer.ok) return told;
  if (told.code === "step_up_required") location.reload(); // the page then asks for the password first
  throw new Error(`${told.message} ${told.next_step}`);
}

async function send(form) {
  if (!hasPasskeys) throw new Error("This browser has no passkeys. Nothing was sent.");
  const asked = form.dataset.options;
  const made = await ASK[form.dataset.passkey](await optionsOf(form));
  // The page may have been renewed meanwhile; what is sent has to be what was signed.
  const here = form.isConnected ? form : document.getElementById(form.id);
  if (here?.dataset.options !== asked) throw new Error("This page has changed meanwhile. Nothing was sent. Look again.");
  (here.elements.assertion ?? here.elements.answer).value = JSON.stringify(made);
  here.submit();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.passkey) return;
  event.preventDefault();
  if (busy.has(form.id)) return;
  busy.add(form.id);
  tell(form, "");
  send(form).catch((error) => {
    const here = form.isConnected ? form : document.getElementById(form.id);
    if (!here) return;
    delete here.dataset.sent;
    tell(here, WHY[error.name] ?? error.message);
  }).finally(() => { busy.delete(form.id); });
});

for (const each of document.querySelectorAll("[data-needs-passkeys]")) each.hidden = !hasPasskeys;
