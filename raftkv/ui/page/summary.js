// The cluster in one line, above everything, and in the title of the tab.
//
// Owns: those words. Must never do: more than sum up what the cluster event says.

import { byId, setAttribute, setText } from "./element.js";
import { count, counted, isUp, rate } from "./words.js";

export class Summary {
  update(cluster) {
    const { leader, members, now } = cluster;
    const up = members.filter(isUp).length;
    const revision = Math.max(0, ...members.map((member) => member.revision));
    // Every member applies every write: the busiest tells the cluster's rate.
    const writes = Math.max(0, ...members.map((member) => member.writes_per_s ?? 0));
    const reads = members.reduce((sum, member) => sum + (member.reads_per_s ?? 0), 0);
    this.#set("leader", leader?.name ?? "none", leader ? "" : "bad");
    this.#set("term", count(cluster.term));
    this.#set(
      "members",
      `${up} of ${members.length} up`,
      up < members.length ? (cluster.votersUp < cluster.quorum ? "bad" : "warn") : "",
    );
    this.#set("revision", count(revision));
    this.#set("writes", rate(writes));
    this.#set("reads", rate(reads));
    this.#set(
      "alarms",
      alarmWords(members),
      members.some((member) => member.alarms.length) ? "bad" : "",
    );
    setText(byId("cluster-name"), `${now.local ? "local cluster" : "cluster"} ${now.cluster_id}`);
    setText(byId("version"), `raftkv ${now.version}`);
    document.title = `${leader ? `${leader.name} leads` : "no leader"} · ${up}/${members.length} · raftkv`;
  }

  #set(name, words, mood = "") {
    const node = byId(`fact-${name}`);
    setText(node, words);
    setAttribute(node, "class", mood || null);
  }
}

function alarmWords(members) {
  const alarms = new Set(members.flatMap((member) => member.alarms));
  return alarms.size ? `${counted(alarms.size, "alarm")}: ${[...alarms].join(", ")}` : "none";
}
