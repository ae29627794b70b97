"""The frames that steer a connection rather than carry requests: SETTINGS, PING, windows, resets.

Owns: one method per control frame type, and the peer's floods of them. Must never do: open
streams or parse header blocks; that is connection.py.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.wire import frames
from raftkv.wire.flood import FloodGuard
from raftkv.wire.frames import ConnectionFailure, ErrorCode, Setting, StreamFailure
from raftkv.wire.limits import WireLimits
from raftkv.wire.output import Output
from raftkv.wire.stream import StreamState

_SHUTDOWN_PING = b"raftkv:x"


class Control:
    """A connection's answers to control frames."""

    def __init__(
        self,
        limits: WireLimits,
        output: Output,
        streams: dict[int, StreamState],
        abandon: Callable[[StreamState], None],
    ) -> None:
        self.flood = FloodGuard(limits)
        self.settled = False  # the peer's first SETTINGS has come
        self.last_stream_id = 0
        # Set by our GOAWAY: streams above it are ignored.
        self.last_accepted_id = frames.STREAM_ID_MAX
        self.pings_answered = 0
        self.draining = False
        self._output = output
        self._streams = streams
        self._abandon = abandon
        self._answers_at_ping = 0
        self._pinged_at = float("-inf")
        self._ping_strikes = 0
        self._limits = limits
        self._methods: dict[int, Callable[[int, int, bytes, float], None]] = {
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_rst_stream,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
        }

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        """Raises ConnectionFailure and StreamFailure."""
        method = self._methods.get(kind)
        if method is None:  # unknown types are ignored (section 5.5)
            self.flood.idle_frames.take(now)
        else:
            method(flags, stream_id, payload, now)

    # --- our own shutdown -------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Announce the end; streams already under way to us are still served (section 6.8)."""
        if self.draining:
            return
        self.draining = True
        self._output.control(frames.goaway(frames.STREAM_ID_MAX, ErrorCode.NO_ERROR))
        self._output.control(frames.ping(_SHUTDOWN_PING, ack=False))

    def end_drain(self) -> None:
        """From here on no new stream is accepted."""
        if self.last_accepted_id == frames.STREAM_ID_MAX:
            self.last_accepted_id = self.last_stream_id
            self._output.control(frames.goaway(self.last_stream_id, ErrorCode.NO_ERROR))

    # --- the peer's frames --------------------------------------------------------------------

    def _on_settings(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ack with a payload")
            if not self.settled:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "SETTINGS ack came first")
            self.flood.idle_frames.take(now)
            return
        self.flood.settings.take(now)
        for number, value in frames.read_settings(payload):
            if number == Setting.INITIAL_WINDOW_SIZE:
                self._output.set_initial_window(value)
            elif number == Setting.MAX_FRAME_SIZE:
                self._output.set_frame_bytes_max(value)
            elif number == Setting.HEADER_TABLE_SIZE:
                self._output.set_table_bytes_max(value)
        self.settled = True
        self._output.control(frames.SETTINGS_ACK)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if flags & frames.ACK:
            self.flood.idle_frames.take(now)
            self.pings_answered += 1
            if payload == _SHUTDOWN_PING and self.draining:
                self.end_drain()
            return
        # A client may ping at every answer to measure the path; only pings for nothing count.
        if self._output.answers == self._answers_at_ping:
            self.flood.pings.take(now)
            self._strike(now)
        else:
            self._ping_strikes = 0
        self._answers_at_ping = self._output.answers
        self._pinged_at = now
        self._output.control(frames.ping(payload, ack=True))

    def _strike(self, now: float) -> None:
        if now - self._pinged_at < self._limits.ping_interval_seconds_min:
            self._ping_strikes += 1
            if self._ping_strikes > self._limits.ping_strikes_max:
                raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        frames.read_word("RST_STREAM", payload)
        self._check_not_idle("RST_STREAM", stream_id)
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            self.flood.idle_frames.take(now)
            return
        self._abandon(stream)
        self.flood.resets.take(now)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        increment = frames.read_word("WINDOW_UPDATE", payload) & frames.WINDOW_MAX
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self._output.widen(increment)
            return
        self._check_not_idle("WINDOW_UPDATE", stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # the answer and this crossed on the way
        if increment == 0:
            raise StreamFailure(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self._output.widen_stream(stream, increment)

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        """The client opens nothing more; what is open is served to its end."""
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        self.flood.idle_frames.take(now)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id == 0:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self.flood.idle_frames.take(now)
        if len(payload) != 5:
            reason = f"PRIORITY of {len(payload)} bytes"
            if self.is_idle(stream_id):  # it takes no RST_STREAM (section 5.1)
                raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, reason)
            raise StreamFailure(ErrorCode.FRAME_SIZE_ERROR, reason)

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a client sent PUSH_PROMISE")

    def is_idle(self, stream_id: int) -> bool:
        """Whether nobody has opened the stream yet; we open none."""
        return stream_id & 1 == 0 or stream_id > self.last_stream_id

    def tolerates(self, stream_id: int, now: float) -> bool:
        """Whether a frame on a closed stream may have crossed our word about it on the way."""
        self.flood.idle_frames.take(now)
        return stream_id in self._output.resets or stream_id > self.last_accepted_id

    def _check_not_idle(self, kind: str, stream_id: int) -> None:
        if self.is_idle(stream_id):
            reason = f"{kind} on idle stream {stream_id}"
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, reason)
