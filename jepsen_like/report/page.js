// Starts the page: buttons, the table of the window, links to a window, and the first drawing.

const TABLE_ROWS_MAX = 200;
const panels = [timeline, latencyCanvas, ratesCanvas];
const watchesCanvas = document.getElementById("watches-canvas");
if (watchesCanvas) panels.push(watchPanel(watchesCanvas));

const windowTable = document.getElementById("window-table");
const windowWordsPlace = document.getElementById("window-words");
const acts = {
  earlier: () => move(-0.5),
  later: () => move(0.5),
  in: () => zoom(0.5),
  out: () => zoom(2),
  whole: () => showWindow(0, SPAN),
};

function tellWindow(calls) {
  const hits = lookedFor.hit ? `, ${lookedFor.hit.filter(Boolean).length.toLocaleString("en")} in the run have “${lookedFor.text}”` : "";
  const words = `${windowWords()}: ${calls.toLocaleString("en")} ${calls === 1 ? "call" : "calls"}${hits}`;
  // Written only when it differs, or a screen reader would say it at every drawing.
  if (windowWordsPlace.textContent !== words) windowWordsPlace.textContent = words;
}

function followWindow() {
  const bar = document.getElementById("position").style;
  bar.left = (100 * shown.from) / SPAN + "%";
  bar.width = (100 * (shown.to - shown.from)) / SPAN + "%";
  const whole = shown.from === 0 && shown.to === SPAN;
  for (const act of ["out", "whole", "earlier", "later"]) {
    document.querySelector(`[data-act="${act}"]`).setAttribute("aria-disabled", String(whole));
  }
  if (windowTable.open) fillTable();
}

function fillTable() {
  const numbers = [];
  clientRows.rows.forEach((_, row) => numbers.push(...clientRows.inWindow(row)));
  numbers.sort((a, b) => a - b);
  const rows = numbers.slice(0, TABLE_ROWS_MAX);
  const table = element("table");
  const more = numbers.length > rows.length ? `, the first ${TABLE_ROWS_MAX} of ${numbers.length.toLocaleString("en")}; zoom in for others` : "";
  table.append(element("caption", `${windowWords()}${more}`));
  const head = element("tr");
  for (const name of ["At", "Client", "Member", "Request", "Outcome", "Took"]) head.append(element("th", name, { scope: "col" }));
  table.append(element("thead"));
  table.tHead.append(head);
  const body = table.createTBody();
  for (const number of rows) {
    const call = describeCall(number);
    const line = element("tr");
    line.append(element("th", secondsWords(call.begin), { scope: "row" }));
    for (const text of [call.client, call.member, call.request, call.outcome, durationWords(call.length)]) line.append(element("td", text));
    body.append(line);
  }
  windowTable.querySelector(".scroll").replaceChildren(table);
}

// A finding with a little of what was around it.
function showFinding(index) {
  const numbers = data.findings[index] ?? [];
  if (!numbers.length) return;
  const begin = Math.min(...numbers.map((number) => operations.begin[number]));
  const end = Math.max(...numbers.map((number) => operations.end[number]));
  const around = Math.max(WINDOW_MIN, (end - begin) * 0.3, 1000);
  showWindow(begin - around, end + around);
  chooseCall(numbers[0]);
}

// #window=1.5,2.5 opens the page on these seconds, so that a window can be linked to.
function followLink() {
  const found = /^#window=([\d.]+),([\d.]+)$/.exec(location.hash);
  if (found) showWindow(Number(found[1]) * 1e6, Number(found[2]) * 1e6);
}

document.querySelector(".controls").addEventListener("click", (event) => acts[event.target.dataset.act]?.());
document.getElementById("filter").addEventListener("input", (event) => lookFor(event.target.value));
windowTable.addEventListener("toggle", () => windowTable.open && fillTable());
for (const button of document.querySelectorAll("button[data-finding]")) {
  button.disabled = !data.findings[Number(button.dataset.finding)]?.length;
  button.addEventListener("click", () => {
    showFinding(Number(button.dataset.finding));
    document.getElementById("timeline").scrollIntoView();
    timeline.canvas.focus({ preventScroll: true });
  });
}
window.addEventListener("hashchange", followLink);
onWindow(followWindow);
document.getElementById("readout").append(element("p", "Point at a call, or focus the timeline and use the arrow keys.", { class: "note" }));
followLink();
followWindow();
for (const panel of panels) panel.draw();
document.documentElement.dataset.ready = String(operations.begin.length);
