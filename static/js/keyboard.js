// Keys: "/" search, "?" help, j/k between cards, 1 to 4 the status of the card in hand, data-shortcut="a" any button.
const CARDS = ".item-card, .review-item";

const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey ||
  event.target.closest("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=submit])");

const cardInHand = () => document.activeElement.closest?.(CARDS) ?? document.querySelector(".review-item[aria-current]");

const move = (step) => {
  const cards = [...document.querySelectorAll(CARDS)].filter((card) => card.checkVisibility?.() ?? true);
  if (!cards.length) return;
  const at = cards.indexOf(cardInHand());
  const next = cards[at < 0 ? (step > 0 ? 0 : cards.length - 1) : Math.min(Math.max(at + step, 0), cards.length - 1)];
  if (!next.hasAttribute("tabindex") && !next.matches("a, button")) next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
};

const press = (key) => {
  const scope = cardInHand();
  const target = scope?.querySelector(`[data-shortcut="${key}"]`) ?? document.querySelector(`:not(${CARDS}) > [data-shortcut="${key}"]`);
  if (!target || target.disabled) return false;
  target.click();
  return true;
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && event.target.matches("input, textarea, select")) {
    event.target.blur();
    event.target.closest(CARDS)?.focus({ preventScroll: true });
    return;
  }
  if (typing(event)) return;
  if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search]");
    search?.focus();
    search?.select();
  } else if (event.key === "?") {
    document.getElementById("keyboard-help")?.showModal();
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (/^[1-4]$/.test(event.key)) {
    const radios = cardInHand()?.querySelectorAll(".segmented input[type=radio]") ?? [];
    const radio = radios[Number(event.key) - 1];
    if (radio && !radio.disabled) {
      event.preventDefault();
      radio.click();
    }
  } else if (/^[a-z]$/.test(event.key) && press(event.key)) {
    event.preventDefault();
  }
});
