// Light, dark, or as the system says.
//
// Owns: the choice and where it is kept. Must never do: know a colour; those are base.css's.

const KEPT = "raftkv-theme";
const THEMES = ["system", "light", "dark"];

export class Theme {
  constructor(select, carried) {
    this.select = select;
    this.choose(THEMES.includes(carried) ? carried : (localStorage.getItem(KEPT) ?? "system"));
    select.addEventListener("change", () => this.choose(select.value));
  }

  get chosen() {
    return this.select.value;
  }

  choose(theme) {
    const known = THEMES.includes(theme) ? theme : "system";
    this.select.value = known;
    localStorage.setItem(KEPT, known);
    if (known === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = known;
  }
}
