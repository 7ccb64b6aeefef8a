// The shell: theme, menus, dialogs, and what to say when a request fails.
const root = document.documentElement;
root.classList.add("js");

// Theme: the server reads the cookie and sets data-theme; here it only changes without a reload.
const setTheme = (theme) => {
  const age = theme ? 31536000 : 0;
  document.cookie = `theme=${theme}; path=/; max-age=${age}; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  for (const button of document.querySelectorAll("[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeSet === theme));
  }
};
for (const choice of document.querySelectorAll("[data-theme-choice]")) choice.hidden = false;

document.addEventListener("click", (event) => {
  const theme = event.target.closest("[data-theme-set]");
  if (theme) setTheme(theme.dataset.themeSet);
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Lists that wide screens always show (navigation.css) are open for assistive technology too.
const wide = matchMedia("(min-width: 60.01rem)");
const unfold = () => {
  for (const list of document.querySelectorAll("details.pull-down")) list.open = wide.matches;
};
wide.addEventListener("change", unfold);
unfold();

// Toasts
export const toast = (text, kind = "") => {
  // What asks every second would say so every second.
  for (const shown of document.querySelectorAll(".toast")) if (shown.firstChild?.data === text) return;
  const note = document.createElement("p");
  note.className = `toast ${kind ? `toast--${kind}` : ""}`;
  note.append(text);
  const close = document.createElement("button");
  close.type = "button";
  close.className = "link";
  close.textContent = "Dismiss";
  close.addEventListener("click", () => note.remove());
  note.append(close);
  document.getElementById("toasts")?.append(note);
  setTimeout(() => note.remove(), 12000);
};

// Forms with a data-key keep what was typed (checklist.js) and say so themselves.
const speaksForItself = (event) => event.detail.elt?.closest?.("form[data-key]");
const lost = (event) => {
  if (!speaksForItself(event)) toast("No connection. Nothing was changed; what you typed is still on this page. Please try again.", "error");
};
document.addEventListener("htmx:sendError", lost);
document.addEventListener("htmx:timeout", lost);
document.addEventListener("htmx:responseError", (event) => {
  if (speaksForItself(event)) return;
  const status = event.detail.xhr.status;
  const said = {
    401: "You are signed out. Sign in in another tab, then try again.",
    403: "You may not do this. Nothing was changed.",
    404: "This is no longer here. Reload the page to see what is.",
    429: "Too many requests. Wait a minute, then try again.",
  };
  toast(said[status] ?? `The server could not do this (${status}). Nothing was changed; what you typed is still on this page.`, "error");
});
// The server may send a toast of its own: HX-Trigger: {"toast": {"text": "Probe queued"}}
document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.value, event.detail.kind));
// A security key that refused, or was cancelled
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  toast("The security key was not used. Nothing was changed; please try again.", "error");
});
