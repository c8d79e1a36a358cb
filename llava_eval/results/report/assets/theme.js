// Before anything is drawn: the colours that were chosen here before, else the system's.

const THEMES = ["auto", "light", "dark"];
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function storedTheme() {
  try {
    const theme = localStorage.getItem("llava-eval-theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto"; // a page that may not store anything
  }
}

function applyTheme(theme) {
  const dark = theme === "dark" || (theme === "auto" && prefersDark.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

applyTheme(storedTheme());
