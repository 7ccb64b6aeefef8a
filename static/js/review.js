// After an item was accepted or flagged, go on to the next one that is still undecided.
document.addEventListener("htmx:afterSettle", (event) => {
  const item = event.target.closest?.(".review-item");
  if (!item || !item.hasAttribute("data-decided")) return;
  const items = [...document.querySelectorAll(".review-item")];
  const next = items.slice(items.indexOf(item) + 1).find((other) => !other.hasAttribute("data-decided"));
  const target = next ?? item;
  if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "nearest" });
});

// The remark is what comes next once somebody chose to flag.
document.addEventListener("toggle", (event) => {
  if (event.target.matches(".review-item__flag[open]")) event.target.querySelector("textarea").focus();
}, true);
