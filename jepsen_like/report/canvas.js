// A canvas with a time axis: sharp on every screen, as wide as its column, in the page's colours.

const GUTTER_MIN = 76;
const GUTTER_MAX = 140;
const GUTTER_NARROW = 72;
const AXIS_HEIGHT = 20;
const FONT = '12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

// As wide as the longest name of a fault needs, and the same in all drawings, so that they align.
const GUTTER_WIDE = (() => {
  const context = document.createElement("canvas").getContext("2d");
  context.font = FONT;
  const widths = data.faults.map((fault) => context.measureText(fault.name).width + 14);
  return Math.min(GUTTER_MAX, widths.reduce((most, width) => Math.max(most, width), GUTTER_MIN));
})();

const palette = {};
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "raised", "line", "text", "muted", "answered", "refused", "unknown",
    "finding", "band", "fault", "dim", "median", "tail", "focus"];
  for (const name of names) palette[name] = style.getPropertyValue("--" + name).trim();
}
readPalette();

class TimeCanvas {
  // `height()` in CSS pixels; `paint(this)` draws below the axis.
  constructor(canvas, height, paint) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.height = height;
    this.paint = paint;
    this.pending = false;
    onWindow(() => this.later());
    new ResizeObserver(() => this.later()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readPalette();
      this.later();
    });
    this.navigate();
  }

  later() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  draw() {
    const width = this.canvas.clientWidth;
    const height = this.height();
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = height + "px";
    }
    this.left = width < 600 ? GUTTER_NARROW : GUTTER_WIDE;
    this.right = width - 1;
    const context = this.context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    this.bands(height);
    this.axis(height);
    this.paint(this);
  }

  x(micros) {
    return this.left + ((micros - shown.from) / (shown.to - shown.from)) * (this.right - this.left);
  }

  time(x) {
    return shown.from + ((x - this.left) / (this.right - this.left)) * (shown.to - shown.from);
  }

  // Draws inside the plot only, so that nothing runs over the labels at the left.
  clipped(top, height, draw) {
    const context = this.context;
    context.save();
    context.beginPath();
    context.rect(this.left, top, this.right - this.left + 1, height);
    context.clip();
    draw(context);
    context.restore();
  }

  // A label in the gutter, cut to its width.
  label(text, y, colour = palette.muted) {
    const context = this.context;
    context.fillStyle = colour;
    context.textAlign = "right";
    context.fillText(this.fitted(text, this.left - 8), this.left - 6, y);
    context.textAlign = "left";
  }

  fitted(text, width) {
    const context = this.context;
    if (context.measureText(text).width <= width) return text;
    let length = text.length;
    while (length > 0 && context.measureText(text.slice(0, length) + "…").width > width) length -= 1;
    return length > 0 ? text.slice(0, length) + "…" : "";
  }

  // Overlapping faults give one band, not a darker one that would mean nothing.
  bands(height) {
    const context = this.context;
    context.fillStyle = palette.band;
    let until = -1;
    this.clipped(AXIS_HEIGHT, height - AXIS_HEIGHT, () => {
      for (const fault of data.faults) {
        const begin = Math.max(fault.begin, until);
        if (fault.end <= begin) continue;
        until = fault.end;
        if (fault.end < shown.from || begin > shown.to) continue;
        const left = this.x(begin);
        context.fillRect(left, AXIS_HEIGHT, Math.max(1, this.x(fault.end) - left), height - AXIS_HEIGHT);
      }
    });
  }

  axis(height) {
    const context = this.context;
    const plot = this.right - this.left;
    const step = roundStep((shown.to - shown.from) / Math.max(2, Math.floor(plot / 110)));
    const places = decimals(step);
    let free = this.left - 30;
    for (let tick = Math.ceil(shown.from / step) * step; tick <= shown.to + 1e-6; tick += step) {
      const x = Math.round(this.x(tick)) + 0.5;
      context.fillStyle = palette.line;
      context.fillRect(x - 0.5, AXIS_HEIGHT - 4, 1, height - AXIS_HEIGHT + 4);
      const text = secondsWords(tick, places);
      const width = context.measureText(text).width;
      const begin = Math.min(Math.max(x - width / 2, this.left), this.right - width);
      if (begin < free + 8) continue;
      context.fillStyle = palette.muted;
      context.fillText(text, begin, AXIS_HEIGHT / 2 - 1);
      free = begin + width;
    }
  }

  // Moving and zooming by pointer. A plain wheel scrolls the page, as everywhere.
  navigate() {
    const canvas = this.canvas;
    let drag = null;
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY * 0.004), this.time(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => zoom(0.4, this.time(event.offsetX)));
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.offsetX, from: shown.from, to: shown.to };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag || Math.abs(event.offsetX - drag.x) < 3) return;
      const by = ((drag.x - event.offsetX) / (this.right - this.left)) * (drag.to - drag.from);
      showWindow(drag.from + by, drag.to + by);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { drag = null; });
  }
}
