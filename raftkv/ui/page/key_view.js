// One key: its value, its versions, and what changed between two of them.
//
// Owns: that panel. Must never do: fetch more versions than were asked for, or run what they say.

import { element, byId, keyed, setAttribute, setText } from "./element.js";
import { keyWords } from "./bytes.js";
import { bestFormat, diffNode, formatChoice, valueNode } from "./value_view.js";
import { bytes, count } from "./words.js";

const VERSIONS = 20;

export class KeyView {
  constructor(api, fail) {
    this.api = api;
    this.fail = fail;
    this.format = formatChoice("value-format", () => this.#draw());
    byId("value-controls").append(this.format.node);
    byId("history-more").addEventListener("click", () => this.#older());
    this.asked = 0;
  }

  /** Shows what the address says: a key at a revision, or none. */
  async follow(params) {
    const [key, rev] = [params.get("key"), params.get("rev") ?? ""];
    if (this.key === key && this.rev === rev) return;
    [this.key, this.rev] = [key, rev];
    await this.load();
  }

  async load() {
    const number = (this.asked += 1);
    byId("key-none").hidden = this.key !== null;
    byId("key-panel").hidden = this.key === null;
    if (this.key === null) return;
    setText(byId("key-name"), this.#name());
    setText(byId("key-facts"), "Asking …");
    this.#clear();
    try {
      const [value, history] = await Promise.all([this.#value(), this.#versions("")]);
      if (number !== this.asked) return;
      this.value = value;
      this.versions = history.versions;
      this.history = history;
      this.chosen = {
        older: this.versions[1]?.revision ?? null,
        newer: this.versions[0]?.revision ?? null,
      };
      this.#draw();
    } catch (error) {
      if (number !== this.asked) return;
      setText(byId("key-facts"), error.message);
      this.fail(error);
    }
  }

  #name() {
    try {
      return keyWords(this.key);
    } catch {
      return "(this address names no key)";
    }
  }

  #clear() {
    byId("value").replaceChildren();
    byId("version-diff").replaceChildren();
    byId("history-table").tBodies[0].replaceChildren();
  }

  /** null: there is no such key at this revision; its history may still tell of it. */
  async #value() {
    try {
      return await this.api.get("/api/key", { key: this.key, rev: this.rev });
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  async #versions(before) {
    const answer = await this.api.get("/api/history", { key: this.key, before, limit: VERSIONS });
    answer.versions.sort((a, b) => b.revision - a.revision);
    return answer;
  }

  async #older() {
    try {
      const answer = await this.#versions(this.versions.at(-1).revision);
      this.versions = [...this.versions, ...answer.versions];
      this.history = answer;
      this.#draw();
    } catch (error) {
      this.fail(error);
    }
  }

  #draw() {
    const { value, versions } = this;
    setText(
      byId("key-facts"),
      value
        ? factsOf(value)
        : `There is no such key at this revision.${versions.length ? " Its history is below." : ""}`,
    );
    const label = `Value of ${this.#name()}`;
    byId("value").replaceChildren(
      ...(value ? [valueNode(value, this.#formatFor(value), label)] : []),
    );
    setAttribute(byId("history-more"), "hidden", !this.history.more);
    const kept =
      this.history.compact_revision > 0
        ? `Revisions before ${count(this.history.compact_revision)} are compacted.`
        : "";
    setText(byId("history-note"), versions.length ? kept : `No version of it is kept. ${kept}`);
    byId("history-table").hidden = versions.length === 0;
    keyed(
      byId("history-table").tBodies[0],
      versions,
      (version) => version.revision,
      (version) => this.#makeRow(version),
      () => {},
    );
    this.#drawDiff();
  }

  #formatFor(...versions) {
    const chosen = this.format.select.value;
    return chosen === "best" ? bestFormat(...versions) : chosen;
  }

  #makeRow(version) {
    const cells = ["older", "newer"].map((side) => {
      const input = element("input", {
        type: "radio",
        name: `version-${side}`,
        value: version.revision,
        checked: this.chosen[side] === version.revision,
        "aria-label": `Compare: ${side} is revision ${version.revision}`,
        change: () => {
          this.chosen[side] = version.revision;
          this.#drawDiff();
        },
      });
      return element("td", {}, input);
    });
    const what = version.type === "delete" ? "deleted" : `put, version ${count(version.version)}`;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, count(version.revision)),
      element("td", {}, what),
      element("td", {}, version.type === "delete" ? "" : bytes(version.bytes)),
      ...cells,
    );
  }

  #drawDiff() {
    const [older, newer] = ["older", "newer"].map((side) =>
      this.versions.find((version) => version.revision === this.chosen[side]),
    );
    if (!newer) return byId("version-diff").replaceChildren();
    const words = older
      ? `From revision ${count(older.revision)} to ${count(newer.revision)}`
      : `Since nothing, at revision ${count(newer.revision)}`;
    const format = this.#formatFor(older, newer);
    return byId("version-diff").replaceChildren(
      element("h4", {}, words),
      diffNode(older, newer, format, words),
    );
  }
}

function factsOf(value) {
  const lease = value.lease ? ` · lease ${value.lease}` : "";
  const size = value.bytes === undefined ? "" : ` · ${bytes(value.bytes)}`;
  const when = `created at revision ${count(value.create_revision)}, changed at ${count(value.mod_revision)}`;
  return `version ${count(value.version)} · ${when}${size}${lease}`;
}
