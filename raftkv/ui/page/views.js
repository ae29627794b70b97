// Which part of the page is shown: the cluster, the keys, or the diff; drawing or table.
//
// Owns: that, from the address. Must never do: fetch; each view does when it is shown.

import { byId, setAttribute } from "./element.js";
import { parsed, VIEWS } from "./route.js";

const TABLE = "raftkv-table";

export class Views {
  /** `follow[view](params)` is called when the address changes. */
  constructor(follow) {
    this.follow = follow;
    this.toggle = byId("as-table");
    this.toggle.addEventListener("click", () => this.#asTable(!this.table));
    this.#asTable(localStorage.getItem(TABLE) === "yes");
    addEventListener("hashchange", () => this.show());
  }

  show() {
    const route = parsed(location.hash);
    if (!route) return; // the skip link's: the focus goes there, the view stays
    const moved = this.view !== route.view;
    this.view = route.view;
    for (const name of VIEWS) {
      byId(`view-${name}`).hidden = name !== route.view;
      setAttribute(byId(`to-${name}`), "aria-current", name === route.view ? "page" : null);
    }
    this.toggle.hidden = route.view !== "cluster";
    if (moved) scrollTo(0, 0);
    this.follow[route.view]?.(route.params);
  }

  #asTable(table) {
    this.table = table;
    localStorage.setItem(TABLE, table ? "yes" : "no");
    setAttribute(this.toggle, "aria-pressed", String(table));
    setAttribute(byId("columns"), "class", table ? "columns undrawn" : "columns");
    for (const node of document.querySelectorAll(".as-drawing")) node.hidden = table;
    for (const node of document.querySelectorAll(".as-table")) node.hidden = !table;
  }
}
