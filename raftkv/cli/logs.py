"""The log of a process: where its lines go.

Owns: the root logger's one handler. Must never do: decide what is worth a line.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time

from raftkv.cli.log_file import LogFile
from raftkv.cli.log_format import LEVELS, formatter
from raftkv.cli.log_writer import Descriptor, LogWriter, Output
from raftkv.errors import ConfigError
from raftkv.server.operations import STDERR, STDOUT, LogSettings, Rotation


def open_log(settings: LogSettings) -> LogWriter:
    """From here on everything is logged as ``settings`` say. Raises ConfigError for a path that
    cannot be written."""
    try:
        outputs = [output_of(output, settings.rotation) for output in settings.outputs]
    except OSError as e:
        raise ConfigError(f"cannot open --log-outputs {e.filename}: {e.strerror}") from None
    writer = LogWriter(outputs)
    writer.setFormatter(formatter(settings.format, colours=_on_terminal(settings.outputs)))
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(writer)
    root.setLevel(LEVELS[settings.level])
    atexit.register(writer.close)
    return writer


def _on_terminal(outputs: tuple[str, ...]) -> bool:
    """Whether all that is written is seen in a terminal, and nobody minds colours there
    (https://no-color.org)."""
    streams = {STDERR: sys.stderr, STDOUT: sys.stdout}
    return not os.environ.get("NO_COLOR") and all(
        output in streams and streams[output].isatty() for output in outputs
    )


def output_of(name: str, rotation: Rotation | None) -> Output:
    """STDERR, STDOUT, or a file of this path. Raises OSError."""
    if name == STDERR:
        return Descriptor(sys.stderr.fileno(), os.write)
    if name == STDOUT:
        return Descriptor(sys.stdout.fileno(), os.write)
    return LogFile(name, rotation, time.time)
