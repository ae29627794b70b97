// Starts the page: makes its parts, and hands each event to those that it concerns.
//
// Owns: who knows whom. Must never do: draw, fetch or decide; the parts do.

import { Api } from "./api.js";
import { changesBetween, Cluster } from "./cluster.js";
import { Connection } from "./connection.js";
import { byId } from "./element.js";
import { calm, Frames } from "./frames.js";
import { Guide } from "./guide.js";
import { Happenings } from "./happenings.js";
import { KeyList } from "./key_list.js";
import { KeyView } from "./key_view.js";
import { Links } from "./links.js";
import { Login } from "./login.js";
import { MemberCards } from "./member_cards.js";
import { MemberRows } from "./member_rows.js";
import { Play } from "./play.js";
import { RevisionDiff } from "./revision_diff.js";
import { Ring } from "./ring.js";
import { takeCarried } from "./route.js";
import { Stream } from "./stream.js";
import { Summary } from "./summary.js";
import { LinkTable, MemberTable, PrefixTable, WatcherTable } from "./tables.js";
import { Theme } from "./theme.js";
import { Traffic } from "./traffic.js";
import { Views } from "./views.js";
import { timeOfDay } from "./words.js";

const COUNT_MS = 1_000;

const carried = takeCarried();
const theme = new Theme(byId("theme"), carried.theme);
const cluster = new Cluster();
const frames = new Frames();
const happenings = new Happenings(byId("happenings"), byId("no-happenings"), byId("announcer"));

const login = new Login(() => {
  stream.open();
  views.show();
});
const api = new Api((text) => login.ask(text));
login.api = api;

const connection = new Connection(cluster, happenings, () => ({
  theme: theme.chosen,
  guide: guide.carried,
}));
const fail = (error) => connection.fail(error);
const play = new Play(api, cluster, fail);
const act = (member, action) => play.act(member, action);
const guide = new Guide(act, carried.guide);

const cards = new MemberCards(byId("cards"));
const ring = new Ring(byId("ring"), byId("dots"), (id) => cards.show(id));
const traffic = new Traffic(
  ring.dots,
  () => ring.places,
  (id, now) => ring.hear(id, now),
);
const links = new Links(ring, byId("links"), (pair) => play.link(pair));
const rows = new MemberRows(byId("rows"), byId("ruler"), act);
const linkTable = new LinkTable(byId("link-table"));
const parts = [
  new Summary(),
  ring,
  links,
  rows,
  cards,
  guide,
  new MemberTable(byId("member-table")),
  new WatcherTable(byId("watcher-table"), byId("no-watchers")),
  new PrefixTable(byId("prefix-table"), byId("no-prefixes"), byId("prefix-note")),
];
frames.add((now) => ring.frame(now));
frames.add((now) => traffic.frame(now));

let counted = { at: 0, links: new Map() };
let slept = false;

const hear = {
  cluster(event) {
    const before = cluster.take(event);
    happenings.since ??= event.t;
    if (slept && before) tellSleep(before, event);
    slept = false;
    countMessages(performance.now());
    for (const part of parts) part.update(cluster);
    linkTable.update(cluster, counted.links);
    connection.tell("live");
    if (!before) first();
    frames.wake();
  },
  messages(batch) {
    traffic.take(batch, performance.now());
    guide.hear(batch);
    Object.assign(byId("ring").dataset, traffic.totals);
    frames.wake();
  },
  happening(event) {
    if (!happenings.take(event, cluster.member(event.member)?.name)) return;
    guide.happened(event);
  },
};

function first() {
  byId("waiting").hidden = true;
  byId("stage").hidden = false;
  if (carried.left) connection.arrived(carried.left);
  if (views.view === "diff") views.show(); // which revision is the newest is known now
  document.documentElement.dataset.ready = "yes";
}

/** Messages on each link, a second at a time; in words where they may not travel. */
function countMessages(now) {
  if (now - counted.at < COUNT_MS) return;
  counted = { at: now, links: traffic.takeCounts() };
  if (!calm.matches) return links.tellCounts(null);
  const both = (pair) =>
    ["a", "b"].reduce(
      (sum, from) =>
        sum + (counted.links.get(`${pair[from].id} ${pair[from === "a" ? "b" : "a"].id}`) ?? 0),
      0,
    );
  return links.tellCounts(new Map(cluster.pairs.map((pair) => [pair.key, `${both(pair)}/s`])));
}

function tellSleep(before, after) {
  const changes = changesBetween(before, after);
  const said = changes.length ? changes.join(", ") : "the same leader and members";
  happenings.tell(`Nobody looked from ${timeOfDay(before.t)} to ${timeOfDay(after.t)}: ${said}.`);
}

const keyList = new KeyList(api, fail);
const keyView = new KeyView(api, fail);
const revisionDiff = new RevisionDiff(api, fail, () =>
  Math.max(0, ...cluster.members.map((member) => member.revision)),
);
const views = new Views({
  keys(params) {
    keyList.follow(params);
    keyView.follow(params);
  },
  diff: (params) => revisionDiff.follow(params),
});

const stream = new Stream(api, hear, (state, text) => {
  if (state === "hidden") {
    slept = true;
    traffic.clear();
  }
  // Somebody who may not see the cluster may know a user who may.
  if (state === "refused" && api.token) byId("login-open").hidden = false;
  connection.tell(state, text);
});
connection.stream = stream;
views.show();
stream.open();
