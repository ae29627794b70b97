// A small line of the last values.
//
// Owns: its drawing. Must never do: keep values; the cluster does.

import { shape, setAttribute } from "./element.js";

const WIDTH = 240;
const HEIGHT = 36;
const VALUES = 120;

export class Sparkline {
  constructor(label) {
    this.area = shape("path", { class: "area" });
    this.line = shape("path", { class: "line" });
    this.node = shape(
      "svg",
      {
        class: "sparkline",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": label,
      },
      this.area,
      this.line,
    );
  }

  /** The newest value is at the right; the tallest fills the height. */
  update(values) {
    const most = Math.max(1, ...values);
    const step = WIDTH / (VALUES - 1);
    const x = (at) => (WIDTH - (values.length - 1 - at) * step).toFixed(1);
    const y = (value) => (HEIGHT - 2 - (value / most) * (HEIGHT - 6)).toFixed(1);
    const points = values.map((value, at) => `${x(at)},${y(value)}`);
    const line = points.length > 1 ? `M${points.join("L")}` : "";
    setAttribute(this.line, "d", line);
    setAttribute(this.area, "d", line && `${line}V${HEIGHT}H${x(0)}Z`);
  }
}
