"""What a client may say on the client port, right and wrong: HTTP/2, gRPC in it, HTTP/1.1 and JSON.

Owns: sessions as lists of pieces (frames, or parts of a text), made from a Random. Must never do:
send, or judge.
"""

from __future__ import annotations

import base64
import json
from random import Random

import hpack

from raftkv.gateway.json_paths import PATHS
from raftkv.wire import frames
from tests.fuzz import grpc_requests

Session = list[bytes]
WORDS = (0, 1, 2, 5, 16_384, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
CONTENT_TYPES = ("application/grpc", "application/grpc", "application/grpc+proto", "text/plain")
TIMEOUT = "300m"


def session(random: Random) -> Session:
    """One connection's words."""
    if random.random() < 0.2:
        return http1(random)
    pieces = http2(random)
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        pieces = mutated(random, pieces)
    return pieces


# --- HTTP/2 --------------------------------------------------------------------------------------


def http2(random: Random) -> Session:
    """The preface, SETTINGS, and some calls whose frames may be mixed with others."""
    encoder = hpack.Encoder()
    pieces = [frames.PREFACE, frames.settings({})]
    stream_id = 1
    for _ in range(random.randint(1, 6)):
        if random.random() < 0.3:
            pieces.append(control_frame(random, stream_id))
        pieces += call(random, encoder, stream_id)
        stream_id += random.choice((2, 2, 2, 4))
    return pieces


def call(random: Random, encoder: hpack.Encoder, stream_id: int) -> Session:
    path = random.choice(grpc_requests.methods())
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
        ("content-type", random.choice(CONTENT_TYPES)),
        ("te", "trailers"),
        ("grpc-timeout", TIMEOUT),
    ]
    if random.random() < 0.15:
        fields = spoilt_fields(random, fields)
    block = encoder.encode(fields, huffman=random.random() < 0.5)
    body = b"".join(
        message(random, grpc_requests.request_bytes(random, path))
        for _ in range(random.choice((1, 1, 1, 0, 2)))
    )
    return [*blocks(random, stream_id, block), *datas(random, stream_id, body)]


def message(random: Random, data: bytes) -> bytes:
    """gRPC's frame around ``data``; now and then it says something else."""
    packed, length = 0, len(data)
    if random.random() < 0.1:
        packed = random.choice((1, 2, 255))
    if random.random() < 0.1:
        length = random.choice((0, length + 1, 2**31, 2**32 - 1, max(length - 1, 0)))
    return bytes((packed,)) + length.to_bytes(4, "big") + data


def blocks(random: Random, stream_id: int, block: bytes) -> Session:
    cut = random.randint(0, len(block)) if random.random() < 0.2 else len(block)
    if cut == len(block):
        return [frames.frame(frames.HEADERS, 4, stream_id, block)]
    return [
        frames.frame(frames.HEADERS, 0, stream_id, block[:cut]),
        frames.frame(frames.CONTINUATION, 4, stream_id, block[cut:]),
    ]


def datas(random: Random, stream_id: int, body: bytes) -> Session:
    size = random.choice((7, 100, 16_384)) if len(body) < 2_000 else 16_384
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    made = [frames.frame(frames.DATA, 0, stream_id, part) for part in parts[:-1]]
    if random.random() < 0.1:
        padded = b"\x04" + parts[-1] + b"\0" * 4
        return [*made, frames.frame(frames.DATA, 9, stream_id, padded[:16_384])]
    return [*made, frames.frame(frames.DATA, 1, stream_id, parts[-1])]


