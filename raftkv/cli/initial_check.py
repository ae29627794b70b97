"""--initial-corrupt-check: before a member serves, its hash is compared with the others'.

Owns: asking each peer at its peer URL (GET /members/hashkv, as between etcd's members) and the
refusal. Must never do: keep a member down for what it could not find out: a peer that is away, or
gives no hash in CHECK_MAX_S, is told in the log and left out. Nothing runs yet, so the hash is made
in one go: at the revision of the last commit, or the peer's newest one if that is older.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from raftkv.apply.membership import read_members
from raftkv.errors import Corrupt, RaftKVError
from raftkv.log_fields import fields, hex_id
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.peer.http import HttpAnswer, ask
from raftkv.peer.sockets import PeerSockets
from raftkv.server.foundation import Foundation
from raftkv.server.peer_hashes import HashQuestion
from raftkv.server.status import MemberInfo

HASHKV = "/members/hashkv"
CHECK_MAX_S = 60.0
"""For the answer of one peer, whose hash may take its time."""
ASK_AGAIN_S = 0.2

Look = Callable[[HashQuestion], HashResult | None]

log = logging.getLogger("raftkv.server")


async def check_against_peers(foundation: Foundation, sockets: PeerSockets) -> None:
    """Raises Corrupt when a peer's hash is another than this member's."""
    me = foundation.member_id
    peers = [row for row in read_members(foundation.backend) if row.id != me]
    store = foundation.store
    question = HashQuestion(store.current_revision, store.compact_revision)
    log.info(
        "starting initial corruption check",
        extra=fields(local_member_id=hex_id(me), revision=question.revision),
    )
    answers = await asyncio.gather(*(_answer_of(peer, question, sockets) for peer in peers))
    for peer, theirs in zip(peers, answers, strict=True):
        if theirs is None:
            log.warning(
                "could not compare the hash with a peer", extra=fields(peer_id=hex_id(peer.id))
            )
        else:
            _compare(store, me, peer, theirs)
    log.info("initial corruption checking passed", extra=fields(local_member_id=hex_id(me)))


def answer_hash_question(path: str, look: Look) -> HttpAnswer:
    """What a peer is told that asks for HASHKV: 200 with the hash, or 202 for "ask again"."""
    query = parse_qs(urlsplit(path).query)
    try:
        question = HashQuestion(int(query["revision"][0]), int(query["compacted"][0]))
    except (KeyError, ValueError):
        text = b"revision and compacted are expected, as whole numbers\n"
        return HttpAnswer(HTTPStatus.BAD_REQUEST, text)
    result = look(question)
    if result is None:
        return HttpAnswer(HTTPStatus.ACCEPTED)
    body = {
        "hash": result.hash,
        "compact_revision": result.compact_revision,
        "hash_revision": result.hash_revision,
    }
    headers = {"Content-Type": "application/json"}
    return HttpAnswer(HTTPStatus.OK, json.dumps(body).encode(), headers)


def _compare(store: Store, me: int, peer: MemberInfo, theirs: HashResult) -> None:
    try:
        run = store.begin_hash(theirs.hash_revision, theirs.compact_revision)
    except RaftKVError as error:  # it has compacted beyond what we have, or the reverse
        told = fields(peer_id=hex_id(peer.id), error=str(error))
        log.warning("could not compare the hash with a peer", extra=told)
        return
    while not run.step(1_000):
        pass
    mine = run.result
    if (mine.hash_revision, mine.compact_revision) != (
        theirs.hash_revision,
        theirs.compact_revision,
    ):
        told = fields(peer_id=hex_id(peer.id), error="it has not compacted as far")
        log.warning("could not compare the hash with a peer", extra=told)
    elif mine.hash != theirs.hash:
        raise Corrupt(
            f"found data inconsistency with peers: at revision {mine.hash_revision} (compacted at "
            f"{mine.compact_revision}) the hash is {mine.hash} on this member {me:x} and "
            f"{theirs.hash} on {peer.name} {peer.id:x}. If this member's data is the wrong one, "
            f"remove it (member remove {me:x}), add it anew, and start it with an empty directory"
        )


async def _answer_of(
    peer: MemberInfo, question: HashQuestion, sockets: PeerSockets
) -> HashResult | None:
    path = f"{HASHKV}?revision={question.revision}&compacted={question.compact_revision}"
    try:
        async with asyncio.timeout(CHECK_MAX_S):
            while (answer := await ask(sockets, "GET", peer.peer_urls[0], path)) is not None:
                if answer.status != HTTPStatus.ACCEPTED:
                    return _read(answer)
                await asyncio.sleep(ASK_AGAIN_S)
    except TimeoutError:
        return None
    return None


def _read(answer: HttpAnswer) -> HashResult | None:
    if answer.status != HTTPStatus.OK:
        return None
    try:
        told = json.loads(answer.body)
        return HashResult(told["hash"], told["compact_revision"], told["hash_revision"])
    except (ValueError, KeyError, TypeError):
        return None
