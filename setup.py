"""Builds the package; with RAFTKV_NATIVE=1 as a wheel whose hot modules are machine code.

Owns: which modules mypyc compiles. Must never do: change what they mean: the sources are the same,
a compiled module checks its types at run time, and what is not compiled stays Python.
Everything else about the package is in pyproject.toml; see docs/decisions/0005.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup
from setuptools.extension import Extension

NATIVE = "RAFTKV_NATIVE"
PACKAGES = ("raft", "apply", "mvcc", "backend")
"""Compiled whole: what runs for every entry, row and event."""
MODULES = (
    "scheduler",
    "lease/book",
    "peer/codec",
    "peer/framing",
    "peer/link",
    "peer/transport",
    "rpc/errors",
    "rpc/guard",
    "rpc/header",
    "rpc/kv",
    "rpc/long_ranges",
    "rpc/unary",
    "rpc/watch_stream",
    "server/apply_queue",
    "server/background",
    "server/committer",
    "server/config",
    "server/disk_watch",
    "server/log_compactor",
    "server/member",
    "server/persister",
    "server/proposals",
    "server/reads",
    "server/ready_loop",
    "wal/disk",
    "wal/log",
    "wal/record",
    "wire/admission",
    "wire/call",
    "wire/calls",
    "wire/connection",
    "wire/control",
    "wire/flood",
    "wire/frames",
    "wire/grpc",
    "wire/headers",
    "wire/http2",
    "wire/http2_stream",
    "wire/inbox",
    "wire/inflow",
    "wire/limits",
    "wire/output",
    "wire/routes",
    "wire/stream",
)


def native_sources() -> list[str]:
    """Paths, relative to the repository."""
    whole = [
        path
        for package in PACKAGES
        for path in Path("raftkv", package).glob("*.py")
        if path.name != "__init__.py"
    ]
    return sorted(map(str, [*whole, *(Path("raftkv", f"{name}.py") for name in MODULES)]))


def extensions() -> list[Extension]:
    if os.environ.get(NATIVE) != "1":
        return []
    from mypyc.build import mypycify

    options = ["--config-file=pyproject.toml", *native_sources()]
    return list(mypycify(options, opt_level="3", multi_file=True, group_name="raftkv_native"))


if __name__ == "__main__":
    setup(ext_modules=extensions())
