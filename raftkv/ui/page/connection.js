// Whether the page is live, and what it does when its member is gone.
//
// Owns: the words of the connection, the banner of errors, and the order of: try again, find
// another member, go there, or say what a person can do.
// Must never do: read the stream (stream.js) or ask who answers (refuge.js) itself.

import { element, byId, setAttribute, setText } from "./element.js";
import { findOther, moveTo, others, pageOf } from "./refuge.js";
import { carrying } from "./route.js";

const AGAIN_MS = 2_000;
const STATES = {
  connecting: "connecting …",
  live: "live",
  hidden: "paused: the tab is hidden",
  login: "needs a login",
  refused: "refused",
  lost: "no answer",
};

export class Connection {
  /** `carried()` is what another member's page shall know of this one. */
  constructor(cluster, happenings, carried) {
    this.cluster = cluster;
    this.happenings = happenings;
    this.carried = carried;
    this.banner = byId("banner");
    byId("banner-close").addEventListener("click", () => this.#banner(null));
  }

  /** `text` is the member's reason, where it refused. */
  tell(state, text) {
    this.state = state;
    const me = this.cluster.member(this.cluster.now?.me)?.name ?? "";
    const words = state === "live" && me ? `live from ${me}` : STATES[state];
    setText(byId("connection"), words);
    setAttribute(byId("connection"), "data-state", state);
    if (state === "live") this.#live();
    if (state === "lost") this.#lost();
    if (state === "refused") {
      this.#banner("lost", text);
      this.#again();
    }
  }

  #live() {
    if (this.away) this.happenings.tell("The member answers again: this page is live.");
    this.away = false;
    if (this.bannerOf === "lost") this.#banner(null);
  }

  async #lost() {
    const { now } = this.cluster;
    const me = this.cluster.name(now?.me) ?? "This member";
    if (!this.away)
      this.happenings.tell(`${me || "This member"} does not answer. Looking for another member.`);
    this.away = true;
    const other = now && (await findOther(now));
    if (this.state !== "lost") return;
    if (other) {
      this.#banner("lost", `${me} does not answer. Going on with ${other.name}.`);
      moveTo(other, carrying({ left: now.me, ...this.carried() }));
      return;
    }
    this.#nobody(me);
    this.#again();
  }

  #again() {
    clearTimeout(this.again);
    this.again = setTimeout(
      () => ["lost", "refused"].includes(this.state) && this.stream.open(),
      AGAIN_MS,
    );
  }

  #nobody(me) {
    const rest = this.cluster.now ? others(this.cluster.now) : [];
    const start = this.cluster.local
      ? "If you started them with raftkv local, look at its terminal: it says why they ended, " +
        "and the same command starts them again with their data."
      : "Look whether the members run and whether this machine reaches them; " +
        "raftkv ctl endpoint health says more.";
    const links = rest.flatMap((member) => [
      element("a", { href: pageOf(member).href }, member.name),
      " ",
    ]);
    const what = `${me || "This member"} does not answer, nor does any other.`;
    const text = `${what} This page keeps trying. ${start}`;
    this.#banner("lost", text, links.length ? [" Try them by hand: ", ...links] : []);
  }

  /** An error of one question; what was shown stays. */
  fail(error) {
    if (error.status === 401) return; // the login form is open
    this.#banner("error", error.message || String(error));
  }

  #banner(of, text = "", more = []) {
    // Written only when it differs, or a reader would hear it at every try.
    if (this.bannerOf === of && this.bannerText === text) return;
    [this.bannerOf, this.bannerText] = [of, text];
    this.banner.hidden = of === null;
    byId("banner-text").replaceChildren(text, ...more);
    byId("banner-close").hidden = of === "lost";
  }

  /** A member's page was left for this one: said once its name is known. */
  arrived(id) {
    const left = this.cluster.member(id);
    const here = this.cluster.member(this.cluster.now.me);
    if (left && here && left.id !== here.id)
      this.happenings.tell(`${left.name} did not answer: this page is now served by ${here.name}.`);
  }
}
