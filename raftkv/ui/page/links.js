// The links between the members: whole, down, or cut by hand.
//
// Owns: their lines, their words, and (for reduced motion) the counts of messages on them. In
// local mode a link is a button that cuts and heals it.
// Must never do: POST; it asks `act(pair)` for that.

import { element, shape, keyed, setAttribute, setAttributes, setText } from "./element.js";
import { along, beside, lane } from "./geometry.js";
import { milliseconds } from "./words.js";

const ASIDE = 38; // words beside a link, where no message covers them
const LABELLED_MAX = 4; // members; the links of more cross, and the table has their numbers
const PARTS = [
  ["line", 0, 1],
  ["left", 0, 0.44],
  ["right", 0.56, 1],
];

export const linkState = (pair) =>
  pair.cut ? "cut" : pair.up ? "up" : pair.known ? "down" : "unknown";

export function linkWords(pair) {
  const state = linkState(pair);
  const took =
    state === "up" && pair.rtt !== null ? `, ${milliseconds(pair.rtt)} there and back` : "";
  return `Link ${pair.a.name} – ${pair.b.name}: ${state}${took}`;
}

export class Links {
  constructor(ring, list, act) {
    this.ring = ring;
    this.list = list;
    this.act = act;
    this.counts = new Map();
  }

  update(cluster) {
    this.pairs = new Map(cluster.pairs.map((pair) => [pair.key, pair]));
    const pairs = [...this.pairs.values()];
    keyed(
      this.ring.links,
      pairs,
      (pair) => pair.key,
      (pair) => this.#make(pair),
      (node, pair) => this.#mend(node, pair),
    );
    setAttribute(this.list, "hidden", !cluster.local || pairs.length === 0);
    if (cluster.local) {
      keyed(
        this.list.querySelector("ul"),
        pairs,
        (pair) => pair.key,
        (pair) => this.#makeItem(pair),
        mendItem,
      );
    }
    this.local = cluster.local;
  }

  #make(pair) {
    const node = shape("g", {});
    node.append(...PARTS.map(([name]) => shape("line", { class: name })));
    const press = () => this.local && this.act(this.pairs.get(pair.key));
    // Wider than it looks, so that it is easily met.
    node.append(
      shape("line", { class: "reach", click: press }),
      shape("text", { class: "link-words" }),
    );
    return node;
  }

  #mend(node, pair) {
    const way = lane(this.ring.places.get(pair.a.id), this.ring.places.get(pair.b.id), 0);
    for (const [name, from, to] of [...PARTS, ["reach", 0, 1]]) {
      const [start, end] = [along(way, from), along(way, to)];
      setAttributes(node.querySelector(`.${name}`), {
        x1: start.x,
        y1: start.y,
        x2: end.x,
        y2: end.y,
      });
    }
    // A third of the way: in the middle of the ring the links of many members cross.
    const words = node.querySelector(".link-words");
    const place = beside(way, this.ring.places.size > 3 ? 0.36 : 0.5, pair.cut ? 0 : ASIDE);
    setAttributes(words, { x: place.x, y: place.y });
    const state = linkState(pair);
    setText(words, this.#words(pair, state));
    setAttributes(node, {
      class: `link ${state}`,
      "data-state": state,
      role: "img",
      "aria-label": linkWords(pair),
    });
  }

  /** Cut is always said; the rest only where it does not lie on other links. */
  #words(pair, state) {
    if (state === "cut") return "cut";
    if (this.counts.has(pair.key)) return this.counts.get(pair.key);
    if (this.ring.places.size > LABELLED_MAX) return "";
    return { up: pair.rtt === null ? "" : milliseconds(pair.rtt), down: "down", unknown: "" }[
      state
    ];
  }

  /** The buttons below the drawing: the same by keyboard, and easy to find. */
  #makeItem(pair) {
    const button = element("button", {
      type: "button",
      class: "chip",
      click: () => this.act(this.pairs.get(pair.key)),
    });
    return element("li", {}, button);
  }

  /** Messages a second on each pair, in words, where dots may not travel; null: they do. */
  tellCounts(counts) {
    this.counts = counts ?? new Map();
  }
}

function mendItem(item, pair) {
  const button = item.firstElementChild;
  setAttributes(button, {
    "data-state": linkState(pair),
    "aria-pressed": String(pair.cut),
    title: linkWords(pair),
  });
  setAttribute(
    button,
    "aria-label",
    `${pair.cut ? "Heal" : "Cut"} the link ${pair.a.name} – ${pair.b.name}`,
  );
  setText(button, `${pair.a.name} – ${pair.b.name}${pair.cut ? ": cut" : ""}`);
}
