// What is told of a member, number by number.
//
// Owns: the list of measures with their words, for the cards and for the table alike.
// Must never do: draw.

import {
  bytes,
  count,
  counted,
  duration,
  milliseconds,
  millisecondsPair,
  rate,
  standingWords,
  NOTHING,
} from "./words.js";

const latency = (low, high) => (member) => millisecondsPair(member[low], member[high]);
const vote = (member, cluster) => (member.vote ? cluster.name(member.vote) : NOTHING);

const known = (value) => value !== null && value !== undefined;

/** [title, words(member, cluster), group]; the groups are the cards' parts. */
export const MEASURES = [
  ["State", (member) => standingWords(member), "who"],
  ["Term", (member) => count(member.term), "raft"],
  ["Vote", vote, "raft"],
  ["Log", logSpan, "raft"],
  ["Commit", (member) => count(member.commit_index), "raft"],
  ["Applied", (member) => count(member.applied_index), "raft"],
  ["Revision", (member) => count(member.revision), "store"],
  ["Compacted", (member) => count(member.compact_revision), "store"],
  ["Writes", (member) => rate(member.writes_per_s), "load"],
  ["Reads", (member) => rate(member.reads_per_s), "load"],
  ["Log entries", (member) => rate(member.entries_per_s), "load"],
  ["Fsync p50/p99", latency("fsync_p50_ms", "fsync_p99_ms"), "latency"],
  ["Commit p99", (member) => milliseconds(member.commit_p99_ms), "latency"],
  ["Apply p50/p99", latency("apply_p50_ms", "apply_p99_ms"), "latency"],
  ["Alarms", (member) => member.alarms.join(", ") || "none", "store"],
  ["Watchers", watcherWords, "store"],
  ["Up for", (member) => duration(member.uptime_s), "who"],
  ["Clients", (member) => member.client_urls.join(" ") || NOTHING, "where"],
  ["Peers", (member) => member.peer_urls.join(" ") || NOTHING, "where"],
  ["Database", spaceWords, "space"],
];

function logSpan(member) {
  if (!known(member.last_index)) return NOTHING;
  return `${count(member.first_index)} – ${count(member.last_index)}`;
}

function watcherWords(member) {
  if (!known(member.watchers)) return NOTHING;
  return `${count(member.watchers)} on ${counted(member.watch_streams, "stream")}`;
}

function spaceWords(member) {
  if (!known(member.db_bytes)) return NOTHING;
  const quota = member.quota_bytes > 0 ? ` of ${bytes(member.quota_bytes)}` : ", no quota";
  return `${bytes(member.db_bytes_in_use)} used, file ${bytes(member.db_bytes)}${quota}`;
}

/** {used, file}: parts of the quota, or of the file where there is none. */
export function spaceParts(member) {
  const whole =
    member.quota_bytes > 0
      ? Math.max(member.quota_bytes, member.db_bytes)
      : Math.max(1, member.db_bytes);
  return { used: member.db_bytes_in_use / whole, file: member.db_bytes / whole };
}
