"""What an image means where containers are processes: a command.

Owns: the table. Must never do: fetch anything. A container's own ``command`` wins, as it does over
an image's entry point.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

WEB = "raftkv.dev/web"
OURS: Mapping[str, tuple[str, ...]] = {
    # By its path: containers run elsewhere, where the package need not be importable.
    WEB: (sys.executable, "-I", str(Path(__file__).with_name("web_image.py"))),
}


class UnknownImage(LookupError):
    """``args[0]`` says what to do."""


class Images:
    """``more``: NAME=COMMAND each, as the kubelet's --image gives them."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._commands = dict(OURS)
        for line in more:
            name, found, command = line.partition("=")
            if not (name and found and command.strip()):
                raise ValueError(f"--image {line!r}: want NAME=COMMAND")
            self._commands[name] = tuple(shlex.split(command))

    def argv(self, image: str, command: list[str], arguments: list[str]) -> list[str]:
        """Raises UnknownImage."""
        if command:
            return [*command, *arguments]
        found = self._commands.get(image) or self._commands.get(_untagged(image))
        if found is None:
            raise UnknownImage(
                f'Container image "{image}" is not present: no command is known for it; give the '
                f"container a command, or the kubelet --image {_untagged(image)}=COMMAND"
            )
        return [*found, *arguments]


def _untagged(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
