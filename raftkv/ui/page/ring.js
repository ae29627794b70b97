// The cluster as a ring of members.
//
// Owns: the drawing of the members: role by outline, word and colour; term and vote; the timer
// around each, which is full when it has just heard from its leader and drains until an election
// is due. The links and the messages on them have files of their own (links.js, traffic.js).
// Must never do: act on the cluster.

import { shape, keyed, setAttribute, setAttributes, setText } from "./element.js";
import { labelLines, layout, outline, timerPath, TIMER, TIMER_LENGTH } from "./geometry.js";
import { calm } from "./frames.js";
import { count, shortened, standing, standingWords, isUp } from "./words.js";

const TIMER_MS = 60; // between two drawings of the timers: the ring is painted anew for them
const STALE = 3; // timeouts: nothing of this member's messages is seen from here

export class Ring {
  /** `dots` is a layer of its own over `svg`. `chosen(id)`: a member was pressed. */
  constructor(svg, dots, chosen) {
    this.svg = svg;
    this.chosen = chosen;
    this.drawn = -Infinity;
    this.heard = new Map(); // member -> when it last heard of its leader
    this.places = new Map();
    this.nodes = shape("g", { class: "nodes" });
    this.links = shape("g", { class: "links" });
    this.dots = dots;
    this.middle = shape("g", { class: "middle", "aria-hidden": "true" });
    this.middleTerm = shape("text", { class: "middle-term", y: -4 });
    this.middleLeader = shape("text", { class: "middle-leader", y: 20 });
    this.middle.append(this.middleTerm, this.middleLeader);
    svg.append(this.links, this.middle, this.nodes);
  }

  update(cluster) {
    this.cluster = cluster;
    const { places, box } = layout(cluster.members.length);
    for (const layer of [this.svg, this.dots]) setAttribute(layer, "viewBox", box);
    this.places = new Map(cluster.members.map((member, at) => [member.id, places[at]]));
    this.#middle();
    keyed(
      this.nodes,
      cluster.members,
      (member) => member.id,
      (member) => this.#make(member),
      (node, member) => this.#mend(node, member),
    );
    if (calm.matches) this.frame(performance.now());
  }

  #middle() {
    const leader = this.cluster.leader;
    setText(this.middleTerm, `term ${this.cluster.term}`);
    setText(this.middleLeader, leader ? `led by ${shortened(leader.name, 12)}` : "no leader");
    setAttribute(this.middle, "class", leader ? "middle" : "middle leaderless");
    // One or two members leave no room between them; more than two have their term here.
    setAttribute(this.middle, "display", this.cluster.members.length < 3 ? "none" : null);
  }

  #make(member) {
    const choose = () => this.chosen(member.id);
    const node = shape("g", {
      role: "button",
      tabindex: 0,
      click: choose,
      keydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose();
      },
    });
    node.append(
      shape("circle", { class: "focus-ring", r: TIMER + 6 }),
      shape("circle", { class: "timer-track", r: TIMER }),
      shape("path", { class: "timer", d: timerPath, "stroke-dasharray": TIMER_LENGTH }),
      shape("path", { class: "outline" }),
      shape("path", { class: "pause", d: "M-7,-34v11M7,-34v11" }),
      shape("text", { class: "node-name", y: -2 }),
      shape("text", { class: "node-term", y: 17 }),
      shape("text", { class: "node-role" }),
      shape("text", { class: "node-vote" }),
    );
    return node;
  }

  #mend(node, member) {
    const place = this.places.get(member.id);
    const role = standing(member);
    setAttributes(node, {
      transform: `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`,
      class: `node ${role}${member.id === this.cluster.now.me ? " me" : ""}`,
      "data-role": role,
      "aria-label": this.#label(member),
    });
    const text = (name, words) => setText(node.querySelector(`.${name}`), words);
    setAttribute(node.querySelector(".outline"), "d", outline(role));
    ["role", "vote"].forEach((name, at) =>
      setAttribute(node.querySelector(`.node-${name}`), "y", labelLines(place)[at]),
    );
    text("node-name", shortened(member.name, 9));
    text("node-term", `term ${count(member.term)}`);
    text("node-role", standingWords(member));
    text("node-vote", this.#vote(member));
  }

  #vote(member) {
    if (!isUp(member) || !member.vote) return "";
    return member.vote === member.id
      ? "voted for itself"
      : `voted ${shortened(this.cluster.name(member.vote), 9)}`;
  }

  #label(member) {
    const vote = this.#vote(member);
    const here = member.id === this.cluster.now.me ? ", serves this page" : "";
    const voted = vote ? `, ${vote}` : "";
    const state = `${standingWords(member)}, term ${count(member.term)}${voted}${here}`;
    return `${member.name}: ${state}. Show its numbers`;
  }

  /** A message of its leader has arrived. */
  hear(id, now) {
    this.heard.set(id, now);
  }

  /** Draws the timers; true while one of them drains. */
  frame(now) {
    if (now - this.drawn < TIMER_MS) return true;
    this.drawn = now;
    let draining = false;
    for (const node of this.nodes.children) {
      const left = this.#timeLeft(node, now);
      const timer = node.querySelector(".timer");
      setAttribute(timer, "stroke-dashoffset", ((1 - left) * TIMER_LENGTH).toFixed(1));
      setAttribute(node, "data-late", left === 0 && isTimed(node));
      if (left > 0 && left < 1) draining = true;
    }
    return draining;
  }

  /** The part of the election timeout that is left: 1 for who has no timer. */
  #timeLeft(node, now) {
    if (!isTimed(node)) return 1;
    const heard = this.heard.get(node.dataset.key);
    if (heard === undefined) return 1;
    const gone = (now - heard) / this.cluster.electionMs;
    // With reduced motion a timer is full or empty, no more.
    if (calm.matches) return gone > 1 && gone < STALE ? 0 : 1;
    return gone > STALE && this.cluster.leader ? 1 : Math.min(1, Math.max(0, 1 - gone));
  }
}

const isTimed = (node) => ["follower", "candidate", "pre-candidate"].includes(node.dataset.role);
