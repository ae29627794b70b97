// Rows of things that happened, one row per client or stream: finding one by pointer or by keys.

// `rows[r]` lists the numbers of the things of row r in order of their begin; `begin` and `end` are
// indexed by those numbers.
class Rows {
  constructor(rows, begin, end) {
    this.rows = rows;
    this.begin = begin;
    this.end = end;
    this.row = new Int32Array(begin.length);
    this.place = new Int32Array(begin.length);
    rows.forEach((things, row) => things.forEach((thing, place) => {
      this.row[thing] = row;
      this.place[thing] = place;
    }));
  }

  // The first place in a row that can reach into the window. Things of one row hardly overlap, so
  // one step back is enough.
  firstPlace(row, from) {
    return Math.max(0, lowerBound(this.rows[row], from, (thing) => this.begin[thing]) - 1);
  }

  *inWindow(row) {
    const things = this.rows[row];
    for (let place = this.firstPlace(row, shown.from); place < things.length; place += 1) {
      const thing = things[place];
      if (this.begin[thing] > shown.to) return;
      if (this.end[thing] >= shown.from) yield thing;
    }
  }

  // The nearest to a time within `reach`, or -1.
  nearest(row, time, reach = Infinity) {
    const things = this.rows[row];
    let best = -1;
    let distance = reach;
    const middle = lowerBound(things, time, (thing) => this.begin[thing]);
    for (let place = Math.max(0, middle - 2); place < Math.min(things.length, middle + 2); place += 1) {
      const thing = things[place];
      const away = Math.max(0, this.begin[thing] - time, time - this.end[thing]);
      if (away < distance || (away === distance && best < 0)) {
        best = thing;
        distance = away;
      }
    }
    return best;
  }

  // The neighbour of a thing by arrow key, or the thing itself at an edge.
  step(thing, key) {
    const row = this.row[thing];
    const things = this.rows[row];
    if (key === "ArrowLeft") return things[Math.max(0, this.place[thing] - 1)];
    if (key === "ArrowRight") return things[Math.min(things.length - 1, this.place[thing] + 1)];
    const by = key === "ArrowUp" ? -1 : 1;
    for (let next = row + by; next >= 0 && next < this.rows.length; next += by) {
      if (this.rows[next].length) return this.nearest(next, this.begin[thing]);
    }
    return thing;
  }

  first() {
    for (let row = 0; row < this.rows.length; row += 1) {
      for (const thing of this.inWindow(row)) return thing;
    }
    return this.rows.find((things) => things.length)?.[0] ?? -1;
  }
}

// Wires a canvas to its rows: `rowAt(y)` is a row or -1, `tell(thing)` says it in the readout,
// `keys` maps further keys to `(thing, event) => thing`.
function choose(panel, rows, rowAt, tell, keys = {}) {
  const canvas = panel.canvas;
  const select = (thing) => {
    if (thing < 0) return;
    panel.chosen = thing;
    reveal(rows.begin[thing], rows.end[thing]);
    tell(thing);
    panel.later();
  };
  const under = (event) => {
    const row = rowAt(event.offsetY);
    if (row < 0 || event.offsetX < panel.left) return -1;
    const reach = (8 / (panel.right - panel.left)) * (shown.to - shown.from);
    return rows.nearest(row, panel.time(event.offsetX), reach);
  };
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) return;
    const thing = under(event);
    if (thing < 0 || thing === panel.chosen) return;
    panel.chosen = thing;
    tell(thing);
    panel.later();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const view = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => showWindow(0, SPAN),
      ",": () => move(-0.5), ".": () => move(0.5) }[event.key];
    const known = panel.chosen ?? -1;
    if (view) view();
    else if (event.key.startsWith("Arrow")) select(known < 0 ? rows.first() : rows.step(known, event.key));
    else if (keys[event.key.toLowerCase()]) select(keys[event.key.toLowerCase()](known, event.shiftKey ? -1 : 1));
    else return;
    event.preventDefault();
  });
  return select;
}
