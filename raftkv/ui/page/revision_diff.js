// What changed in the store between two revisions.
//
// Owns: the view "diff": its form, the pages of changes, each with its own difference.
// Must never do: fetch a page that nobody asked for.

import { element, byId, setAttribute, setText } from "./element.js";
import { keyWords, typedKey } from "./bytes.js";
import { fragment, go } from "./route.js";
import { bestFormat, diffNode } from "./value_view.js";
import { count, counted } from "./words.js";

const PAGE = 50;
const BACK = 10; // revisions, where nobody said from where

const wholeNumber = (text) => (/^\d+$/.test(text ?? "") ? text : "");

export class RevisionDiff {
  /** `revision()` is the store's newest that is known here. */
  constructor(api, fail, revision) {
    this.api = api;
    this.fail = fail;
    this.revision = revision;
    this.form = byId("diff-form");
    this.asked = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { from, to, prefix } = this.#typed();
      if (fragment("diff", { from, to, prefix }) === location.hash) this.load();
      else go("diff", { from, to, prefix });
    });
    byId("diff-more").addEventListener("click", () => this.#page());
  }

  #typed() {
    const { from, to, prefix } = this.form.elements;
    return { from: from.value, to: to.value, prefix: prefix.value };
  }

  follow(params) {
    const newest = this.revision();
    this.form.elements.from.value = wholeNumber(params.get("from")) || Math.max(1, newest - BACK);
    this.form.elements.to.value = wholeNumber(params.get("to")) || newest || "";
    this.form.elements.prefix.value = params.get("prefix") ?? "";
    if (params.has("from") && params.has("to")) this.load();
  }

  load() {
    byId("changes").replaceChildren();
    this.after = "";
    this.seen = 0;
    return this.#page();
  }

  async #page() {
    const { from, to, prefix } = this.#typed();
    const number = (this.asked += 1);
    setText(byId("diff-status"), "Asking …");
    try {
      const answer = await this.api.get("/api/diff", {
        from,
        to,
        prefix: prefix && typedKey(prefix),
        after: this.after,
        limit: PAGE,
      });
      if (number !== this.asked) return;
      this.#draw(answer);
    } catch (error) {
      if (number !== this.asked) return;
      setText(byId("diff-status"), error.message);
      this.fail(error);
    }
  }

  #draw(answer) {
    this.seen += answer.changes.length;
    this.after = answer.next || (answer.changes.at(-1)?.key ?? this.after);
    byId("changes").append(...answer.changes.map(changeNode));
    setAttribute(byId("diff-more"), "hidden", !answer.more);
    const more = answer.more ? ", and there are more" : "";
    // A bounded piece of a large store had no change: the next may have.
    const words =
      !this.seen && answer.more
        ? "No change so far"
        : this.seen
          ? `${counted(this.seen, "changed key")}${more}`
          : "Nothing changed";
    setText(
      byId("diff-status"),
      `${words} from revision ${count(answer.from)} to ${count(answer.to)}.`,
    );
  }
}

function changeNode(change) {
  const side = (name) =>
    change[`${name}_value`] === null || change[`${name}_value`] === undefined
      ? undefined
      : { value: change[`${name}_value`], value_text: change[`${name}_value_text`] };
  const [before, after] = [side("from"), side("to")];
  const name = keyWords(change.key);
  const link = element("a", { href: fragment("keys", { key: change.key }) }, "history");
  const details = element("details", { class: `change ${change.change}` });
  const summary = element(
    "summary",
    {},
    element("span", { class: "badge" }, change.change),
    element("code", {}, name),
  );
  details.append(summary);
  // Compared when somebody looks: a page of large values would take its time otherwise.
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    details.append(
      diffNode(before, after, bestFormat(before, after), `Change of ${name}`),
      element("p", {}, link),
    );
  });
  return element("li", {}, details);
}
