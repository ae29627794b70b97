// Each stream as a line from its opening to its end, with a mark for each response.

const WATCH_ROW_HEIGHT = 18;

function watchPanel(canvas) {
  const names = [];
  const rowOf = new Map();
  for (const watch of data.watches) {
    const key = `${watch.process} ${watch.lane}`;
    if (rowOf.has(key)) continue;
    rowOf.set(key, names.length);
    names.push(watch.lane ? "" : `client ${watch.process}`);
  }
  const things = [];
  data.watches.forEach((watch) => {
    const row = rowOf.get(`${watch.process} ${watch.lane}`);
    watch.at.forEach((at, index) => things.push({ row, watch, at, kind: watch.kind[index], text: watch.text[index] }));
  });
  const perRow = names.map(() => []);
  things.forEach((thing, number) => perRow[thing.row].push(number));
  for (const list of perRow) list.sort((a, b) => things[a].at - things[b].at);
  const times = things.map((thing) => thing.at);
  const rows = new Rows(perRow, times, times);
  const top = AXIS_HEIGHT + 4;

  const panel = new TimeCanvas(canvas, () => top + names.length * WATCH_ROW_HEIGHT + 6, () => {
    const context = panel.context;
    names.forEach((name, row) => panel.label(name, top + (row + 0.5) * WATCH_ROW_HEIGHT));
    panel.clipped(top, panel.height(), () => {
      for (const watch of data.watches) {
        const y = top + (rowOf.get(`${watch.process} ${watch.lane}`) + 0.5) * WATCH_ROW_HEIGHT;
        const left = Math.max(panel.left - 2, panel.x(watch.begin));
        context.fillStyle = palette.muted;
        context.fillRect(left, y - 1, Math.min(panel.right + 2, panel.x(watch.end)) - left, 2);
        context.fillRect(left, y - 5, 1, 10);
      }
      names.forEach((_, row) => paintResponses(panel, rows, things, row, top + (row + 0.5) * WATCH_ROW_HEIGHT));
    });
    paintChosen(panel, rows, top, WATCH_ROW_HEIGHT);
    canvas.dataset.responses = things.length;
  });
  const hint = element("p", "Point at a response, or focus the drawing and use the arrow keys.", { class: "note" });
  document.getElementById("watch-readout").append(hint);
  choose(panel, rows, (y) => {
    const row = Math.floor((y - top) / WATCH_ROW_HEIGHT);
    return row >= 0 && row < names.length ? row : -1;
  }, (number) => tellResponse(things[number]));
  return panel;
}

// One mark of a kind per pixel; what ends a stream is drawn last.
function paintResponses(panel, rows, things, row, y) {
  const kinds = { progress: [], events: [], created: [], canceled: [] };
  for (const number of rows.inWindow(row)) kinds[things[number].kind].push(panel.x(things[number].at));
  const context = panel.context;
  for (const [kind, marks] of Object.entries(kinds)) {
    let last = -Infinity;
    for (const x of marks) {
      if (x - last < 1) continue;
      last = x;
      paintResponse(context, kind, x, y);
    }
  }
}

function paintResponse(context, kind, x, y) {
  if (kind === "progress" || kind === "events") {
    const half = kind === "events" ? 6 : 3;
    context.fillStyle = kind === "events" ? palette.answered : palette.muted;
    context.fillRect(x - 1, y - half, 2, 2 * half);
    return;
  }
  context.lineWidth = 2;
  context.strokeStyle = kind === "created" ? palette.answered : palette.finding;
  context.fillStyle = palette.ground;
  context.beginPath();
  if (kind === "created") {
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.moveTo(x - 5, y - 5);
    context.lineTo(x + 5, y + 5);
    context.moveTo(x + 5, y - 5);
    context.lineTo(x - 5, y + 5);
  }
  context.stroke();
}

function tellResponse(thing) {
  const watch = thing.watch;
  document.getElementById("watch-readout").replaceChildren(
    element("p", `client ${watch.process} ← ${data.texts[watch.member]} at ${secondsWords(thing.at)}`, { class: "numbers" }),
    element("p", data.texts[watch.words]),
    element("p", "← " + data.texts[thing.text]),
  );
}
