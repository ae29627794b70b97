// What the page knows of the cluster: the last `cluster` event, and a short past of each rate.
//
// Owns: look-ups over that event (who leads, which link is how), and the past for the sparklines.
// Must never do: draw, or make up what the member did not say.

import { isUp } from "./words.js";

const PAST_MAX = 120; // a minute, at two events a second
const ELECTION_MS = 1000;

export class Cluster {
  constructor() {
    this.now = null;
    this.members = [];
    this.past = new Map();
  }

  /** Takes a `cluster` event; the event before it is returned (null at first). */
  take(event) {
    const before = this.now;
    this.now = { ...event, members: event.members.map(whole) };
    this.members = [...this.now.members].sort((a, b) =>
      a.name.localeCompare(b.name, "en", { numeric: true }),
    );
    for (const member of this.members) {
      const past = this.past.get(member.id) ?? [];
      past.push(isUp(member) ? (member.writes_per_s ?? 0) : 0); // its last number is of before
      if (past.length > PAST_MAX) past.shift();
      this.past.set(member.id, past);
    }
    return before;
  }

  get local() {
    return this.now?.local === true;
  }

  get electionMs() {
    return this.now?.election_ms ?? ELECTION_MS;
  }

  member(id) {
    return this.members.find((member) => member.id === id) ?? null;
  }

  name(id) {
    return this.member(id)?.name ?? id;
  }

  /** The leader of the highest term among those that answer; a deposed one does not count. */
  get leader() {
    const leaders = this.members.filter((member) => isUp(member) && member.state === "leader");
    return leaders.sort((a, b) => b.term - a.term)[0] ?? null;
  }

  get term() {
    return Math.max(0, ...this.members.filter(isUp).map((member) => member.term));
  }

  get lastIndex() {
    return Math.max(0, ...this.members.map((member) => member.last_index));
  }

  get voters() {
    return this.members.filter((member) => member.state !== "learner");
  }

  get quorum() {
    return Math.floor(this.voters.length / 2) + 1;
  }

  get votersUp() {
    return this.voters.filter(isUp).length;
  }

  /** Each pair of members once, with both directions of its link. */
  get pairs() {
    const links = new Map((this.now?.links ?? []).map((link) => [`${link.from} ${link.to}`, link]));
    const pairs = [];
    this.members.forEach((a, at) => {
      for (const b of this.members.slice(at + 1)) {
        const both = [links.get(`${a.id} ${b.id}`), links.get(`${b.id} ${a.id}`)].filter(Boolean);
        pairs.push(pairOf(a, b, both));
      }
    });
    return pairs;
  }
}

/** A member that never answered has no numbers; its lists are empty then, not null. */
function whole(member) {
  const lists = ["slowest_watchers", "client_urls", "peer_urls", "alarms", "tail"];
  return { ...member, ...Object.fromEntries(lists.map((list) => [list, member[list] ?? []])) };
}

function pairOf(a, b, both) {
  const measured = both
    .map((link) => link.rtt_ms)
    .filter((rtt) => rtt !== null && rtt !== undefined);
  return {
    key: `${a.id}-${b.id}`,
    a,
    b,
    cut: both.some((link) => link.cut),
    up: both.length > 0 && both.every((link) => link.up),
    known: both.length > 0,
    rtt: measured.length ? Math.min(...measured) : null,
  };
}

/** What differs between two events, in words: for a tab that did not look in between. */
export function changesBetween(before, after) {
  const leader = (event) =>
    event.members.find((member) => member.state === "leader" && isUp(member));
  const term = (event) => Math.max(0, ...event.members.map((member) => member.term));
  const changes = [];
  const [was, is] = [leader(before), leader(after)];
  if (was?.id !== is?.id) changes.push(`leader ${was?.name ?? "none"} → ${is?.name ?? "none"}`);
  if (term(before) !== term(after)) changes.push(`term ${term(before)} → ${term(after)}`);
  for (const member of after.members) {
    const earlier = before.members.find((other) => other.id === member.id);
    if (!earlier) changes.push(`${member.name} is new`);
    else if (isUp(earlier) !== isUp(member))
      changes.push(`${member.name} ${isUp(member) ? "is back" : "went away"}`);
  }
  return changes;
}
