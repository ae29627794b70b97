// Four steps for who sees Raft for the first time: heartbeats, a kill, an election, the return.
//
// Owns: which step it is, told from what really happens in the cluster, and how long the failover
// took. It only shows in local mode. Must never do: act by itself; its button is pressed by people.

import { byId, setAttribute, setText } from "./element.js";
import { isUp, milliseconds } from "./words.js";

const HIDDEN = "raftkv-guide-hidden";
const HEARTBEATS = 20; // enough to have seen some
const NEAR_MS = 5_000; // an end that is told is the one that was seen
const STEPS = ["watch", "kill", "election", "return", "done"];

export class Guide {
  constructor(act, carried) {
    this.act = act;
    this.node = byId("guide");
    this.step = "watch";
    this.heartbeats = 0;
    this.was = null; // the leader that was killed: {id, term, gone}
    this.hidden = localStorage.getItem(HIDDEN) === "yes";
    this.#resume(carried);
    byId("guide-act").addEventListener("click", () => this.#press());
    byId("guide-hide").addEventListener("click", () => this.hide(true));
    byId("guide-show").addEventListener("click", () => this.hide(false));
  }

  /** A page of another member goes on where this one was: see `carried`. */
  #resume(carried) {
    const [, step, id, term, gone] = /^(\w+)~([0-9a-f]+)~(\d+)~(\d+)$/.exec(carried ?? "") ?? [];
    if (!STEPS.includes(step)) return;
    this.step = step;
    this.was = { id, term: Number(term), gone: Number(gone) };
  }

  /** Asked for when the member of this page is gone: it may be the leader that was just killed. */
  get carried() {
    const { now } = this.cluster ?? {};
    if (this.step === "kill" && this.leader && this.leader.id === now?.me) {
      [this.step, this.was] = ["election", { ...this.leader, gone: now.t }];
    }
    return this.was ? [this.step, this.was.id, this.was.term, this.was.gone].join("~") : null;
  }

  hide(hidden) {
    this.hidden = hidden;
    localStorage.setItem(HIDDEN, hidden ? "yes" : "no");
    if (!hidden && this.step === "done") this.#begin();
    this.#draw();
    byId(hidden ? "guide-show" : "guide-act").focus();
  }

  #begin() {
    [this.step, this.was, this.heartbeats, this.took] = ["watch", null, 0, undefined];
  }

  hear(batch) {
    if (this.step === "watch")
      this.heartbeats += batch.messages.filter(
        (m) => m.type === "heartbeat" || m.type === "append",
      ).length;
  }

  update(cluster) {
    this.cluster = cluster;
    if (!cluster.local) {
      this.node.hidden = true;
      byId("guide-show").hidden = true;
      return;
    }
    this.#advance(cluster);
    this.#draw();
  }

  #advance(cluster) {
    const { leader } = cluster;
    if (this.step === "watch" && this.heartbeats >= HEARTBEATS) this.step = "kill";
    if (leader && (this.step === "watch" || this.step === "kill"))
      this.leader = { id: leader.id, term: leader.term };
    const gone = this.leader && cluster.member(this.leader.id);
    if (this.step === "kill" && gone && !isUp(gone)) {
      this.step = "election";
      this.was = { ...this.leader, gone: cluster.now.t };
    }
    if (
      this.step === "election" &&
      leader &&
      leader.id !== this.was.id &&
      leader.term > this.was.term
    ) {
      this.step = "return";
      this.took ??= cluster.now.t - this.was.gone;
    }
    const back = this.was && cluster.member(this.was.id);
    if (this.step === "return" && back && isUp(back)) this.step = "done";
  }

  /** The moment of the election, more exactly than the next `cluster` event tells it. */
  happened(event) {
    if (this.step === "kill" && event.what === "stopped" && event.member === this.leader?.id) {
      [this.step, this.was] = ["election", { ...this.leader, gone: event.t }];
    }
    if (!this.was) return;
    const near = Math.abs(event.t - this.was.gone) < NEAR_MS;
    if (event.what === "stopped" && event.member === this.was.id && near) this.was.gone = event.t;
    if (event.what === "became_leader" && event.term > this.was.term && this.step !== "done") {
      this.took = event.t - this.was.gone;
    }
  }

  #press() {
    const { leader } = this.cluster;
    if (this.step === "kill" && leader) this.act(leader, "kill");
    else if (this.step === "return") this.act(this.cluster.member(this.was.id), "restart");
    else if (this.step === "done") this.#begin();
    this.#draw();
  }

  #draw() {
    this.node.hidden = this.hidden;
    byId("guide-show").hidden = !this.hidden;
    const now = STEPS.indexOf(this.step);
    [...this.node.querySelectorAll("li")].forEach((item, at) => {
      setAttribute(item, "aria-current", at === now ? "step" : null);
      setAttribute(item, "class", at < now ? "over" : at === now ? "now" : "ahead");
    });
    const [words, button] = this.#words();
    setText(byId("guide-words"), words);
    setText(byId("guide-act"), button ?? "");
    setAttribute(byId("guide-act"), "hidden", button === null);
  }

  #words() {
    const leader = this.cluster?.leader?.name;
    const was = this.was && this.cluster?.name(this.was.id);
    const took = this.took > 0 ? `, after ${milliseconds(this.took)} without a leader` : "";
    return {
      watch: [
        `${leader ?? "The leader"} tells the others that it is there: the small dots. ` +
          "Each fills a timer.",
        null,
      ],
      kill: [
        "Now take the leader away. No write that was acknowledged can be lost.",
        leader ? `Kill ${leader}` : null,
      ],
      election: [
        `${was} is silent, the timers run out: who is first asks for votes in a new term.`,
        null,
      ],
      return: [
        `${leader} leads in term ${this.cluster?.term}${took}. Bring ${was} back.`,
        `Restart ${was}`,
      ],
      done: ["That was a failover. Now pause a follower, or cut a link.", "Once more"],
    }[this.step];
  }
}
