// Numbers, times and states in words.
//
// Owns: how every quantity of the page is written, and what a member's state is called.
// Must never do: touch the document.

const COUNT = new Intl.NumberFormat("en");
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
export const NOTHING = "–";

const measured = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (measured(value) ? COUNT.format(Math.round(value)) : NOTHING);

/** `1 key`, `2 keys`. */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  if (!measured(value)) return NOTHING;
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

export function milliseconds(value) {
  if (!measured(value)) return NOTHING;
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10_000 ? 0 : 1)} s`;
  return `${value >= 10 ? Math.round(value) : value.toFixed(value >= 1 ? 1 : 2)} ms`;
}

/** Two of them, `0.2 / 1.9 ms`: p50 and p99. */
export function millisecondsPair(low, high) {
  const [left, right] = [milliseconds(low), milliseconds(high)];
  return left.endsWith(" ms") && right.endsWith(" ms")
    ? `${left.slice(0, -3)} / ${right}`
    : `${left} / ${right}`;
}

export function rate(value) {
  if (!measured(value)) return NOTHING;
  return `${value > 0 && value < 10 ? value.toFixed(1) : count(value)}/s`;
}

export function duration(seconds) {
  if (!measured(seconds)) return NOTHING;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The time of day of milliseconds since 1970. */
export const timeOfDay = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export function shortened(text, length) {
  const letters = [...String(text)];
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : letters.join("");
}

/** What is to be said of a member: its process first, then whether it answers, then its role. */
export function standing(member) {
  if (member.process === "stopped" || member.process === "paused") return member.process;
  if (!member.reachable) return "silent";
  return member.state ?? "unknown";
}

const STANDINGS = { silent: "no answer", unknown: "state unknown" };
export const standingWords = (member) => STANDINGS[standing(member)] ?? standing(member);

export const isUp = (member) => !["stopped", "paused", "silent"].includes(standing(member));
