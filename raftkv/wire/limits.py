"""Every bound the wire keeps, by name; nothing in this package grows past one of these.

Owns: ``WireLimits`` and the check that its values fit together. Must never do: read a
configuration; the caller turns etcd's flags into these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_WINDOW_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Sizes are bytes and times are seconds; the unit ends the name."""

    # --- what one client may ask for ---------------------------------------------------------
    # etcd: --max-request-bytes plus 512 KiB of gRPC overhead.
    message_bytes_max: int = 1_572_864 + 524_288
    header_list_bytes_max: int = 65_536
    header_block_bytes_max: int = 65_536
    continuation_frames_max: int = 16
    frame_bytes_max: int = 16_384
    concurrent_streams_max: int = 16_384
    connections_max: int = 16_384
    # Unfinished uploads and unread stream messages of one connection, all streams together.
    buffered_request_bytes_max: int = 64 * _MIB

    # --- receive windows: what may be under way to us ------------------------------------------
    stream_window_bytes: int = _MIB
    connection_window_bytes: int = 4 * _MIB

    # --- output: what may wait for a slow reader -------------------------------------------------
    # Over this, further unary requests of the connection wait until half of it has left.
    connection_backlog_bytes_max: int = 32 * _MIB
    # ``Stream.drain`` returns at or below this.
    stream_backlog_low_bytes: int = 65_536
    socket_buffer_bytes_high: int = 262_144
    write_bytes_max: int = 262_144
    frame_bytes_out_max: int = 65_536
    # Frames (acks, resets, short answers) that may wait for a full socket before reading stops.
    frames_queued_max: int = 1_000
    # Streams that we reset, for which late frames are no fault of the peer.
    resets_remembered_max: int = 1_024

    # --- time --------------------------------------------------------------------------------
    timer_tick_seconds: float = 0.05
    preface_seconds_max: float = 10.0
    # A full socket or a full backlog that does not move for this long ends the connection.
    stall_seconds_max: float = 60.0
    keepalive_interval_seconds: float = 7_200.0
    keepalive_timeout_seconds: float = 20.0
    # After the last word on a connection, for the peer to read it.
    linger_seconds_max: float = 1.0
    http_request_seconds_max: float = 30.0
    http_idle_seconds_max: float = 300.0

    # --- floods: a burst, then so many a second, then GOAWAY ENHANCE_YOUR_CALM -----
    resets_burst: int = 1_000
    resets_per_second: float = 200.0
    # As grpc-go: who pings more often than this while nothing was sent to it, more than
    # ping_strikes_max times, is told "too_many_pings". 0: only the burst below counts.
    ping_interval_seconds_min: float = 0.0
    ping_strikes_max: int = 2
    pings_burst: int = 200
    pings_per_second: float = 10.0
    settings_burst: int = 50
    settings_per_second: float = 1.0
    # Frames that do no work: PRIORITY, unknown types, empty DATA, anything on a closed stream.
    idle_frames_burst: int = 2_000
    idle_frames_per_second: float = 200.0

    # --- caches --------------------------------------------------------------------------------
    header_blocks_cached_max: int = 256
    request_heads_cached_max: int = 4_096

    # --- HTTP/1.1 --------------------------------------------------------------------------------
    http_head_bytes_max: int = 65_536
    http_body_bytes_max: int = 1_572_864 + 524_288
    # Of a body that is a stream, or of requests behind the one that is served: past it, nothing is
    # read until the handler has taken some.
    http_unread_bytes_max: int = 65_536
    # For the answer to a client that has ended its side of the connection.
    http_half_closed_seconds_max: float = 5.0
    # Silence on a stream before TCP asks whether the client is still there.
    http_keepalive_seconds: float = 30.0

    def __post_init__(self) -> None:
        assert 16_384 <= self.frame_bytes_max < 1 << 24, (
            f"frame_bytes_max {self.frame_bytes_max} is outside HTTP/2's 16384..16777215"
        )
        assert self.frame_bytes_max <= self.stream_window_bytes <= _WINDOW_MAX, (
            f"stream_window_bytes {self.stream_window_bytes} cannot hold one frame"
        )
        assert self.frame_bytes_max <= self.message_bytes_max, (
            f"message_bytes_max {self.message_bytes_max} is less than one frame"
        )
        assert 65_535 <= self.connection_window_bytes <= _WINDOW_MAX, (
            f"connection_window_bytes {self.connection_window_bytes} is under HTTP/2's own 65535"
        )
