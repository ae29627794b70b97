"""One member as a process: the loop, the ports, the signals.

Owns: making the real scheduler, threads, sockets and files, and the order of starting and
stopping. Must never do: anything a simulation would need: that is in ``raftkv.server``.
Start: files, then peers, then clients. Stop: clients are told to go, then the log and the
database are closed. SIGTERM and SIGINT stop; a second one ends the process at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
from dataclasses import dataclass

import uvloop

from raftkv.backend.environment import LmdbBackend
from raftkv.peer.listener import Identity
from raftkv.peer.transport import PeerTransport
from raftkv.rpc.services import services_of
from raftkv.server.asyncio_runtime import AsyncioScheduler, ThreadWorker
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import open_foundation
from raftkv.server.member import Member
from raftkv.wal.disk import OsDisk

log = logging.getLogger("raftkv.server")
