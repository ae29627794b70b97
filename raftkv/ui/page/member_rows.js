// A row a member beside the drawing: who it is, the end of its log, and (local mode) its buttons.
//
// Owns: those rows. Must never do: act; `act(member, action)` is asked.

import { element, shape, keyed, setAttribute, setAttributes, setText } from "./element.js";
import { outline } from "./geometry.js";
import { LogStrip, spanOf } from "./log_strip.js";
import { count, shortened, standing, standingWords } from "./words.js";

const WORDS = {
  kill: ["Kill", "as kill -9 does: at once, without a good-bye"],
  stop: ["Stop", "in order, as SIGTERM does"],
  pause: ["Pause", "as SIGSTOP does: it is there and does nothing"],
  resume: ["Resume", "goes on where it was paused"],
  restart: ["Restart", "starts again with its data"],
};

/** The actions that make sense for a member as it is. */
export function actionsOf(member) {
  if (member.process === "stopped") return ["restart"];
  if (member.process === "paused") return ["resume", "kill"];
  return ["kill", "pause", "stop", "restart"];
}

/** A small picture of a member's role, beside its name. */
export function roleMark(member) {
  const svg = shape("svg", { class: "mark", viewBox: "-60 -60 120 120", "aria-hidden": "true" });
  svg.append(shape("path", {}));
  mendMark(svg, member);
  return svg;
}

export function mendMark(svg, member) {
  const role = standing(member);
  setAttribute(svg, "class", `mark ${role}`);
  setAttribute(svg.firstElementChild, "d", outline(role));
}

export class MemberRows {
  constructor(list, ruler, act) {
    this.list = list;
    this.ruler = ruler;
    this.act = act;
    this.strips = new Map();
  }

  update(cluster) {
    this.cluster = cluster;
    const span = spanOf(cluster);
    setText(
      this.ruler.firstElementChild,
      span.cells
        ? `index ${count(span.from)}`
        : `index ${count(span.from)}, too fast for single entries`,
    );
    setText(this.ruler.lastElementChild, count(span.to));
    keyed(
      this.list,
      cluster.members,
      (member) => member.id,
      (member) => this.#make(member),
      (row, member) => this.#mend(row, member, span),
    );
    for (const id of this.strips.keys()) if (!cluster.member(id)) this.strips.delete(id);
  }

  #make(member) {
    const strip = new LogStrip();
    this.strips.set(member.id, strip);
    const buttons = element("div", { class: "buttons", role: "group" });
    const who = element(
      "p",
      { class: "who" },
      roleMark(member),
      element("strong", {}),
      element("span", { class: "role" }),
      element("span", { class: "term" }),
    );
    return element("li", { class: "member-row" }, who, buttons, strip.node);
  }

  #mend(row, member, span) {
    setAttribute(row, "data-role", standing(member));
    const who = row.querySelector(".who");
    mendMark(who.querySelector(".mark"), member);
    setText(who.querySelector("strong"), shortened(member.name, 24));
    setText(who.querySelector(".role"), standingWords(member));
    setText(who.querySelector(".term"), `term ${count(member.term)}`);
    this.strips.get(member.id).update(member, span);
    this.#buttons(row.querySelector(".buttons"), member);
  }

  #buttons(group, member) {
    setAttributes(group, { hidden: !this.cluster.local, "aria-label": `Play with ${member.name}` });
    const actions = this.cluster.local ? actionsOf(member) : [];
    const held = group.contains(document.activeElement);
    const make = (action) =>
      element("button", {
        type: "button",
        class: "small",
        "data-action": action,
        click: () => this.act(this.cluster.member(member.id), action),
      });
    keyed(
      group,
      actions,
      (action) => action,
      make,
      (button, action) => {
        const [word, means] = WORDS[action];
        setText(button, word);
        setAttributes(button, { title: means, "aria-label": `${word} ${member.name}` });
      },
    );
    // The button that had the focus may be gone: Kill became Restart.
    if (held && !group.contains(document.activeElement)) group.querySelector("button")?.focus();
  }
}
