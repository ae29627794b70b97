// Every call of every client. Where several fall on one pixel, one mark stands for them, and the
// rarer outcome is drawn over the more frequent one: nothing unusual is hidden by what is normal.

const LANE_HEIGHT = 19;
const LANES_MAX = 8;
const operations = data.operations;
const DIMMED = 3;

const clientRows = (() => {
  const rows = operations.processes.map(() => []);
  operations.row.forEach((row, number) => rows[row].push(number));
  return new Rows(rows, operations.begin, operations.end);
})();
const inFinding = new Set(data.findings.flat());
const findingOrder = [...inFinding].sort((a, b) => a - b);
const unknownOrder = operations.standing.flatMap((standing, number) => (standing === 2 ? [number] : []));

// One lane for each name; the last one is shared when there are too many.
const faultLanes = (() => {
  const names = [...new Map(data.faults.map((fault) => [fault.lane, fault.name])).values()];
  const shared = names.length > LANES_MAX;
  return (shared ? [...names.slice(0, LANES_MAX - 1), "others"] : names).map((name, lane) => {
    const others = shared && lane === LANES_MAX - 1;
    const faults = data.faults.filter((fault) => (others ? fault.lane >= lane : fault.lane === lane));
    return { name, faults: faults.map((fault) => ({ ...fault, text: others ? `${fault.name}: ${fault.what}` : fault.what })) };
  });
})();
const rowHeight = Math.max(7, Math.min(26, Math.floor(460 / Math.max(1, clientRows.rows.length))));
const lanesTop = AXIS_HEIGHT + 2;
const rowsTop = lanesTop + faultLanes.length * LANE_HEIGHT + (findingOrder.length ? 17 : 4);
const lookedFor = { text: "", hit: null };

const timeline = new TimeCanvas(
  document.getElementById("timeline-canvas"),
  () => rowsTop + clientRows.rows.length * rowHeight + 4,
  paintTimeline,
);

function paintTimeline(panel) {
  paintFaults(panel);
  const tally = { calls: 0, marks: 0 };
  clientRows.rows.forEach((_, row) => paintClient(panel, row, tally));
  paintFindings(panel);
  paintChosen(panel, clientRows, rowsTop, rowHeight);
  panel.canvas.dataset.calls = tally.calls;
  panel.canvas.dataset.marks = tally.marks;
  tellWindow(tally.calls);
}

function paintFaults(panel) {
  faultLanes.forEach(({ name, faults }, lane) => {
    const top = lanesTop + lane * LANE_HEIGHT;
    panel.label(name, top + 11, palette.text);
    panel.clipped(top, LANE_HEIGHT, (context) => faults.forEach((fault, place) => {
      if (fault.end < shown.from || fault.begin > shown.to) return;
      const left = Math.max(panel.left, panel.x(fault.begin));
      const right = Math.min(panel.right, panel.x(fault.end));
      context.fillStyle = palette.fault;
      context.fillRect(left, top + 1, Math.max(2, right - left), 3);
      // Words end where the next fault of the lane begins.
      const next = faults[place + 1];
      const room = Math.min(right, next ? panel.x(next.begin) : right) - left - 6;
      context.fillStyle = palette.text;
      if (room > 48 || context.measureText(fault.text).width <= room) {
        context.fillText(panel.fitted(fault.text, room), left + 3, top + 11);
      }
    }));
  });
}

// Shape and colour both say how a call ended: a bar, a low bar, a full bar.
function markBox(standing, top) {
  const pad = rowHeight > 12 ? 3 : 1;
  const full = rowHeight - pad;
  if (standing === 1) return [top + pad + Math.round(full * 0.6), Math.max(2, Math.round(full * 0.35))];
  if (standing === 2) return [top + Math.floor(pad / 2), rowHeight - Math.floor(pad / 2) - 1];
  return [top + pad + Math.round(full * 0.15), Math.max(2, Math.round(full * 0.55))];
}

function paintClient(panel, row, tally) {
  const context = panel.context;
  const top = rowsTop + row * rowHeight;
  const every = Math.ceil(14 / rowHeight);
  if (row % every === 0) panel.label(`client ${operations.processes[row]}`, top + rowHeight / 2);
  context.fillStyle = palette.line;
  if (rowHeight > 12) context.fillRect(panel.left, top + rowHeight - 1, panel.right - panel.left, 1);
  const groups = [[], [], [], []];
  for (const number of clientRows.inWindow(row)) {
    tally.calls += 1;
    const group = lookedFor.hit && !lookedFor.hit[number] ? DIMMED : operations.standing[number];
    groups[group].push(number);
  }
  const colours = [palette.answered, palette.refused, palette.unknown, palette.dim];
  panel.clipped(top, rowHeight, () => {
    for (const group of [DIMMED, 0, 1, 2]) {
      context.fillStyle = colours[group];
      const [y, height] = markBox(group === DIMMED ? 0 : group, top);
      tally.marks += paintMarks(panel, groups[group], y, height, group === 2);
    }
  });
}

