// A card a member: all its numbers, for who keeps the page open to look after a cluster.
//
// Owns: the cards. Must never do: act on the cluster.

import { element, keyed, setAttribute, setAttributes, setText } from "./element.js";
import { MEASURES, spaceParts } from "./measures.js";
import { mendMark, roleMark } from "./member_rows.js";
import { pageOf } from "./refuge.js";
import { Sparkline } from "./sparkline.js";
import { duration, isUp, rate, standing, standingWords } from "./words.js";

const SHOWN = MEASURES.filter(([, , group]) => group !== "who");
const OLD_MS = 2_000;
const FULL = 0.8; // of the quota

export class MemberCards {
  constructor(list) {
    this.list = list;
    this.lines = new Map();
  }

  update(cluster) {
    this.cluster = cluster;
    keyed(
      this.list,
      cluster.members,
      (member) => member.id,
      (member) => this.#make(member),
      (card, member) => this.#mend(card, member),
    );
    for (const id of this.lines.keys()) if (!cluster.member(id)) this.lines.delete(id);
  }

  /** Brings a member's card into sight, and the focus to it. */
  show(id) {
    const card = [...this.list.children].find((node) => node.dataset.key === id);
    card?.querySelector("h3").focus({ preventScroll: true });
    card?.scrollIntoView({ block: "nearest" });
  }

  #make(member) {
    const line = new Sparkline("Writes a second over the last minute");
    this.lines.set(member.id, line);
    const head = element(
      "h3",
      { tabindex: -1, id: `member-${member.id}` },
      roleMark(member),
      element("span", { class: "name" }),
      element("span", { class: "role" }),
    );
    const facts = element("dl", { class: "facts" });
    for (const [title, , group] of SHOWN) {
      facts.append(element("div", { class: group }, element("dt", {}, title), element("dd", {})));
    }
    return element(
      "li",
      { class: "card", "aria-labelledby": `member-${member.id}` },
      head,
      element("p", { class: "note about" }),
      element("ul", { class: "alarms", "aria-label": "Alarms" }),
      element("div", { class: "spark-line" }, line.node, element("span", { class: "most" })),
      facts,
      element(
        "div",
        { class: "space-bar", role: "img" },
        element("span", { class: "file" }),
        element("span", { class: "used" }),
      ),
    );
  }

  #mend(card, member) {
    setAttribute(card, "data-role", standing(member));
    mendMark(card.querySelector(".mark"), member);
    setText(card.querySelector(".name"), member.name);
    setText(card.querySelector("h3 .role"), standingWords(member));
    this.#about(card.querySelector(".about"), member);
    keyed(
      card.querySelector(".alarms"),
      member.alarms,
      (alarm) => alarm,
      () => element("li", {}),
      setText,
    );
    const past = this.cluster.past.get(member.id);
    this.lines.get(member.id).update(past);
    setText(card.querySelector(".most"), `most in a minute ${rate(Math.max(...past))}`);
    const values = card.querySelectorAll("dd");
    SHOWN.forEach(([, words], at) => setText(values[at], words(member, this.cluster)));
    this.#space(card.querySelector(".space-bar"), member);
  }

  #about(note, member) {
    const page = pageOf(member);
    const here = member.id === this.cluster.now.me;
    const up = this.#upWords(member, here);
    setText(note.firstChild ?? note.appendChild(element("span", {})), `${up} `);
    const link = note.querySelector("a");
    if (here || !page) link?.remove();
    else if (!link)
      note.append(
        element("a", { href: page.href, "aria-label": `Page of ${member.name}` }, "its page"),
      );
    else setAttribute(link, "href", page.href);
  }

  #upWords(member, here) {
    if (!(member.uptime_s >= 0) || member.uptime_s === null) return "Nothing is known of it yet.";
    const old = `these numbers are ${duration(member.age_ms / 1000)} old`;
    if (!isUp(member)) return `Not answering: ${old}`;
    const age = member.age_ms > OLD_MS ? ` · ${old}` : "";
    return `${here ? "Serves this page, up" : "Up"} for ${duration(member.uptime_s)}${age}`;
  }

  #space(bar, member) {
    const { used, file } = spaceParts(member);
    bar.querySelector(".used").style.width = `${(100 * used).toFixed(1)}%`;
    bar.querySelector(".file").style.width = `${(100 * file).toFixed(1)}%`;
    const whole = member.quota_bytes > 0 ? "the quota" : "the file";
    setAttributes(bar, {
      class: member.quota_bytes > 0 && used > FULL ? "space-bar full" : "space-bar",
      "aria-label": `Database: ${(100 * used).toFixed(0)} % of ${whole} in use`,
    });
  }
}
