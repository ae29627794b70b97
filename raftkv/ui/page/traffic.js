// The messages between the members, as dots that travel along their links.
//
// Owns: a fixed pool of dots. A batch that would not fit is bundled: one dot for all messages of a
// kind on a link, bigger the more they are; what does not fit even so is counted as not drawn. So
// a frame costs the same however many messages there are.
// With reduced motion nothing travels: messages are counted, a second at a time.
// Must never do: ask the member for anything.

import { shape, setAttribute } from "./element.js";
import { along, lane, dotOutline, dotSize, BROKEN } from "./geometry.js";
import { calm } from "./frames.js";

export const DOTS_MAX = 120;
export const TRAVEL_MS = 450;
const HELD_MS = 450; // played this much later than it was: what other members saw comes later
const LATE_MS = 600;
const BREAKS_AT = 0.55;
const FALLS = 26;

const FROM_LEADER = new Set(["heartbeat", "append", "snapshot"]);

export class Traffic {
  /** `places` is the ring's; `heard(id, now)` is called when a leader's message arrives. */
  constructor(group, places, heard) {
    this.group = group;
    this.places = places;
    this.heard = heard;
    this.free = Array.from({ length: DOTS_MAX }, () => this.#newDot());
    this.flying = [];
    this.counts = new Map();
    this.totals = { messages: 0, dots: 0, undrawn: 0, most: 0 };
  }

  #newDot() {
    const node = shape("path", { display: "none" });
    this.group.append(node);
    return { node };
  }

  /** Takes a `messages` event that came at `now`. */
  take(batch, now) {
    const places = this.places();
    const known = batch.messages.filter(
      (message) =>
        places.has(message.from) && places.has(message.to) && message.from !== message.to,
    );
    this.totals.messages += known.length + (batch.dropped ?? 0);
    this.totals.undrawn += batch.dropped ?? 0;
    for (const message of known) this.#count(message);
    if (calm.matches) return this.#hearAll(known, now);
    const bundles =
      known.length <= this.free.length / 2
        ? known.map((message) => ({ message, messages: 1 }))
        : bundled(known);
    for (const { message, messages } of bundles) {
      if (this.free.length) this.#start(message, messages, now, batch.t, places);
      else this.totals.undrawn += messages;
    }
    this.totals.most = Math.max(this.totals.most, this.flying.length);
    return undefined;
  }

  #count(message) {
    const key = [message.from, message.to].join(" ");
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  #hearAll(messages, now) {
    for (const message of messages)
      if (FROM_LEADER.has(message.type) && !message.lost) this.heard(message.to, now);
  }

  #start(message, messages, now, told, places) {
    const dot = this.free.pop();
    // A reply leaves when what it answers has arrived: the real ones are too quick to be seen.
    const after = message.type.endsWith("_reply") ? TRAVEL_MS : 0;
    const held = Math.min(LATE_MS, Math.max(0, HELD_MS + (message.t - told)));
    dot.message = message;
    dot.starts = now + held + after;
    dot.way = lane(places.get(message.from), places.get(message.to));
    dot.size = dotSize(message.type, message.entries ?? 0, messages);
    dot.broken = false;
    setAttribute(dot.node, "class", `dot ${message.type}${message.reject ? " reject" : ""}`);
    setAttribute(dot.node, "d", dotOutline(message.type));
    this.totals.dots += 1;
    this.flying.push(dot);
  }

  /** Draws one frame; true while a dot is on its way. */
  frame(now) {
    if (calm.matches) this.clear();
    this.flying = this.flying.filter((dot) => {
      const part = (now - dot.starts) / TRAVEL_MS;
      if (part < 0) return true;
      if (part >= 1) return this.#end(dot, now);
      this.#move(dot, part);
      return true;
    });
    return this.flying.length > 0;
  }

  #move(dot, part) {
    const lost = dot.message.lost && part > BREAKS_AT;
    const at = along(dot.way, lost ? BREAKS_AT : part);
    const fallen = lost ? (part - BREAKS_AT) / (1 - BREAKS_AT) : 0;
    if (lost && !dot.broken) {
      dot.broken = true;
      setAttribute(dot.node, "class", "dot broken");
      setAttribute(dot.node, "d", BROKEN);
    }
    const size = dot.broken ? Math.max(4, dot.size) : dot.size;
    dot.node.setAttribute(
      "transform",
      `translate(${at.x.toFixed(1)} ${(at.y + FALLS * fallen).toFixed(1)}) scale(${size.toFixed(1)})`,
    );
    setAttribute(dot.node, "opacity", lost ? (1 - fallen).toFixed(2) : null);
    setAttribute(dot.node, "display", null);
  }

  #end(dot, now) {
    setAttribute(dot.node, "display", "none");
    this.free.push(dot);
    if (FROM_LEADER.has(dot.message.type) && !dot.message.lost) this.heard(dot.message.to, now);
    return false;
  }

  /** Takes every dot from the drawing: the tab was hidden, or motion is not wanted. */
  clear() {
    for (const dot of this.flying) {
      setAttribute(dot.node, "display", "none");
      this.free.push(dot);
    }
    this.flying = [];
  }

  /** Messages on each directed link since the last call, by "from to". */
  takeCounts() {
    const counts = this.counts;
    this.counts = new Map();
    return counts;
  }
}

/** One for all messages of a kind on a link, with their number and all their entries. */
export function bundled(messages) {
  const bundles = new Map();
  for (const message of messages) {
    const key = [message.from, message.to, message.type, message.lost, message.reject].join(" ");
    const bundle = bundles.get(key);
    if (!bundle) bundles.set(key, { message: { ...message }, messages: 1 });
    else {
      bundle.messages += 1;
      bundle.message.entries += message.entries;
    }
  }
  return [...bundles.values()];
}
