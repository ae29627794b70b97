"""h2load as a generator of gRPC unary calls: one request's bytes, many clients.

Owns: its command line, its report and its per-request log. Must never do: believe its 2xx count,
which a gRPC error has too: the caller compares with what the server has.

gRPC needs only the 5-byte prefix before the message, two headers, and POST. One file is sent again
and again, so every put of a run is to the same key; ``benchmarks.unary_client`` varies keys.
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import Message

from benchmarks.load import CONNECTIONS_MAX, Load, Stopwatch

CALIBRATION_REQUESTS = 200
CALIBRATION_REQUESTS_PER_CLIENT = 2
LOAD_SHARE_MIN = 0.6
"""Of the wanted seconds; a shorter load is repeated with more requests."""
LOADS_MAX = 3

_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s), ")
_REQUESTS = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored")
_DATA = re.compile(r"traffic: .*\) headers .*, [\d.]+\w*B \((\d+)\) data")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def grpc_frame(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length, its bytes."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def run(
    endpoint: str,
    path: str,
    request: Message,
    *,
    clients: int,
    requests: int,
    window_bits: int = 30,
    threads: int = 1,
) -> Load:
    """Send ``requests`` calls from ``clients`` clients that each wait for their answer."""
    connections = min(clients, CONNECTIONS_MAX)
    requests = max(requests, clients)
    with tempfile.TemporaryDirectory() as directory:
        body, log = Path(directory, "body"), Path(directory, "log")
        body.write_bytes(grpc_frame(request.SerializeToString()))
        command = [
            "h2load",
            f"--requests={requests}",
            f"--clients={connections}",
            f"--max-concurrent-streams={clients // connections}",
            f"--threads={threads}",
            f"--window-bits={window_bits}",
            f"--connection-window-bits={window_bits}",
            f"--data={body}",
            "--header=content-type: application/grpc",
            "--header=te: trailers",
            f"--log-file={log}",
            f"http://{endpoint}{path}",
        ]
        watch = Stopwatch(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        load = parse(done.stdout, log.read_text())
        return replace(load, cpu_seconds=watch.cpu_seconds)


def calibrated(
    endpoint: str,
    path: str,
    request: Message,
    *,
    clients: int,
    seconds: float,
    first: int = CALIBRATION_REQUESTS,
) -> Load:
    """As many requests as take about ``seconds``, going by a short run of ``first`` before. A short
    run counts the connections' beginning too and thinks too little of the server: a load that was
    over too soon becomes the next one's measure."""
    requests = max(first, CALIBRATION_REQUESTS_PER_CLIENT * clients)
    load, warm_up = run(endpoint, path, request, clients=clients, requests=requests), 0
    for _ in range(LOADS_MAX):
        warm_up += load.requests
        requests = max(1, round(load.per_second * seconds / clients)) * clients
        load = run(endpoint, path, request, clients=clients, requests=requests)
        if load.seconds >= seconds * LOAD_SHARE_MIN:
            break
    return replace(load, warm_up=warm_up)


def parse(report: str, log: str) -> Load:
    """Read h2load's closing report and its log of (start, status, microseconds) lines."""
    finished, counted, data = (pattern.search(report) for pattern in (_FINISHED, _REQUESTS, _DATA))
    if not (finished and counted and data):
        raise ValueError(f"cannot read h2load's report:\n{report}")
    total, succeeded, failed, errored = map(int, counted.groups())
    if (succeeded, failed, errored) != (total, 0, 0):
        raise ValueError(f"h2load: {counted.group()}")
    latencies = [int(line.rsplit("\t", 1)[1]) / 1000 for line in log.splitlines()]
    return Load(
        requests=total,
        seconds=float(finished.group(1)) * _SECONDS[finished.group(2)],
        body_bytes=int(data.group(1)),
        latencies_ms=latencies,
    )