// What falls on a pixel that has its mark already needs none of its own.
function paintMarks(panel, numbers, y, height, open) {
  let covered = -Infinity;
  let marks = 0;
  for (const number of numbers) {
    const right = Math.min(panel.right, panel.x(operations.end[number]));
    let left = Math.max(panel.left, panel.x(operations.begin[number]));
    if (right <= covered) continue;
    // Between two calls that can be told apart, a hair stays free.
    const width = Math.max(1.5, right - left - (right - left > 4 ? 1 : 0));
    if (left < covered) left = covered;
    if (open && width > 5) paintOpen(panel.context, left, y, width, height);
    else panel.context.fillRect(left, y, width, height);
    covered = Math.max(right, left + 1);
    marks += 1;
  }
  return marks;
}

// An unknown call is long, since its client waited in vain: only its rim has the full colour.
function paintOpen(context, left, y, width, height) {
  context.globalAlpha = 0.35;
  context.fillRect(left, y, width, height);
  context.globalAlpha = 1;
  context.strokeStyle = context.fillStyle;
  context.lineWidth = 1.5;
  context.strokeRect(left + 0.75, y + 0.75, width - 1.5, height - 1.5);
}

function paintFindings(panel) {
  const context = panel.context;
  context.fillStyle = palette.finding;
  context.strokeStyle = palette.finding;
  context.lineWidth = 2;
  if (findingOrder.length) panel.label("findings", rowsTop - 8, palette.finding);
  panel.clipped(lanesTop, panel.height(), () => {
    for (const number of findingOrder) {
      if (operations.end[number] < shown.from || operations.begin[number] > shown.to) continue;
      const left = panel.x(operations.begin[number]);
      const right = Math.max(left + 3, panel.x(operations.end[number]));
      const top = rowsTop + clientRows.row[number] * rowHeight;
      context.strokeRect(left - 1, top + 1, right - left + 2, rowHeight - 3);
      const middle = (Math.max(left, panel.left) + Math.min(right, panel.right)) / 2;
      context.beginPath();
      context.moveTo(middle - 5, rowsTop - 11);
      context.lineTo(middle + 5, rowsTop - 11);
      context.lineTo(middle, rowsTop - 3);
      context.fill();
    }
  });
}

function paintChosen(panel, rows, top, height) {
  const thing = panel.chosen ?? -1;
  if (thing < 0) return;
  const left = panel.x(rows.begin[thing]);
  const right = Math.max(left + 2, panel.x(rows.end[thing]));
  panel.clipped(top, panel.height(), (context) => {
    context.strokeStyle = palette.text;
    context.lineWidth = 2;
    context.strokeRect(left - 3, top + rows.row[thing] * height - 1, right - left + 6, height + 1);
  });
}

function describeCall(number) {
  const text = (column) => data.texts[operations[column][number]];
  const begin = operations.begin[number];
  return {
    standing: STANDINGS[operations.standing[number]],
    client: operations.processes[operations.row[number]],
    member: text("member"),
    begin,
    length: operations.end[number] - begin,
    request: text("request"),
    outcome: text("outcome"),
  };
}

function faultsDuring(begin, end) {
  return data.faults.filter((fault) => fault.begin <= end && fault.end >= begin).map((fault) => fault.name);
}

function tellCall(number) {
  const call = describeCall(number);
  const readout = document.getElementById("readout");
  const during = [...new Set(faultsDuring(call.begin, call.begin + call.length))].join(", ");
  const finding = data.findings.flatMap((numbers, index) => (numbers.includes(number) ? [index + 1] : []));
  const notes = [during && `during ${during}`, finding.length && `part of finding ${finding.join(", ")}`];
  readout.className = "readout " + call.standing;
  readout.replaceChildren(
    element("p", [`client ${call.client} → ${call.member} at ${secondsWords(call.begin)}`,
      durationWords(call.length), ...notes.filter(Boolean)].join(", "), { class: "numbers" }),
    element("p", call.request),
    element("p", "→ " + call.outcome),
  );
}

// The next one of an ordered list after the chosen, or before it, around the end.
function nextOf(list, number, by) {
  if (!list.length) return -1;
  const place = lowerBound(list, number);
  if (by > 0) return list[(list[place] === number ? place + 1 : place) % list.length];
  return list[(place - 1 + list.length) % list.length];
}

const chooseCall = choose(
  timeline,
  clientRows,
  (y) => {
    const row = Math.floor((y - rowsTop) / rowHeight);
    return row >= 0 && row < clientRows.rows.length ? row : -1;
  },
  tellCall,
  {
    f: (number, by) => nextOf(findingOrder, number, by),
    u: (number, by) => nextOf(unknownOrder, number, by),
  },
);

function lookFor(text) {
  const wanted = text.trim().toLowerCase();
  const holds = wanted ? data.texts.map((one) => one.toLowerCase().includes(wanted)) : null;
  lookedFor.text = wanted;
  lookedFor.hit = holds && operations.request.map((_, n) =>
    holds[operations.request[n]] || holds[operations.outcome[n]] || holds[operations.member[n]]);
  timeline.later();
}