def spoilt_fields(random: Random, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    fields = list(fields)
    strange = [
        ("content-length", random.choice(("0", "5", "-1", "9" * 30, "x"))),
        ("Upper", "x"),
        ("connection", "close"),
        ("cookie", "a" * random.choice((1, 5_000))),
        ("x", "a\0b"),
        ("grpc-timeout", random.choice(("", "1", "99999999H", "-1S", "999999999S"))),
        ("grpc-encoding", random.choice(("gzip", "identity", "br"))),
        ("authorization", random.choice(("", "a.b", "\xff" * 40))),
        ("x-bin", "!!!"),
        (":path", random.choice(("/", "*", "//[", "/v3/kv/range", "/metrics", "/health"))),
    ]
    place = random.randint(0, len(fields))
    fields.insert(place, random.choice(strange))
    if random.random() < 0.5:
        del fields[random.randrange(len(fields))]
    return fields


def control_frame(random: Random, stream_id: int) -> bytes:
    target = random.choice((0, 0, stream_id, max(stream_id - 2, 0), stream_id + 10, 2))
    number = random.choice(WORDS) & 0xFFFFFFFF
    made = (
        lambda: frames.ping(random.randbytes(8), ack=random.random() < 0.3),
        lambda: frames.frame(frames.WINDOW_UPDATE, 0, target, number.to_bytes(4, "big")),
        lambda: frames.frame(frames.RST_STREAM, 0, target, number.to_bytes(4, "big")),
        lambda: frames.frame(frames.PRIORITY, 0, target or 1, random.randbytes(5)),
        lambda: frames.frame(
            frames.SETTINGS, 0, 0, random.randint(1, 9).to_bytes(2, "big") + number.to_bytes(4)
        ),
        lambda: frames.frame(frames.GOAWAY, 0, 0, number.to_bytes(4, "big") + b"\0\0\0\0debug"),
        lambda: frames.frame(random.randint(0, 255), random.randint(0, 255), target, b"x" * 9),
        lambda: frames.frame(frames.HEADERS, 5, stream_id + 100, random.randbytes(12)),
    )
    return random.choice(made)()


def mutated(random: Random, pieces: Session) -> Session:
    """One change to a session, at the level of frames or of bytes."""
    pieces = list(pieces)
    at = random.randrange(len(pieces))
    change = random.randrange(7)
    if change == 0:
        del pieces[at]
    elif change == 1:
        pieces.insert(at, pieces[random.randrange(len(pieces))])
    elif change == 2:
        other = random.randrange(len(pieces))
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif change == 3:
        pieces[at] = pieces[at][: random.randint(0, len(pieces[at]))]
    elif change == 4 and pieces[at]:
        changed = bytearray(pieces[at])
        changed[random.randrange(len(changed))] = random.randrange(256)
        pieces[at] = bytes(changed)
    elif change == 5 and len(pieces[at]) >= 9:
        head = bytearray(pieces[at][:9])
        head[random.randrange(9)] = random.choice((0, 1, 0xFF, random.randrange(256)))
        pieces[at] = bytes(head) + pieces[at][9:]
    else:
        pieces.insert(at, random.randbytes(random.choice((1, 9, 60))))
    return pieces or [b""]


# --- HTTP/1.1 and JSON ---------------------------------------------------------------------------


def http1(random: Random) -> Session:
    pieces: Session = []
    for _ in range(random.randint(1, 3)):
        body = json_body(random)
        target = random.choice(
            (*PATHS, "/health", "/metrics", "//[", "/v3/kv/nothing", "*", "/\xff")
        )
        method = random.choice(("POST", "POST", "POST", "GET", "OPTIONS", "HEAD", "P\0ST", ""))
        length = len(body) if random.random() < 0.9 else random.choice((0, -1, 10**20, 5))
        # A path that is left out over gRPC is left out here, too.
        if target in PATHS and PATHS[target][1] in grpc_requests.LEFT_OUT:
            target = "/version"
        lines = [f"{method} {target} HTTP/{random.choice(('1.1', '1.1', '1.0', '9.9'))}"]
        lines.append(f"Host: {random.choice(('a', 'a', '', '[::', 'a b'))}")
        if random.random() < 0.8:
            lines.append(f"Content-Length: {length}")
        else:
            lines.append("Transfer-Encoding: chunked")
            body = random.choice((b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"zz\r\n", body))
        if random.random() < 0.1:
            lines.append(random.choice(("x" * 70_000, "Content-Length: 3", ": x", " folded")))
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        pieces += [head, body]
    if random.random() < 0.3:
        pieces = mutated(random, pieces)
    return pieces


def json_body(random: Random) -> bytes:
    key = base64.b64encode(b"k").decode()
    right = {"key": key, "value": key, "range_end": key, "limit": "3", "ID": "1", "TTL": "60"}
    if random.random() < 0.3:
        return json.dumps(right).encode()
    depth = random.choice((5, 101, 2_000, 100_000))
    return random.choice(
        (
            b'{"a":' * depth,
            b"[" * depth + b"]" * depth,
            b'{"success":[{"request_txn":' * depth + b"{}" + b"}]}" * depth,
            b'{"key":"' + b"!" * 9 + b'"}',
            b'{"key":"YQ"}',
            b'{"limit":1e400}',
            b'{"limit":' + b"9" * 5_000 + b"}",
            b'{"limit":"99999999999999999999"}',
            b'{"limit":1.5}',
            b'{"limit":NaN}',
            b'{"key":"YQ==","key":"Yg=="}',
            b'{"sort_order":"NO SUCH"}',
            b'{"key":null}',
            b'{"key":{"a":1}}',
            b'{"compare":{"a":1}}',
            b'\xff\xfe{"',
            b'{"key":"\\ud800"}',
            b'"text"',
            b"{} {}",
            b"",
        )
    )[:1_000_000]
