// What happened, in sentences.
//
// Owns: the list of happenings, newest first, and what screen readers are told of it. Heartbeats
// and rates are no happenings. Must never do: grow without end, or say the same thing twice.

import { element, setAttribute } from "./element.js";
import { timeOfDay } from "./words.js";

const LINES_MAX = 200;
const KEPT_MAX = 5; // announcements
const SAID_MAX = 4; // more at once are told as a number: a reader could not keep up

const JOINED = new Set(["link_up", "link_down"]);
const JOINED_MS = 3_000;
const JOINED_LOOK = 12; // lines from the top

const MARKS = {
  became_leader: "★",
  began_election: "?",
  stepped_down: "↓",
  voted: "✓",
  link_down: "╱",
  link_up: "─",
  stopped: "■",
  started: "▶",
  paused: "Ⅱ",
  resumed: "▶",
  snapshot: "▣",
  alarm: "!",
  member_added: "+",
  member_removed: "−",
  page: "·",
};

export class Happenings {
  constructor(list, empty, announcer) {
    this.list = list;
    this.empty = empty;
    this.announcer = announcer;
    this.known = new Set();
    this.toSay = [];
    this.since = null; // the member's clock when this page began to listen; what is older is past
  }

  /** Takes a `happening` event; its member is shown by its sentence. */
  take(event, name = "") {
    const key = [event.t, event.member, event.what, event.term].join(" ");
    if (this.known.has(key)) return false;
    this.known.add(key);
    if (!this.#joined(event)) this.#insert(this.#line(event, name, key));
    setAttribute(this.empty, "hidden", true);
    const past = event.what !== "page" && this.since !== null && event.t < this.since;
    if (!past) this.#say(event.text);
    return true;
  }

  /** Something that this page itself did or noticed. */
  tell(text) {
    this.take({ t: Date.now(), member: "", what: "page", term: performance.now(), text });
  }

  /** Links of one moment share a line: a member that comes back has one to each other. */
  #joined(event) {
    if (!JOINED.has(event.what)) return false;
    const line = [...this.list.children]
      .slice(0, JOINED_LOOK)
      .find(
        (other) =>
          other.dataset.what === event.what &&
          Math.abs(Number(other.dataset.t) - event.t) < JOINED_MS,
      );
    if (!line) return false;
    const words = line.lastElementChild;
    const more = Number(line.dataset.more ?? 0) + 1;
    line.dataset.more = more;
    words.textContent =
      more < SAID_MAX
        ? `${words.textContent} ${event.text}`
        : words.textContent.replace(/( And \d+ more\.)?$/, ` And ${more - SAID_MAX + 1} more.`);
    return true;
  }

  #line(event, name, key) {
    const time = element("time", { datetime: new Date(event.t).toISOString() }, timeOfDay(event.t));
    const mark = element(
      "span",
      { class: "what", "aria-hidden": "true" },
      MARKS[event.what] ?? "·",
    );
    const line = element(
      "li",
      { class: "happening", "data-what": event.what, "data-t": event.t },
      time,
      mark,
      element("span", {}, event.text),
    );
    if (name) setAttribute(line, "title", `seen by ${name}`);
    line.dataset.happening = key;
    return line;
  }

  /** By time: those that were missed come late, and belong lower down. */
  #insert(line) {
    const t = Number(line.dataset.t);
    let next = this.list.firstElementChild;
    while (next && Number(next.dataset.t) > t) next = next.nextElementSibling;
    this.list.insertBefore(line, next);
    while (this.list.children.length > LINES_MAX) {
      this.known.delete(this.list.lastElementChild.dataset.happening);
      this.list.lastElementChild.remove();
    }
  }

  /** All of one turn in one announcement. */
  #say(text) {
    this.toSay.push(text);
    if (this.toSay.length > 1) return;
    queueMicrotask(() => {
      const said = this.toSay.slice(0, SAID_MAX).join(" ");
      const more = this.toSay.length - SAID_MAX;
      // Added, not replaced: a reader that still speaks would lose what was there.
      const words = more > 0 ? `${said} And ${more} more happenings.` : said;
      this.announcer.append(element("p", {}, words));
      if (this.announcer.children.length > KEPT_MAX) this.announcer.firstElementChild.remove();
      this.toSay = [];
    });
  }
}
