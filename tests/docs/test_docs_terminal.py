"""The reader of pages and the shell, on a page of a few lines: a test of the docs must be able to
fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import terminal as terminals
from tests.docs.page import Step, commands_of, spans_of, steps_of
from tests.docs.terminal import Terminal
from tests.e2e.waiting import TimedOut

PAGE = """# A page

Text.

```console title="A"
$ printf 'one\\n'
one
$ echo two \\
> three
```

    indented --flag \\
        more
    # a comment
    # another

```console title="A"
later
^C
```

## A section

With `a span`.

```console
$ cat <<'END'     # typed with it
of it
END
of it
```

```sh
make run
```
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal("A", tmp_path, os.environ)
    yield terminal
    terminal.close()


def test_what_is_typed_and_what_is_seen(tmp_path: Path) -> None:
    """Consoles in order, by terminal; each other block line by line."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert steps_of(page) == [
        Step("A", "printf 'one\\n'", ["one"], 6),
        Step("A", "echo two \\\nthree", [], 8),
        Step("", "indented --flag more", [], 12),
        Step("A", "", ["later"], 18),
        Step("A", "^C", [], 19),
        Step("", "cat <<'END'\nof it\nEND", ["of it"], 27, "A section"),
        Step("", "make run", [], 34, "A section"),
    ]
    assert [text for _, text in commands_of(page)][2:3] == ["indented --flag more"]
    assert spans_of(page) == [(24, "a span")]


def test_a_command_that_says_something_else_is_noticed(
    shell: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line, a line too many before it, and a line that never comes."""
    monkeypatch.setattr(terminals, "SEEN_SECONDS", 0.3)
    shell.run("echo one; echo; echo two and a half")
    shell.see(["one", "two ... half"])
    shell.run("echo one; echo two")
    for wrong in (["two"], ["one", "three"], ["one", "two", "three"]):
        with pytest.raises(TimedOut, match="it shows"):
            shell.see(wrong)
    shell.see(["...", "two"])


def test_a_failure_and_an_interrupt_are_told(shell: Terminal) -> None:
    """The status of what ended by itself; a command that waits is ended by Ctrl-C alone."""
    shell.run("false")
    assert shell.end() == 1
    shell.run("export FRUIT=apple")
    shell.run("bash -c 'echo begins; exec sleep 1000'")  # one process, from its first word on
    shell.see(["begins"])
    shell.interrupt()
    assert shell.end() == 130
    shell.run("echo $FRUIT")
    shell.see(["apple"])
