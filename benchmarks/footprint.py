"""What a member weighs: its memory, its files, and what it has written to the disk.

Owns: reading them from /proc and the file system. Must never do: ask the member.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measurement import NotProven
from tests.e2e.member_process import MemberProcess

BLOCK_BYTES = 512


def resident_bytes(member: MemberProcess) -> int:
    """The resident set, pages of a memory-mapped database included."""
    return _number(member, "status", "VmRSS:") * 1024


def anonymous_bytes(member: MemberProcess) -> int:
    """Of the resident set, what is not a page of a file, which the kernel could take back."""
    return _number(member, "status", "RssAnon:") * 1024


def written_bytes(member: MemberProcess) -> int:
    """What the process has had written to the disk since it started."""
    return _number(member, "io", "write_bytes:")


def cpu_seconds(*members: MemberProcess) -> float:
    """Of all their threads since they started, in the kernel and outside of it."""
    return sum(map(_ticks, members)) / os.sysconf("SC_CLK_TCK")


def disk_bytes(member: MemberProcess) -> int:
    """Blocks that the data directory takes, reserved ones included."""
    return sum(path.stat().st_blocks * BLOCK_BYTES for path in _files(member.data_dir))


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _ticks(member: MemberProcess) -> int:
    # The name, in parentheses, may hold spaces; utime and stime are the 14th and 15th field.
    fields = Path(f"/proc/{member.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _number(member: MemberProcess, file: str, name: str) -> int:
    for line in Path(f"/proc/{member.pid}/{file}").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise NotProven(f"no {name} in /proc/{member.pid}/{file}")
