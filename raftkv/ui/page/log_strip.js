// The end of a member's log, as the Raft paper draws it: a cell an entry, with its term.
//
// Owns: which entries are shown, under one index for all members, and where the marks of commit
// and apply are. When entries come too fast to be cells, the strip is a bar of the last seconds
// with the same marks. Must never do: know about other parts of a row.

import { element, keyed, setAttributes, setText } from "./element.js";
import { count, counted } from "./words.js";

const CELLS = 24;
const TERM_COLOURS = 6;
const CELLS_RATE_MAX = 40; // entries a second that an eye can follow
const BAR_SECONDS = 3;

/** {from, to, cells}: the indexes that all strips show, and whether as cells or as a bar. */
export function spanOf(cluster) {
  const to = Math.max(CELLS, cluster.lastIndex);
  const rate = Math.max(0, ...cluster.members.map((member) => member.entries_per_s ?? 0));
  if (rate <= CELLS_RATE_MAX) return { from: to - CELLS + 1, to, cells: true };
  return { from: Math.max(1, to - Math.ceil(rate * BAR_SECONDS) + 1), to, cells: false };
}

export function logWords(member) {
  if (member.last_index === null || member.last_index === undefined)
    return "Nothing is known of its log";
  const waiting = member.last_index - member.commit_index;
  const unapplied = member.commit_index - member.applied_index;
  const open = waiting > 0 ? `, ${count(waiting)} not committed` : "";
  const late = unapplied > 0 ? `, ${count(unapplied)} committed but not applied` : "";
  const ends = [member.last_index, member.commit_index, member.applied_index].map(count);
  return `Log to ${ends[0]}, commit ${ends[1]}, applied ${ends[2]}${open}${late}`;
}

export class LogStrip {
  constructor() {
    this.cells = element("div", { class: "cells", "aria-hidden": "true" });
    this.bar = element(
      "div",
      { class: "bar", "aria-hidden": "true" },
      ...["applied", "committed", "waiting"].map((name) => element("span", { class: name })),
    );
    this.words = element("p", { class: "log-words" });
    this.node = element("div", { class: "strip" }, this.cells, this.bar, this.words);
  }

  update(member, span) {
    this.cells.hidden = !span.cells;
    this.bar.hidden = span.cells;
    const behind = member.last_index > 0 ? span.to - member.last_index : 0;
    const note =
      behind > 0 && (behind >= CELLS || !span.cells) && member.last_index < span.from
        ? ` · ${counted(behind, "entry").replace(/entrys$/, "entries")} behind`
        : "";
    setText(this.words, `${logWords(member)}${note}`);
    if (span.cells) this.#drawCells(member, span);
    else this.#drawBar(member, span);
  }

  #drawCells(member, span) {
    const known = new Map(member.tail.map((entry) => [entry.index, entry]));
    const columns = Array.from({ length: CELLS }, (_, at) => span.from + at);
    keyed(
      this.cells,
      columns,
      (index) => index,
      () => element("span", {}),
      (cell, index) => {
        const entry = known.get(index);
        setText(cell, entry ? entry.term : "");
        setAttributes(cell, {
          class: cellClass(member, index, entry),
          title: entry
            ? `${count(index)}: ${entry.kind}, term ${entry.term}, ${counted(entry.bytes, "byte")}`
            : null,
        });
      },
    );
  }

  #drawBar(member, span) {
    const width = span.to - span.from + 1;
    const part = (index) => Math.min(1, Math.max(0, (index - span.from + 1) / width));
    const ends = [part(member.applied_index), part(member.commit_index), part(member.last_index)];
    let start = 0;
    ends.forEach((end, at) => {
      const style = this.bar.children[at].style;
      style.left = `${(100 * start).toFixed(2)}%`;
      style.width = `${(100 * Math.max(0, end - start)).toFixed(2)}%`;
      start = Math.max(start, end);
    });
  }
}

function cellClass(member, index, entry) {
  if (!entry)
    return index <= member.last_index && index >= member.first_index ? "cell unseen" : "cell none";
  const stage =
    index <= member.applied_index
      ? "applied"
      : index <= member.commit_index
        ? "committed"
        : "waiting";
  return `cell ${stage} term-${entry.term % TERM_COLOURS}`;
}
