"""Small services that the wire's tests serve, on either mount."""

from __future__ import annotations

import asyncio

from raftkv.wire.service import Service, Status, Stream, UnaryCall

ODD_TEXT = 'größe 100% ✓ "quoted"\nnext line \x01 end'


class Refusal(Exception):
    """An error whose status the service knows."""


def status_of(error: BaseException) -> Status:
    return Status(9 if isinstance(error, Refusal) else 2, str(error))


def echo(message: bytes, call: UnaryCall) -> None:
    call.reply(message)


def later(message: bytes, call: UnaryCall) -> None:
    asyncio.get_running_loop().call_soon(call.reply, message)


def fail(message: bytes, call: UnaryCall) -> None:
    call.fail(Status(message[0], message[1:].decode()))


def refuse(message: bytes, call: UnaryCall) -> None:
    raise Refusal(message.decode())


def grow(message: bytes, call: UnaryCall) -> None:
    call.reply(b"g" * int(message))


def pieces(message: bytes, call: UnaryCall) -> None:
    """``n size``: a reply of n pieces of that size, each of one letter."""
    number, size = map(int, message.split())
    call.reply_in_pieces([bytes((index % 256,)) * size for index in range(number)])


def metadata(message: bytes, call: UnaryCall) -> None:
    name = message.decode()
    call.reply(call.metadata.get(name, "absent").encode())


def deadline(message: bytes, call: UnaryCall) -> None:
    if call.deadline is None:
        call.reply(b"none")
    else:
        left = call.deadline - asyncio.get_running_loop().time()
        call.reply(b"%d" % round(left))


async def bidi(stream: Stream) -> None:
    async for message in stream:
        stream.send(message)


async def count(stream: Stream) -> None:
    total = 0
    async for message in stream:
        total += len(message)
    stream.send(b"%d" % total)


async def burst(stream: Stream) -> None:
    """``n size``: n messages of that size, as fast as the client takes them."""
    async for request in stream:
        number, size = map(int, request.split())
        for index in range(number):
            stream.send(index.to_bytes(4, "big") + b"b" * size)
            await stream.drain()
        return


async def alike(stream: Stream) -> None:
    """``n head tail``: n messages that differ in four bytes, after ``head`` others and before
    ``tail``; made at once."""
    async for request in stream:
        number, head, tail = map(int, request.split())
        middles = [index.to_bytes(4, "big") for index in range(number)]
        stream.send_each(b"h" * head, middles, b"t" * tail)


async def break_off(stream: Stream) -> None:
    async for message in stream:
        stream.send(message)
        raise Refusal(ODD_TEXT)


class Held:
    """Methods that wait until the test lets them go, and tell what became of them."""

    def __init__(self) -> None:
        self.calls: list[UnaryCall] = []
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()

    def hold(self, message: bytes, call: UnaryCall) -> None:
        self.calls.append(call)
        self.arrived.set()

    async def hold_stream(self, stream: Stream) -> None:
        stream.send(b"open")
        self.arrived.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def make_service(held: Held | None = None) -> Service:
    unary = {
        "Echo": echo,
        "Later": later,
        "Fail": fail,
        "Refuse": refuse,
        "Grow": grow,
        "Pieces": pieces,
        "Metadata": metadata,
        "Deadline": deadline,
    }
    streams = {"Bidi": bidi, "Count": count, "Burst": burst, "Alike": alike}
    streams["BreakOff"] = break_off
    if held is not None:
        unary["Hold"] = held.hold
        streams["HoldStream"] = held.hold_stream
    return Service("test.Service", status_of, unary, streams)
