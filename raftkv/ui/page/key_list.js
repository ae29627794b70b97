// The key browser's list: keys by prefix, page by page, at any revision that is kept.
//
// Owns: the form, the page that is shown and the way back. Must never do: show a key as markup, or
// ask for more than one page at a time.

import { element, byId, keyed, setAttribute, setText } from "./element.js";
import { keyWords, typedKey } from "./bytes.js";
import { fragment, go } from "./route.js";
import { bytes, count, counted } from "./words.js";

const PAGE = 100;

export class KeyList {
  constructor(api, fail) {
    this.api = api;
    this.fail = fail;
    this.form = byId("key-form");
    this.asked = 0;
    this.shown = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { prefix, rev } = this.#typed();
      // The same again is a wish to see it anew, and would be no change of the address.
      if (fragment("keys", { prefix, rev }) === location.hash) this.load();
      else go("keys", { prefix, rev });
    });
    byId("keys-next").addEventListener("click", () => this.#turn([...this.pages, this.last]));
    byId("keys-back").addEventListener("click", () => this.#turn(this.pages.slice(0, -1)));
  }

  #typed() {
    return { prefix: this.form.elements.prefix.value, rev: this.form.elements.rev.value };
  }

  /** Shows what the address says; a list that is shown already stays. */
  follow(params) {
    this.chosen = params.get("key");
    const prefix = params.get("prefix") ?? "";
    const rev = /^\d+$/.test(params.get("rev") ?? "") ? params.get("rev") : "";
    this.form.elements.prefix.value = prefix;
    this.form.elements.rev.value = rev;
    if (this.shown === `${prefix} ${rev}`) this.#mark();
    else this.load();
  }

  load() {
    this.#turn([]);
  }

  /** `pages`: the last key of each page before the one to show. */
  async #turn(pages) {
    const { prefix, rev } = this.#typed();
    const number = (this.asked += 1);
    setText(byId("keys-status"), "Asking …");
    try {
      const after = pages.at(-1) ?? "";
      const answer = await this.api.get("/api/keys", {
        prefix: prefix && typedKey(prefix),
        after,
        limit: PAGE,
        rev,
      });
      if (number !== this.asked) return; // a later question was asked meanwhile
      this.pages = pages;
      this.shown = `${prefix} ${rev}`;
      this.#draw(answer, prefix, rev);
    } catch (error) {
      if (number !== this.asked) return;
      this.shown = null;
      setText(byId("keys-status"), error.message);
      this.fail(error);
    }
  }

  #draw(answer, prefix, rev) {
    this.last = answer.next || answer.keys.at(-1)?.key;
    const first = this.pages.length * PAGE;
    const range = answer.keys.length
      ? `${count(first + 1)} – ${count(first + answer.keys.length)} of `
      : "";
    // A store so large that the member left its count out.
    const total = answer.count === null ? "very many keys" : counted(answer.count, "key");
    const none =
      answer.count === 0 ? ". Nothing begins with this; an empty prefix lists all keys." : "";
    setText(byId("keys-status"), `${range}${total}, at revision ${count(answer.revision)}${none}`);
    setAttribute(byId("keys-next"), "disabled", !answer.more);
    setAttribute(byId("keys-back"), "disabled", this.pages.length === 0);
    byId("key-table").hidden = answer.keys.length === 0;
    const body = byId("key-table").tBodies[0];
    keyed(
      body,
      answer.keys,
      (row) => row.key,
      (row) => makeRow(row, prefix, rev),
      mendRow,
    );
    this.#mark();
  }

  #mark() {
    for (const row of byId("key-table").tBodies[0].rows) {
      setAttribute(
        row.querySelector("a"),
        "aria-current",
        row.dataset.key === this.chosen ? "true" : null,
      );
    }
  }
}

function makeRow(row, prefix, rev) {
  const link = element(
    "a",
    { href: fragment("keys", { prefix, rev, key: row.key }) },
    keyWords(row.key),
  );
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, link),
    element("td", {}),
    element("td", {}),
    element("td", {}),
  );
}

function mendRow(line, row) {
  const [, version, revision, size] = line.children;
  setText(version, count(row.version));
  setText(revision, count(row.mod_revision));
  setText(size, `${bytes(row.bytes)}${row.lease ? " · lease" : ""}`);
}
