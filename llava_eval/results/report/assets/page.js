// Theme, keys and start.

const report = JSON.parse(byId("report").textContent);
function setTheme(theme) {
  applyTheme(theme);
  byId("theme").textContent = `Theme: ${theme}`;
  byId("theme").dataset.value = theme;
  try {
    localStorage.setItem("llava-eval-theme", theme);
  } catch {
    // a page that may not store anything
  }
}

const KEYS = {
  ArrowDown: () => explorer.list.move(1),
  ArrowUp: () => explorer.list.move(-1),
  j: () => explorer.list.move(1),
  k: () => explorer.list.move(-1),
  PageDown: () => explorer.list.move(explorer.list.pageSize),
  PageUp: () => explorer.list.move(-explorer.list.pageSize),
  Home: () => explorer.list.activate(0, false),
  End: () => explorer.list.activate(explorer.list.samples.length - 1, false),
  Enter: async () => {
    await explorer.list.activate(Math.max(0, explorer.list.active), true);
    byId("detail-title")?.focus();
  },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const typing = event.target.closest("input, select, textarea");
  const inList = event.target === byId("list");
  if (event.key === "Escape" && (typing || event.target.closest("#detail"))) {
    explorer.close();
    return;
  }
  if (typing) {
    if (event.key === "Enter" && event.target === byId("search")) byId("list").focus();
    return;
  }
  const isLetter = event.key === "j" || event.key === "k";
  if (event.key === "/") byId("search").focus();
  else if (event.key === "?") byId("help").showModal();
  else if (KEYS[event.key] && (inList || isLetter)) {
    if (isLetter && !inList && !event.target.closest("#detail")) byId("list").focus();
    KEYS[event.key]();
  } else return;
  event.preventDefault();
}

/**
 * Give a table that does not fit beside others the width of the page; only one wider still scrolls.
 * What scrolls, a long prompt too, is reached by keys.
 */
function widen() {
  const tables = [...document.querySelectorAll(".scroll")];
  for (const table of tables) {
    table.classList.remove("fits");
    table.tabIndex = 0;
    table.parentElement.classList.remove("wide");
  }
  const overflows = (table) => table.scrollWidth > table.clientWidth;
  const wide = tables.filter(overflows);
  for (const table of wide) table.parentElement.classList.add("wide");
  const fitting = tables.filter((table) => !overflows(table));
  for (const table of fitting) {
    table.classList.add("fits");
    table.removeAttribute("tabindex"); // nothing to scroll by keys
  }
  for (const text of document.querySelectorAll(".protocol dd > *")) {
    if (text.scrollHeight > text.clientHeight) text.tabIndex = 0;
    else text.removeAttribute("tabindex");
  }
}

widen();
addEventListener("resize", widen);
setTheme(storedTheme());
prefersDark.addEventListener("change", () => applyTheme(byId("theme").dataset.value));
byId("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(byId("theme").dataset.value) + 1) % THEMES.length]);
});
byId("keys").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
document.addEventListener("keydown", onKey);
// A link within the page keeps the view that the address holds.
document.querySelectorAll(".top nav a, .skip").forEach((link) => link.addEventListener("click", (event) => {
  event.preventDefault();
  byId(link.hash.slice(1)).scrollIntoView();
  byId(link.hash.slice(1)).focus();
}));
explorer.start().catch((error) => {
  byId("count").textContent = `This browser cannot read the samples (${error.message}).`;
  throw error;
});
