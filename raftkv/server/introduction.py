"""Before a member without data may speak: who are the others, and do they know it?

Owns: ClusterView, what a member tells a stranger about its cluster, and the judgement of a first
start. Must never do: ask; whoever starts the member does, over the peer URLs.

A member that has lost its disk has lost its votes and acknowledgements with it. Under its old id it
would give them a second time, and two quorums could decide different things. So:

- whoever is known to have been at work under this id refuses it, whatever the state asked for;
- joining (state existing) needs an answer, and --initial-cluster must be what the cluster says;
- a new cluster needs a quorum of members that have started, this one included. None of them may
  know more than the made-up first state; if one does, the cluster is under way without us, and only
  when so many others have answered that every quorum with us in it has one of them is it sure that
  we were in none (all others of three, all but one of five). Until then the member waits and asks.

What is not safe: if the others that answer have no data themselves, and all that knew us are away,
nothing tells this from a first start. That takes the loss of more disks than a quorum survives, or
a member of the quorum that had never been started.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from raftkv.apply.level import OWN_LEVEL
from raftkv.errors import ConfigError
from raftkv.peer.offer import HEADER as OFFER
from raftkv.peer.offer import SILENCE, Offer
from raftkv.server.config import ServerConfig
from raftkv.server.identity import member_id
from raftkv.server.status import MemberInfo

LOST = (
    "this member was at work in the cluster before, and its data is gone; under its old identity "
    "it could vote twice. Remove it (member remove {id:x}), add it anew (member add), and start "
    "it with an empty data directory and --initial-cluster-state=existing"
)


CLUSTER_ID = "X-Etcd-Cluster-ID"
HAS_BEGUN = "X-Raftkv-Has-Begun"
ANSWERER = "X-Raftkv-Member-ID"
LEADER = "X-Raftkv-Leader-ID"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """``has_begun``: more than the made-up first state is there. ``heard``: who has sent messages
    in this life of the member that answers. A member without data answers with an empty view.
    ``answerer`` and ``leader`` are 0 where unknown: version 0.1.0 does not tell them."""

    cluster_id: int = 0
    has_begun: bool = False
    members: tuple[MemberInfo, ...] = ()
    heard: frozenset[int] = frozenset()
    offer: Offer = SILENCE
    answerer: int = 0
    leader: int = 0

    def encode(self) -> bytes:
        """The body of GET /members: etcd's list, with two more fields in each row."""
        rows = [
            {
                "id": row.id,
                "peerURLs": row.peer_urls,
                "name": row.name,
                "clientURLs": row.client_urls,
                "isLearner": row.is_learner,
                "heard": row.id in self.heard,
            }
            for row in self.members
        ]
        return json.dumps(rows).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Of the same answer."""
        return {
            CLUSTER_ID: f"{self.cluster_id:x}",
            HAS_BEGUN: str(self.has_begun).lower(),
            OFFER: self.offer.encode(),
            ANSWERER: f"{self.answerer:x}",
            LEADER: f"{self.leader:x}",
        }

    @staticmethod
    def decode(body: bytes, headers: Mapping[str, str]) -> ClusterView | None:
        """None for what no member says. Names of ``headers`` are in lower case."""
        try:
            rows = json.loads(body)
            members = tuple(
                MemberInfo(
                    int(row["id"]),
                    str(row["name"]),
                    tuple(map(str, row["peerURLs"])),
                    tuple(map(str, row["clientURLs"])),
                    bool(row["isLearner"]),
                )
                for row in rows
            )
            return ClusterView(
                _id_in(headers, CLUSTER_ID),
                headers.get(HAS_BEGUN.lower()) == "true",
                members,
                frozenset(int(row["id"]) for row in rows if row["heard"]),
                Offer.decode(headers.get(OFFER.lower(), "")),
                _id_in(headers, ANSWERER),
                _id_in(headers, LEADER),
            )
        except (ValueError, KeyError, TypeError):
            return None


def _id_in(headers: Mapping[str, str], name: str) -> int:
    """Raises ValueError for what is no number."""
    return int(headers.get(name.lower()) or "0", 16)


@dataclass(frozen=True, slots=True)
class Joining:
    """What a member that joins starts from."""

    cluster_id: int
    member_id: int
    members: tuple[MemberInfo, ...]


Answers = Mapping[str, ClusterView | None]
"""By name in --initial-cluster, without this member's own; None is silence."""


