"""A file system that knows what a power cut may leave of it.

Owns: for each file what is durable and which changes no sync covers yet, the same for the names,
and the composition of an image from a Choice. Must never do: draw anything (``recipe`` does), or
be kinder than the rules:

- fsync and fdatasync make a file's data and size durable, not its name; a directory's sync makes
  the changes of its names durable. A write through an O_DSYNC descriptor is durable at its return.
- What no sync covers may be there or not, each write in any choice of its units, in any order
  across files and names. Only the bytes of one unit are whole, and a rename is atomic.
- After a sync that failed, the changes it should have made durable are in the page cache, and no
  later sync makes them durable (fsyncgate): they stay in doubt until the end.
- A file that is mapped writable (LMDB's lock file) may hold anything.

These are the rules of ALICE's weakest file system, but for the atomic rename: every file system
with a journal has it, and so have all programs that replace a file by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jepsen_like.images.stream import Change, Flag, Kind

Content = bytes | None
Image = Mapping[str, Content]
"""Path to bytes; None for a directory."""


@dataclass(slots=True)
class DataChange:
    """``data`` None: the size becomes ``offset`` (or, ``at_least``, no less). ``is_durable``: no
    choice. ``is_doomed``: a sync of it failed, no later one counts."""

    number: int
    offset: int
    data: bytes | None
    at_least: bool = False
    is_durable: bool = False
    is_doomed: bool = False

    def apply(self, content: bytearray) -> None:
        if self.data is not None:
            write(content, self.offset, self.data)
        elif len(content) < self.offset:
            content.extend(bytes(self.offset - len(content)))
        elif not self.at_least:
            del content[self.offset :]


def write(content: bytearray, offset: int, data: bytes) -> None:
    """As pwrite: a gap is zeros."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


@dataclass(slots=True, eq=False)
class Node:
    """A file or a directory, whatever its name. ``number`` is its place in the order of making."""

    number: int
    is_directory: bool
    durable: bytearray = field(default_factory=bytearray)
    pending: list[DataChange] = field(default_factory=list)
    is_mapped: bool = False

    @property
    def is_doubtful(self) -> bool:
        return not self.is_mapped and any(not change.is_durable for change in self.pending)

    def cached(self) -> bytearray:
        """What a process reads now."""
        content = bytearray(self.durable)
        for change in self.pending:
            change.apply(content)
        return content

    def sync(self) -> None:
        kept: list[DataChange] = []
        for change in self.pending:
            if kept or change.is_doomed:
                kept.append(change)  # what follows a doomed change stays, durable, to keep order
                change.is_durable = not change.is_doomed
            else:
                change.apply(self.durable)
        self.pending = kept

    def doom(self) -> None:
        for change in self.pending:
            change.is_doomed = not change.is_durable


@dataclass(frozen=True, slots=True)
class NameChange:
    """``gone`` is a name that is no more, ``name`` one that now is ``node``'s."""

    gone: str
    name: str
    node: Node | None

    def apply(self, names: dict[str, Node]) -> None:
        if self.gone:
            names.pop(self.gone, None)
        if self.node is not None:
            names[self.name] = self.node

    @property
    def directories(self) -> set[str]:
        return {parent(path) for path in (self.gone, self.name) if path}


@dataclass(frozen=True, slots=True)
class Choice:
    """What survives: of the names that no sync covers which changes, and of a file what."""

    names: Callable[[int], list[bool]]
    content: Callable[[Node], bytes]


class FileSystem:
    """Starts empty but for its root, which is durable."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}
        self._names: dict[str, Node] = {}
        self._durable_names: dict[str, Node] = {}
        self.pending_names: list[NameChange] = []
        self._number = 0
        self.last_write: tuple[Node, DataChange] | None = None

    # --- what happens ---------------------------------------------------------------------------

    def apply(self, change: Change) -> None:
        self._number += 1
        match change.kind:
            case Kind.MARK:
                pass
            case Kind.OPEN:
                self._open(change)
            case Kind.WRITE | Kind.TRUNCATE | Kind.ALLOCATE:
                self._change_data(change)
            case Kind.MKDIR:
                self._rename_to("", change.path, Node(self._number, True))
            case Kind.RENAME:
                self._rename_to(change.path, change.other, self._names[change.path])
            case Kind.UNLINK | Kind.RMDIR:
                self._rename_to(change.path, "", None)
            case Kind.SYNC:
                self._sync(change)
            case Kind.MAP:
                self._nodes[change.inode].is_mapped = True

    def _open(self, change: Change) -> None:
        if change.flags & Flag.CREATED:
            node = Node(self._number, False)
            self._nodes[change.inode] = node
            self._rename_to("", change.path, node)
        elif change.flags & Flag.EMPTIED:
            self._nodes[change.inode].pending.append(DataChange(self._number, 0, None))

    def _change_data(self, change: Change) -> None:
        node = self._nodes[change.inode]
        data = change.data if change.kind is Kind.WRITE else None
        made = DataChange(
            self._number,
            change.offset,
            data,
            at_least=change.kind is Kind.ALLOCATE,
            is_durable=bool(change.flags & Flag.DURABLE),
            is_doomed=bool(change.flags & Flag.FAILED),
        )
        node.pending.append(made)
        if data is not None:
            self.last_write = (node, made)

    def _rename_to(self, gone: str, name: str, node: Node | None) -> None:
        change = NameChange(gone, name, node)
        change.apply(self._names)
        self.pending_names.append(change)

    def _sync(self, change: Change) -> None:
        if change.flags & Flag.DIRECTORY:
            if not change.flags & Flag.FAILED:
                self._sync_names(change.path)
        elif change.flags & Flag.FAILED:
            self._nodes[change.inode].doom()
        else:
            self._nodes[change.inode].sync()

    def _sync_names(self, directory: str) -> None:
        waiting: list[NameChange] = []
        for change in self.pending_names:
            if directory in change.directories:
                change.apply(self._durable_names)
            else:
                waiting.append(change)
        self.pending_names = waiting

    # --- what is left -----------------------------------------------------------------------------

    @property
    def is_clean(self) -> bool:
        """Whether a power cut would leave no choice, but for files that hold anything anyway."""
        if any(change.node is None or not change.node.is_mapped for change in self.pending_names):
            return False
        return not any(node.is_doubtful for node in self._names.values())

    def cached(self) -> Image:
        """What a process reads now: all that was done."""
        return {
            path: None if node.is_directory else bytes(node.cached())
            for path, node in self._names.items()
        }

    def after(self, choice: Choice) -> Image:
        """What is there after a power cut now."""
        names = dict(self._durable_names)
        survives = choice.names(len(self.pending_names))
        for change, is_there in zip(self.pending_names, survives, strict=True):
            if is_there:
                change.apply(names)
        contents: dict[int, bytes] = {}
        image: dict[str, Content] = {}
        for path in sorted(names):
            node = names[path]
            if parent(path) and parent(path) not in image:
                continue  # its directory is gone
            if not node.is_directory and id(node) not in contents:
                contents[id(node)] = choice.content(node)
            image[path] = None if node.is_directory else contents[id(node)]
        return image


def parent(path: str) -> str:
    return path.rpartition("/")[0]
