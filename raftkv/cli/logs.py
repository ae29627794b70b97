"""The log of a process: one line per event, to standard error.

Owns: the format and the levels' names. Must never do: decide what is worth a line.
"""

from __future__ import annotations

import logging
import sys

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


def log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=_LEVELS[level],
        format="%(asctime)s.%(msecs)03d %(levelname)-8s %(name)-14s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
