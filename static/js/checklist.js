// Nothing typed is lost. Each form[data-key] keeps a draft in this browser from the first keystroke until the server has
// saved it; a draft found on load, or after the connection came back, is sent again ("retry" in the form's hx-trigger).
const user = document.body.dataset.user ?? "";
const nameOf = (form) => `preflight:draft:${user}:${form.dataset.key}`;
// Whose draft a request settles: the form's own, or taking the other version. Opening the comments inside it settles none.
const formOf = ({ detail }) => (detail.elt.matches("form[data-key], .conflict a") ? detail.elt.closest("form[data-key]") : null);
const forms = () => document.querySelectorAll("form[data-key]");
const changes = new WeakMap(); // form -> number of changes so far
const sent = new WeakMap(); // form -> the number of changes the running request carries
const waiting = new Set(); // forms whose last request failed

const store = (action) => {
  try {
    return action(localStorage);
  } catch {
    return null; // full or forbidden: the page still works, it only forgets on reload
  }
};

const statusOf = (form) => (form.closest(".item-card") ?? form).querySelector("[data-save-status]");
const say = (form, text, state = "") => {
  const place = statusOf(form);
  if (!place) return;
  place.textContent = text;
  if (state) place.dataset.state = state;
  else delete place.dataset.state;
};

const keep = (form) => {
  const entries = [...new FormData(form)].filter(([name, value]) => name !== "csrfmiddlewaretoken" && typeof value === "string");
  store((storage) => storage.setItem(nameOf(form), JSON.stringify(entries)));
};
const forget = (form) => store((storage) => storage.removeItem(nameOf(form)));

const restore = (form, entries) => {
  for (const field of form.elements) {
    if (!field.name || field.name === "csrfmiddlewaretoken" || field.type === "submit" || field.type === "file") continue;
    const values = entries.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = values.includes(field.value);
    else if (field.multiple && field.options) for (const option of field.options) option.selected = values.includes(option.value);
    else if (values.length) field.value = values[0];
  }
};

const resend = (form) => window.htmx?.trigger(form, "retry");
const resendAll = () => {
  for (const form of waiting) {
    if (form.isConnected) resend(form);
    else waiting.delete(form);
  }
};

const changed = (event) => {
  const form = event.target.closest?.("form[data-key]");
  if (!form) return;
  changes.set(form, (changes.get(form) ?? 0) + 1);
  keep(form);
};
document.addEventListener("input", changed);
document.addEventListener("change", changed);

document.addEventListener("htmx:beforeRequest", (event) => {
  const form = formOf(event);
  if (!form) return;
  // Leaving a field for “Keep mine” would send the old version once more, and put the button away under the pointer.
  if (event.detail.requestConfig.triggeringEvent?.type === "change" && form.querySelector(".conflict")) {
    event.preventDefault();
    return;
  }
  sent.set(form, changes.get(form) ?? 0);
  say(form, "Saving…");
});

document.addEventListener("htmx:afterRequest", (event) => {
  const form = formOf(event);
  if (!form) return;
  const status = event.detail.xhr?.status ?? 0;
  if ((status >= 200 && status < 300) || status === 409) {
    // 409: the server shows both versions, so both are kept there.
    waiting.delete(form);
    if (sent.get(form) === (changes.get(form) ?? 0)) forget(form);
    if (status < 300 && statusOf(form)?.textContent === "Saving…") say(form, `Saved ${new Date().toTimeString().slice(0, 5)}`);
  } else if (status === 401 || status === 403) {
    say(form, "Not saved: you are signed out, or may no longer edit. Kept here: sign in again, then reload this page.", "lost");
  } else if (status === 422) {
    waiting.delete(form); // the server says what is wrong; the draft stays until it is right
  } else {
    waiting.add(form);
    const why = status ? `the server failed (${status})` : "no connection";
    say(form, `Not saved: ${why}. Kept here, will be sent when ${status ? "it is" : "you are"} back.`, "lost");
  }
});

window.addEventListener("online", resendAll);
setInterval(() => {
  if (waiting.size && navigator.onLine) resendAll();
}, 15000);

const restoreAll = () => {
  for (const form of forms()) {
    const draft = store((storage) => storage.getItem(nameOf(form)));
    if (!draft || changes.has(form)) continue;
    changes.set(form, 1);
    restore(form, JSON.parse(draft));
    waiting.add(form);
    say(form, "Restored what you had typed; saving…");
    resend(form);
  }
};
// htmx binds the forms on DOMContentLoaded, before this listener.
if (document.readyState === "complete") restoreAll();
else document.addEventListener("DOMContentLoaded", restoreAll);

// Signing out leaves nothing behind on this machine.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-sign-out]")) return;
  store((storage) => {
    for (const name of Object.keys(storage)) if (name.startsWith("preflight:draft:")) storage.removeItem(name);
  });
});
