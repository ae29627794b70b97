"""A made-up cluster that lives by itself, to work on the page by hand without a real one.

    python -m tests.ui.life --base-port 24100 --members 3

Owns: that life: heartbeats, writes, elections after a kill, and what the buttons do.
Must never do: run in a test; tests say themselves what happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from typing import Any

from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.replay import Replay

TURN_S = 0.1
ELECTION_TURNS = 14


class Life:
    def __init__(self, cluster: MadeUpCluster, replay: Replay, chance: random.Random) -> None:
        self.cluster = cluster
        self.replay = replay
        self.chance = chance
        self.leaderless = 0

    async def run(self) -> None:
        turn = 0
        while True:
            self.cluster.t = int(time.time() * 1000)
            self.replay.send_here("messages", self.cluster.batch(self._messages()))
            if turn % 5 == 0:
                self.cluster.writes_per_s = 3 + 2 * self.chance.random()
                self.replay.tell_here()
            turn += 1
            await asyncio.sleep(TURN_S)

    def _messages(self) -> list[dict[str, Any]]:
        cluster = self.cluster
        if cluster.leader is None:
            return self._election()
        self.leaderless = 0
        messages = cluster.beat()
        if self.chance.random() < 0.3:
            fruit = self.chance.choice(["apple", "banana", "cherry"])
            cluster.put(f"/fruit/{fruit}".encode(), f"{self.chance.random():.6f}".encode())
            for other in cluster.members:
                if other is not cluster.leader and other.up:
                    messages.append(
                        cluster.message(cluster.leader.name, other.name, "append", entries=1)
                    )
                    messages.append(
                        cluster.message(other.name, cluster.leader.name, "append_reply")
                    )
        return messages

    def _election(self) -> list[dict[str, Any]]:
        cluster = self.cluster
        up = [member for member in cluster.members if member.up]
        self.leaderless += 1
        if len(up) * 2 <= len(cluster.members) or self.leaderless < ELECTION_TURNS:
            return []
        first = up[0]
        if self.leaderless == ELECTION_TURNS:
            first.state, first.vote = "candidate", first.id
            first.term += 1
            self._tell(
                first.name,
                "began_election",
                f"{first.name} began an election in term {first.term}.",
            )
            asks = [(first, other, "vote") for other in up[1:]]
            return [cluster.message(a.name, b.name, kind) for a, b, kind in asks] + [
                cluster.message(b.name, a.name, "vote_reply") for a, b, kind in asks
            ]
        if self.leaderless > ELECTION_TURNS + 6:
            cluster.elect(first.name)
            self._tell(
                first.name, "became_leader", f"{first.name} became leader in term {first.term}."
            )
        return []

    def _tell(self, name: str, what: str, text: str) -> None:
        self.replay.send_here("happening", self.cluster.happening(name, what, text))

    def post(self, path: str, body: dict[str, Any]) -> str:
        cluster = self.cluster
        if path == "local/link":
            pair = frozenset((body["a"], body["b"]))
            cluster.cut = cluster.cut | {pair} if body["cut"] else cluster.cut - {pair}
            return "The link is cut." if body["cut"] else "The link is whole again."
        name = cluster.member(body["member"]).name
        if body["action"] in ("kill", "stop", "pause"):
            what = "paused" if body["action"] == "pause" else "stopped"
            cluster.stop(name, what)
            self._tell(name, what, f"{name} was {what}.")
        else:
            cluster.start(name)
            self._tell(name, "started", f"{name} is back.")
        return f"{name}: {body['action']} done"


def furnish(cluster: MadeUpCluster) -> None:
    """Keys of every sort that the browser shows."""
    for version in range(1, 4):
        web = {"kind": "Deployment", "spec": {"replicas": version, "image": f"web:1.{version}"}}
        cluster.put(b"/registry/deployments/default/web", json.dumps(web).encode())
    cluster.put(b"/registry/<img src=x onerror=alert(1)>", b"<script>alert(1)</script>")
    cluster.put(b"/bytes/\xff\xfe\x00", bytes(range(256)))
    cluster.put(b"/config", b"first line\nsecond line\nthird line\n")
    cluster.put(b"/config", b"first line\nsecond, changed line\nthird line\nfourth\n")
    cluster.put(b"/gone", b"soon")
    cluster.store.delete(b"/gone")
    for number in range(250):
        cluster.put(f"/many/{number:04}".encode(), b"x" * number)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-port", type=int, default=24100)
    parser.add_argument("--members", type=int, default=3)
    chosen = parser.parse_args()
    cluster = MadeUpCluster(chosen.members)
    cluster.prefixes = [{"prefix": "/fruit/", "keys": 3, "bytes": 60, "writes_per_s": 3.2}]
    furnish(cluster)
    with Replay(cluster, chosen.base_port) as replay:
        life = Life(cluster, replay, random.Random(1))
        replay.on_post = life.post
        print(replay.url(), flush=True)
        running = asyncio.run_coroutine_threadsafe(life.run(), replay.loop)
        try:
            running.result()
        except KeyboardInterrupt:
            running.cancel()


if __name__ == "__main__":
    main()
