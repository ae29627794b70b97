// Latency of each call and the rates, above the same window of time.

const LATENCY_HEIGHT = 230;
const RATE_HEIGHT = 54;
const RATE_GAP = 10;

const latencies = operations.begin.map((begin, number) => Math.max(1, operations.end[number] - begin));
const latencyRange = (() => {
  let low = Infinity;
  let high = 1;
  for (const latency of latencies) {
    low = Math.min(low, latency);
    high = Math.max(high, latency);
  }
  low = 10 ** Math.floor(Math.log10(Math.min(low, high)));
  return { low, high: Math.max(low * 10, 10 ** Math.ceil(Math.log10(high))) };
})();

const latencyCanvas = new TimeCanvas(document.getElementById("latency-canvas"), () => LATENCY_HEIGHT, paintLatency);
const ratesCanvas = new TimeCanvas(
  document.getElementById("rates-canvas"),
  () => AXIS_HEIGHT + STANDINGS.length * (RATE_HEIGHT + RATE_GAP),
  paintRates,
);

// The last bin takes what is left of the run.
function binEnd(index) {
  return index === data.series.p50.length - 1 ? SPAN : (index + 1) * data.series.width;
}

function latencyY(micros) {
  const { low, high } = latencyRange;
  const share = Math.log10(Math.max(low, micros) / low) / Math.log10(high / low);
  return LATENCY_HEIGHT - 8 - share * (LATENCY_HEIGHT - AXIS_HEIGHT - 20);
}

function paintLatency(panel) {
  const context = panel.context;
  for (let tick = latencyRange.low; tick <= latencyRange.high * 1.001; tick *= 10) {
    const y = Math.round(latencyY(tick));
    context.fillStyle = palette.line;
    context.fillRect(panel.left, y, panel.right - panel.left, 1);
    panel.label(tickWords(tick), y);
  }
  panel.clipped(AXIS_HEIGHT, LATENCY_HEIGHT, () => {
    paintDots(panel);
    paintLine(panel, data.series.p99, palette.tail, "p99");
    paintLine(panel, data.series.p50, palette.median, "p50");
  });
}

function tickWords(micros) {
  if (micros >= 1e6) return micros / 1e6 + " s";
  return micros >= 1e3 ? micros / 1e3 + " ms" : micros + " µs";
}

// One dot per pixel is all that can be seen; the unusual ones come last and on top.
function paintDots(panel) {
  const context = panel.context;
  const colours = STANDINGS.map((name) => palette[name]);
  const visible = operations.begin.length ? [lowerBound(operations.begin, shown.from), lowerBound(operations.begin, shown.to)] : [0, 0];
  // Few dots are drawn large enough to be seen one by one.
  const sizes = visible[1] - visible[0] < 3000 ? [3, 5, 5] : [2, 4, 4];
  for (let standing = 0; standing < STANDINGS.length; standing += 1) {
    const taken = new Set();
    context.fillStyle = colours[standing];
    for (let number = visible[0]; number < visible[1]; number += 1) {
      if (operations.standing[number] !== standing) continue;
      const x = Math.round(panel.x(operations.begin[number]));
      const y = Math.round(latencyY(latencies[number]));
      const spot = x * LATENCY_HEIGHT + y;
      if (taken.has(spot)) continue;
      taken.add(spot);
      const half = sizes[standing] / 2;
      context.fillRect(x - half, y - half, sizes[standing], sizes[standing]);
    }
  }
}

// Steps, since a percentile is of its whole bin; where nothing was answered the line is broken.
function paintLine(panel, values, colour, name) {
  const context = panel.context;
  const width = data.series.width;
  const path = new Path2D();
  let last = null;
  let named = null;
  values.forEach((value, index) => {
    if (value === null || binEnd(index) < shown.from || index * width > shown.to) {
      last = null;
      return;
    }
    const y = latencyY(value);
    const left = panel.x(index * width);
    if (last === null) path.moveTo(left, y);
    else path.lineTo(left, y);
    path.lineTo(panel.x(binEnd(index)), y);
    named = [Math.min(panel.right, panel.x(binEnd(index))), y];
    last = y;
  });
  // A rim in the ground's colour keeps the line apart from the dots under it.
  context.lineWidth = 3.5;
  context.strokeStyle = palette.ground;
  context.stroke(path);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.setLineDash(name === "p99" ? [5, 3] : []);
  context.stroke(path);
  context.setLineDash([]);
  if (!named) return;
  // One name above its line and one below, since the two lines may be close.
  const x = named[0] - context.measureText(name).width - 6;
  const y = named[1] + (name === "p99" ? -11 : 12);
  context.lineWidth = 4;
  context.strokeStyle = palette.ground;
  context.strokeText(name, x, y);
  context.fillStyle = palette.text;
  context.fillText(name, x, y);
}

function paintRates(panel) {
  const context = panel.context;
  STANDINGS.forEach((name, index) => {
    const values = data.series[name];
    const top = AXIS_HEIGHT + index * (RATE_HEIGHT + RATE_GAP) + 6;
    const base = top + RATE_HEIGHT - 6;
    const high = values.reduce((most, value) => Math.max(most, value), 0);
    context.fillStyle = palette.line;
    context.fillRect(panel.left, base, panel.right - panel.left, 1);
    panel.label(name, top + 18, palette.text);
    panel.label(high ? rateWords(high) : "none", top + 4);
    panel.label("0", base);
    if (!high) return;
    context.fillStyle = palette[name];
    panel.clipped(top, RATE_HEIGHT, () => {
      values.forEach((value, bin) => {
        if (!value) return;
        const left = panel.x(bin * data.series.width);
        const right = panel.x(binEnd(bin));
        if (right < panel.left || left > panel.right) return;
        const height = Math.max(2, (value / high) * (base - top));
        context.fillRect(left, base - height, Math.max(1, right - left - (right - left > 4 ? 1 : 0)), height);
      });
    });
  });
}

function rateWords(rate) {
  return rate >= 100 ? Math.round(rate).toLocaleString("en") + "/s" : Number(rate.toPrecision(2)) + "/s";
}
