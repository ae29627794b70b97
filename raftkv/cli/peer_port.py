"""What the peer port answers over HTTP, and what a first start asks there.

Owns: GET /members and POST /members/promote/ID, as between etcd's members, and the questions of a
member without data, until it may begin. Must never do: judge; ``server.introduction`` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from raftkv.cli.initial_check import HASHKV, answer_hash_question
from raftkv.error_texts import TEXTS
from raftkv.errors import MemberNotFound, RaftKVError
from raftkv.log_fields import fields
from raftkv.peer.http import HttpAnswer, Respond, ask, listen_http
from raftkv.peer.sockets import PeerSockets
from raftkv.server.config import ServerConfig
from raftkv.server.introduction import (
    Answers,
    ClusterView,
    Joining,
    judge_existing,
    judge_forced,
    judge_new,
)
from raftkv.server.member import Member
from raftkv.server.status import MemberInfo
from raftkv.ui.witness import LOOK

log = logging.getLogger("raftkv.server")

MEMBERS = "/members"
PROMOTE = "/members/promote/"
ID_DIGITS_MAX = 20
FORCED_TIMEOUTS = 3
"""Election timeouts, in which those who are a quorum have a leader."""
ASK_AGAIN_S = 0.2
"""Between two rounds of questions to members that are starting too."""


def respond_for(member: Callable[[], Member], look: Callable[[str], bytes]) -> Respond:
    """``member`` is asked for at each request: the port may be open a moment before it is made.
    ``look`` answers another member that shows the cluster."""

    def respond(method: str, path: str, reply: Callable[[HttpAnswer], None]) -> None:
        if (method, path) == ("GET", MEMBERS):
            reply(_view_answer(member().introduce()))
        elif method == "GET" and path.startswith(LOOK):
            reply(HttpAnswer(HTTPStatus.OK, look(path), {"Content-Type": "application/json"}))
        elif method == "GET" and path.startswith(HASHKV):
            reply(answer_hash_question(path, member().maintenance.hash_for_peer))
        elif method == "POST" and path.startswith(PROMOTE):
            _promote(member(), path.removeprefix(PROMOTE), reply)
        else:
            reply(HttpAnswer(HTTPStatus.NOT_FOUND))

    return respond


async def introduce(config: ServerConfig, sockets: PeerSockets) -> Joining | None:
    """Returns when this member may begin. Raises ConfigError when it may not, OSError."""
    if config.initial_cluster_state == "existing":
        return judge_existing(config, await _ask_all(config, sockets))
    if len(config.initial_cluster) == 1:
        return None
    servers = await listen_http(sockets, [a.url for a in config.listen_peer], _stranger)
    try:
        said = ""
        while reason := judge_new(config, await _ask_all(config, sockets)):
            if reason != said:
                log.warning("cannot begin yet", extra=fields(reason=reason))
                said = reason
            await asyncio.sleep(ASK_AGAIN_S)
    finally:
        for server in servers:
            server.close()
    return None


async def check_forced(
    config: ServerConfig, others: Mapping[str, MemberInfo], sockets: PeerSockets
) -> None:
    """Before --force-new-cluster: whether the ``others`` get on without us, or with us. They may be
    electing, so they are asked for a while. Raises ConfigError."""
    deadline = (
        asyncio.get_running_loop().time() + FORCED_TIMEOUTS * config.election_timeout_ms / 1e3
    )
    while True:
        views = await asyncio.gather(*(_ask_one(sockets, row.peer_urls) for row in others.values()))
        judge_forced(dict(zip(others, views, strict=True)), {row.id for row in others.values()})
        out_of_time = asyncio.get_running_loop().time() >= deadline
        if out_of_time or not any(view is not None for view in views):
            return
        await asyncio.sleep(ASK_AGAIN_S)


def _stranger(method: str, path: str, reply: Callable[[HttpAnswer], None]) -> None:
    reply(_view_answer(ClusterView()))


async def _ask_all(config: ServerConfig, sockets: PeerSockets) -> Answers:
    others = {name: urls for name, urls in config.initial_cluster.items() if name != config.name}
    views = await asyncio.gather(*(_ask_one(sockets, urls) for urls in others.values()))
    return dict(zip(others, views, strict=True))


async def _ask_one(sockets: PeerSockets, urls: tuple[str, ...]) -> ClusterView | None:
    for url in urls:
        answer = await ask(sockets, "GET", url, MEMBERS)
        if answer is not None and answer.status == HTTPStatus.OK:
            return ClusterView.decode(answer.body, answer.headers)
    return None


def _view_answer(view: ClusterView) -> HttpAnswer:
    headers = {"Content-Type": "application/json", **view.headers}
    return HttpAnswer(HTTPStatus.OK, view.encode(), headers)


def _promote(member: Member, learner: str, reply: Callable[[HttpAnswer], None]) -> None:
    def done(error: RaftKVError | None) -> None:
        if error is None:
            reply(HttpAnswer(HTTPStatus.OK, member.introduce().encode()))
            return
        status = HTTPStatus.PRECONDITION_FAILED
        if isinstance(error, MemberNotFound):
            status = HTTPStatus.NOT_FOUND
        reply(HttpAnswer(status, TEXTS.get(type(error), str(error)).encode()))

    if not learner.isdecimal() or len(learner) > ID_DIGITS_MAX or int(learner) >> 64:
        reply(HttpAnswer(HTTPStatus.NOT_FOUND))
        return
    try:
        member.promote_member(int(learner), done, forward=False)
    except RaftKVError as e:
        done(e)