def judge_new(config: ServerConfig, answers: Answers) -> str:
    """Whether a new cluster's member may begin: "" if so, else what it has to wait for. Raises
    ConfigError when it must not, ever."""
    me = member_id(config.initial_cluster[config.name], config.initial_cluster_token)
    views = {name: view for name, view in answers.items() if view is not None}
    for name, view in views.items():
        _check_stranger(config, me, name, view)
    size = len(config.initial_cluster)
    quorum = size // 2 + 1
    has_begun = any(view.has_begun for view in views.values())
    needed = size - 1 - max(quorum - 2, 0) if has_begun else quorum - 1
    if len(views) >= needed:
        return ""
    silent = ", ".join(sorted(set(answers) - set(views)))
    if has_begun:
        return f"the cluster is under way, and {silent} could know that we were in it"
    return f"{len(views)} of {size - 1} other members answer, {needed} must: waiting for {silent}"


def judge_existing(config: ServerConfig, answers: Answers) -> Joining:
    """What the running cluster says of a member that joins. Raises ConfigError."""
    views = [view for view in answers.values() if view is not None and view.members]
    if not views:
        raise ConfigError(
            "cannot fetch cluster info from peer urls: could not retrieve cluster information "
            f"from the given URLs of {', '.join(sorted(answers)) or 'no other member'}"
        )
    failure = ConfigError("")
    for view in views:
        try:
            return _join(config, view)
        except ConfigError as e:
            failure = e
    raise failure


def judge_forced(answers: Answers, others: Container[int]) -> None:
    """Whether a member may make itself the only one (--force-new-cluster). Raises ConfigError while
    one of the ``others`` leads: it would tell them that they were removed, and they would end."""
    for name, view in answers.items():
        if view is not None and view.leader in others:
            raise ConfigError(
                f"--force-new-cluster is for a cluster that is lost, and this one is at work: "
                f"{name} answers, and follows {view.leader:x}. To rejoin it, start this member "
                f"without the flag. To give the others up, stop them first"
            )


def _check_stranger(config: ServerConfig, me: int, name: str, view: ClusterView) -> None:
    """Raises ConfigError when ``view`` knows this member, or knows better."""
    row = next((row for row in view.members if row.id == me), None)
    if row is not None and (row.has_started or me in view.heard):
        raise ConfigError(f"member {me:x} has already been bootstrapped: " + LOST.format(id=me))
    if row is None and view.has_begun:
        raise ConfigError(
            f"{name} is a member of cluster {view.cluster_id:x}, to which {me:x} does not belong: "
            f"to join it, add this member (member add) and start it with an empty data directory "
            f"and --initial-cluster-state=existing"
        )


def _join(config: ServerConfig, view: ClusterView) -> Joining:
    if view.offer.current > OWN_LEVEL:
        raise ConfigError(
            f"the cluster is at level {view.offer.current}, this version knows {OWN_LEVEL}: "
            f"start this member with a version that is not older than the other members'"
        )
    given = sorted(tuple(sorted(urls)) for urls in config.initial_cluster.values())
    known = sorted(tuple(sorted(row.peer_urls)) for row in view.members)
    if len(given) != len(known):
        raise ConfigError(
            f"error validating peerURLs: member count is unequal: --initial-cluster names "
            f"{len(given)} members, the cluster has {len(known)}: {_listed(known)}"
        )
    if given != known:
        raise ConfigError(
            f"error validating peerURLs: unmatched member while checking PeerURLs: "
            f"--initial-cluster has {_listed(given)}, the cluster {_listed(known)}"
        )
    mine = sorted(config.initial_cluster[config.name])
    row = next(row for row in view.members if sorted(row.peer_urls) == mine)
    if row.has_started or row.id in view.heard:
        raise ConfigError(f"member {row.id:x} has been started before: " + LOST.format(id=row.id))
    return Joining(view.cluster_id, row.id, view.members)


def _listed(members: Sequence[Sequence[str]]) -> str:
    return " ".join(",".join(urls) for urls in members)
