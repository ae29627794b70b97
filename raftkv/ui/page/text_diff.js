// What differs between two texts, line by line, and word by word within changed lines.
//
// Owns: the comparison: the longest common subsequence by its table (Wagner and Fischer), over
// what is left when the common beginning and end are taken off. Its cost is bounded: two texts too
// long and too different are told as one removed and one added.
// Must never do: touch the document.

const TABLE_CELLS_MAX = 2_000_000;
const LINE_WORDS_MAX = 400;
const CONTEXT = 3;

/** Steps of {kind: "same" | "removed" | "added", item} from one list to the other. */
export function steps(before, after) {
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const same = (item) => ({ kind: "same", item });
  return [
    ...before.slice(0, start).map(same),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
}

function middle(before, after) {
  const replaced = () => [
    ...before.map((item) => ({ kind: "removed", item })),
    ...after.map((item) => ({ kind: "added", item })),
  ];
  if (!before.length || !after.length || before.length * after.length > TABLE_CELLS_MAX)
    return replaced();
  const table = commonLengths(before, after);
  const width = after.length + 1;
  const path = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const down = i < before.length ? table[(i + 1) * width + j] : -1;
    const right = j < after.length ? table[i * width + j + 1] : -1;
    if (i < before.length && j < after.length && before[i] === after[j]) {
      path.push({ kind: "same", item: before[i] });
      i += 1;
      j += 1;
    } else if (down >= right) path.push({ kind: "removed", item: before[i++] });
    else path.push({ kind: "added", item: after[j++] });
  }
  return path;
}

/** At [i][j]: how many items the rests of both from i and j have in common, in order. */
function commonLengths(before, after) {
  const width = after.length + 1;
  const table = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      table[at] =
        before[i] === after[j]
          ? table[at + width + 1] + 1
          : Math.max(table[at + width], table[at + 1]);
    }
  }
  return table;
}

const words = (line) => line.match(/\s+|[\p{L}\p{N}_]+|./gsu) ?? [];

/** Parts of {text, changed} of each of two lines. */
function lineParts(before, after) {
  const [left, right] = [words(before), words(after)];
  if (left.length > LINE_WORDS_MAX || right.length > LINE_WORDS_MAX) {
    return [[{ text: before, changed: true }], [{ text: after, changed: true }]];
  }
  const path = steps(left, right);
  return ["removed", "added"].map((kind) =>
    joined(path.filter((step) => step.kind === "same" || step.kind === kind)),
  );
}

function joined(path) {
  const parts = [];
  for (const { kind, item } of path) {
    const changed = kind !== "same";
    if (parts.at(-1)?.changed === changed) parts.at(-1).text += item;
    else parts.push({ text: item, changed });
  }
  return parts;
}

/** Nothing is no line, not an empty one. */
const linesOf = (text) => (text === "" ? [] : text.split("\n"));

/**
 * Rows of {kind, parts}; kind "same", "removed", "added", or "alike" for lines left out, whose
 * number is `lines`. Equal texts give no row.
 */
export function diffText(before, after) {
  if (before === after) return [];
  const rows = [];
  const path = steps(linesOf(before), linesOf(after));
  for (let at = 0; at < path.length;) {
    if (path[at].kind === "same") {
      rows.push({ kind: "same", parts: [{ text: path[at].item, changed: false }] });
      at += 1;
      continue;
    }
    let end = at;
    while (end < path.length && path[end].kind !== "same") end += 1;
    rows.push(...changedRows(path.slice(at, end)));
    at = end;
  }
  return folded(rows);
}

/** A removed and an added line that stand for each other are compared word by word. */
function changedRows(path) {
  const removed = path.filter((step) => step.kind === "removed").map((step) => step.item);
  const added = path.filter((step) => step.kind === "added").map((step) => step.item);
  const whole = (kind) => (item) => ({ kind, parts: [{ text: item, changed: false }] });
  if (removed.length !== added.length)
    return [...removed.map(whole("removed")), ...added.map(whole("added"))];
  const pairs = removed.map((line, at) => lineParts(line, added[at]));
  return [
    ...pairs.map(([parts]) => ({ kind: "removed", parts })),
    ...pairs.map(([, parts]) => ({ kind: "added", parts })),
  ];
}

function folded(rows) {
  const near = rows.map(() => false);
  rows.forEach((row, at) => {
    if (row.kind !== "same") near.fill(true, Math.max(0, at - CONTEXT), at + CONTEXT + 1);
  });
  const shown = [];
  rows.forEach((row, at) => {
    if (near[at]) shown.push(row);
    else if (shown.at(-1)?.kind === "alike") shown.at(-1).lines += 1;
    else shown.push({ kind: "alike", lines: 1, parts: [] });
  });
  return shown;
}
