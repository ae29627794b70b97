// A value as text, as JSON, as hex or as base64, and the difference of two.
//
// Owns: how bytes become something to read. Must never do: fetch them.

import { element } from "./element.js";
import { fromBase64url, hexDump } from "./bytes.js";
import { diffText } from "./text_diff.js";
import { counted } from "./words.js";

export const FORMATS = ["text", "json", "hex", "base64"];
const SHOWN_CHARACTERS_MAX = 200_000;
const UNSEEN = /[^\P{Cc}\t\n\r]/u; // control characters: no text has them
const SIGNS = { removed: "−", added: "+", same: " ", alike: "…" };

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** The format that shows most: JSON objects as JSON, text as text, other bytes as hex. */
export function bestFormat(...versions) {
  const texts = versions.map((version) => version?.value_text ?? (version?.value ? null : ""));
  if (texts.some((text) => text === null || UNSEEN.test(text))) return "hex";
  const structured = texts.every(
    (text) => text === "" || (/^\s*[[{]/.test(text) && prettyJson(text) !== null),
  );
  return structured && texts.some((text) => text !== "") ? "json" : "text";
}

/** A value's words in a format; what does not fit the format is shown as it can be. */
export function valueWords(version, format) {
  const text = version.value_text ?? null;
  if (format === "base64") return version.value.match(/.{1,76}/g)?.join("\n") ?? "";
  if (format === "hex" || text === null) return hexDump(fromBase64url(version.value));
  return (format === "json" ? prettyJson(text) : null) ?? text;
}

export function valueNode(version, format, label) {
  const words = valueWords(version, format);
  const cut = words.length > SHOWN_CHARACTERS_MAX;
  const pre = element(
    "pre",
    { class: "value", tabindex: 0, role: "region", "aria-label": label },
    cut ? words.slice(0, SHOWN_CHARACTERS_MAX) : words,
  );
  const notes = [];
  if (words === "") notes.push("The value is empty.");
  if (cut) notes.push("Only its beginning is shown.");
  if (version.truncated) notes.push("It is longer than 256 KiB: raftkv ctl get prints all of it.");
  if (version.value_text === null && format !== "base64" && format !== "hex")
    notes.push("It is no UTF-8, and shown as hex.");
  return element(
    "div",
    {},
    pre,
    notes.length ? element("p", { class: "note" }, notes.join(" ")) : null,
  );
}

/** The difference of two values; a version that was deleted, or is none, has the value "". */
export function diffNode(before, after, format, label) {
  const words = (version) => (version?.value ? valueWords(version, format) : "");
  const rows = diffText(words(before), words(after));
  if (!rows.length) return element("p", { class: "note" }, "Both are the same.");
  const lines = rows.map((row) => {
    if (row.kind === "alike")
      return element("div", { class: "alike" }, `… ${counted(row.lines, "line")} alike …`);
    const tag = row.kind === "removed" ? "del" : row.kind === "added" ? "ins" : "span";
    const parts = row.parts.map((part) =>
      part.changed ? element("mark", {}, part.text) : part.text,
    );
    return element(
      "div",
      { class: row.kind },
      element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[row.kind]),
      element(tag, {}, ...parts),
    );
  });
  return element(
    "div",
    { class: "diff", tabindex: 0, role: "region", "aria-label": label },
    ...lines,
  );
}

/** A choice of formats; `changed()` hears of it. `best` is what "best" means here. */
export function formatChoice(id, changed) {
  const options = ["best", ...FORMATS].map((format) =>
    element("option", { value: format }, format),
  );
  const select = element("select", { id, change: changed }, ...options);
  return { select, node: element("label", { class: "field inline", for: id }, "Show as", select) };
}
