// Local mode: what a person does to the cluster by hand.
//
// Owns: the POSTs, and the question that is asked when an action would cost the quorum. Everything
// else is done at once: a local cluster is there to be played with, and its data stays.
// Must never do: anything outside local mode; the server refuses it too.

import { byId, setText } from "./element.js";
import { isUp } from "./words.js";

const TAKES_AWAY = new Set(["kill", "stop", "pause"]);
const DOING = {
  kill: "Killing",
  stop: "Stopping",
  pause: "Pausing",
  resume: "Resuming",
  restart: "Restarting",
};

export class Play {
  constructor(api, cluster, fail) {
    this.api = api;
    this.cluster = cluster;
    this.fail = fail;
    this.dialog = byId("confirm");
    byId("confirm-no").addEventListener("click", () => this.#answer(false));
    byId("confirm-yes").addEventListener("click", () => this.#answer(true));
    this.dialog.addEventListener("cancel", () => this.#answer(false));
  }

  /** What an action would cost, in words; null when the quorum stays. */
  cost(member, action) {
    const { votersUp, quorum, voters } = this.cluster;
    const counts = TAKES_AWAY.has(action) && isUp(member) && member.state !== "learner";
    if (!counts || votersUp < quorum || votersUp - 1 >= quorum) return null;
    return (
      `${votersUp - 1} of ${voters.length} members would be left, and ${quorum} are needed: ` +
      "nothing can be written, and there will be no leader, until one is back."
    );
  }

  async act(member, action) {
    const cost = this.cost(member, action);
    if (cost && !(await this.#agreed(member, action, cost))) return;
    await this.#post(
      "/api/local/member",
      { member: member.id, action },
      `${DOING[action]} ${member.name} …`,
    );
  }

  link(pair) {
    const words = `${pair.cut ? "Healing" : "Cutting"} ${pair.a.name} – ${pair.b.name} …`;
    return this.#post("/api/local/link", { a: pair.a.id, b: pair.b.id, cut: !pair.cut }, words);
  }

  async #post(path, body, words) {
    setText(byId("play-status"), words);
    try {
      const { done } = await this.api.post(path, body);
      setText(byId("play-status"), done);
    } catch (error) {
      // The member that was killed may be the one that was asked: its answer is its silence.
      setText(byId("play-status"), error.status === 0 ? "" : error.message);
      if (error.status !== 0) this.fail(error);
    }
  }

  #agreed(member, action, cost) {
    const word = action[0].toUpperCase() + action.slice(1);
    setText(byId("confirm-title"), `${word} ${member.name}?`);
    setText(byId("confirm-text"), cost);
    setText(byId("confirm-yes"), `${word} it`);
    this.dialog.showModal();
    byId("confirm-no").focus();
    return new Promise((answered) => {
      this.answered = answered;
    });
  }

  #answer(yes) {
    this.dialog.close();
    this.answered(yes);
  }
}
