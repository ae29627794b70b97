// Tables: every number of every member, the slowest watchers, the links, the top prefixes.
//
// Owns: the view for screen readers and for people who like tables better than drawings.
// Must never do: hold a number that the cards do not have; both read measures.js.

import { element, keyed, setText } from "./element.js";
import { linkState } from "./links.js";
import { MEASURES } from "./measures.js";
import { visible } from "./bytes.js";
import { bytes, count, milliseconds, rate, NOTHING } from "./words.js";

/** Writes rows of text into a table's body; the first cell is the row's heading. */
export function fill(body, rows, keyOf = (row) => row[0]) {
  const make = (row) =>
    element("tr", {}, ...row.map((_, at) => element(at ? "td" : "th", at ? {} : { scope: "row" })));
  keyed(body, rows, keyOf, make, (line, row) =>
    row.forEach((text, at) => setText(line.children[at], text)),
  );
}

function fillHead(table, titles) {
  const row = table.tHead.rows[0];
  keyed(
    row,
    titles.map((title, at) => ({ title, at })),
    ({ at }) => at,
    () => element("th", { scope: "col" }),
    (cell, { title }) => setText(cell, title),
  );
}

export class MemberTable {
  constructor(table) {
    this.table = table;
  }

  update(cluster) {
    const members = cluster.members;
    fillHead(this.table, ["Measure", ...members.map((member) => member.name)]);
    // A row has a cell a member: another number of members is another row.
    const rows = MEASURES.map(([title, words]) => [
      title,
      ...members.map((member) => words(member, cluster)),
    ]);
    fill(this.table.tBodies[0], rows, (row) => `${row[0]} ${members.length}`);
  }
}

export class LinkTable {
  constructor(table) {
    this.table = table;
  }

  /** `counts`: messages of the last second, by "from to". */
  update(cluster, counts) {
    const rows = cluster.pairs.map((pair) => [
      `${pair.a.name} – ${pair.b.name}`,
      linkState(pair),
      milliseconds(pair.rtt),
      count(counts.get(`${pair.a.id} ${pair.b.id}`) ?? 0),
      count(counts.get(`${pair.b.id} ${pair.a.id}`) ?? 0),
    ]);
    fill(this.table.tBodies[0], rows);
  }
}

export class WatcherTable {
  constructor(table, empty) {
    this.table = table;
    this.empty = empty;
  }

  update(cluster) {
    const slow = cluster.members.flatMap((member) =>
      member.slowest_watchers.map((watcher) => ({ member, watcher })),
    );
    slow.sort(
      (a, b) =>
        b.watcher.behind - a.watcher.behind || b.watcher.backlog_bytes - a.watcher.backlog_bytes,
    );
    const rows = slow
      .slice(0, 10)
      .map(({ member, watcher }) => [
        watcher.client,
        member.name,
        visible(watcher.range),
        count(watcher.behind),
        bytes(watcher.backlog_bytes),
      ]);
    this.empty.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    fill(this.table.tBodies[0], rows, (row) => row.slice(0, 3).join(" "));
  }
}

export class PrefixTable {
  constructor(table, empty, note) {
    this.table = table;
    this.empty = empty;
    this.note = note;
  }

  update(cluster) {
    const prefixes = cluster.now.prefixes ?? [];
    const rows = prefixes.map((row) => [
      visible(row.prefix) || NOTHING,
      count(row.keys),
      bytes(row.bytes),
      rate(row.writes_per_s),
    ]);
    this.empty.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    const sampled = cluster.now.sampled || prefixes.some((row) => row.sampled);
    setText(this.note, sampled ? "Estimated from a sample of the keys." : "");
    fill(this.table.tBodies[0], rows);
  }
}
