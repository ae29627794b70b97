"use strict";
// The window of time that all drawings share, the data they draw, and how numbers are said.

// Whatever goes wrong is written where a test, and a person in the inspector, can read it.
function recordError(text) {
  const root = document.documentElement;
  root.dataset.errors = (root.dataset.errors ? root.dataset.errors + "\n" : "") + text;
}
window.addEventListener("error", (event) => recordError(event.message));
window.addEventListener("unhandledrejection", (event) => recordError(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => recordError("refused: " + event.violatedDirective));

const data = JSON.parse(document.getElementById("data").textContent);
const STANDINGS = ["answered", "refused", "unknown"];
const SPAN = Math.max(1, data.span);
const WINDOW_MIN = Math.min(SPAN, 20);

const shown = { from: 0, to: SPAN };
const listeners = [];

function onWindow(listener) {
  listeners.push(listener);
}

// Keeps the width when an edge of the run is met.
function showWindow(from, to) {
  const width = Math.min(SPAN, Math.max(WINDOW_MIN, to - from));
  shown.from = Math.min(Math.max(0, from), SPAN - width);
  shown.to = shown.from + width;
  for (const listener of listeners) listener();
}

function zoom(factor, at = (shown.from + shown.to) / 2) {
  const share = (at - shown.from) / (shown.to - shown.from);
  const width = Math.max(WINDOW_MIN, (shown.to - shown.from) * factor);
  showWindow(at - share * width, at + (1 - share) * width);
}

function move(share) {
  const by = share * (shown.to - shown.from);
  showWindow(shown.from + by, shown.to + by);
}

// Brings a time into the window, and leaves the window alone when it is there already.
function reveal(begin, end) {
  if (begin >= shown.from && end <= shown.to) return;
  const width = Math.max(shown.to - shown.from, (end - begin) * 1.5);
  const middle = (begin + end) / 2;
  showWindow(middle - width / 2, middle + width / 2);
}

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].find((factor) => factor * power >= least * 0.999) * power;
}

// Decimals that tell one tick, or one microsecond of a narrow window, from the next.
function decimals(stepMicros) {
  return Math.min(6, Math.max(0, Math.ceil(-Math.log10(stepMicros / 1e6) - 1e-9)));
}

function secondsWords(micros, places = 6) {
  return (micros / 1e6).toFixed(places) + " s";
}

function durationWords(micros) {
  if (micros >= 1e6) return (micros / 1e6).toPrecision(3) + " s";
  if (micros >= 1e3) return (micros / 1e3).toPrecision(3) + " ms";
  return Math.round(micros) + " µs";
}

function windowWords() {
  const places = decimals((shown.to - shown.from) / 1000);
  return `${secondsWords(shown.from, places)} to ${secondsWords(shown.to, places)} of ${secondsWords(SPAN, 3)}`;
}

// The first position of an ascending list whose value is at least `value`.
function lowerBound(list, value, of = (item) => item) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(list[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
