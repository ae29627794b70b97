"""Every command that the docs name is one that there is, with options that it has."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import pytest

from apiserver_shim.cli.apiserver import main as apiserver
from apiserver_shim.cli.control_plane.main import main as control_plane
from raftkv.cli.main import main as raftkv
from raftkv.cli.settings import read_settings
from raftkv.errors import ConfigError
from tests.docs.page import commands_of, pages, spans_of
from tests.e2e.program import ROOT

OTHERS = frozenset(
    (
        "alias", "apt-get", "cat", "cd", "chmod", "cp", "curl", "cut", "date", "docker", "echo",
        "etcd", "etcdctl", "export", "git", "grep", "groff", "kill", "kubeadm", "kubectl", "ls",
        "man", "mkdir", "openssl", "perf", "pgrep", "pip", "podman", "printf", "promtool", "ps",
        "sed", "sha256sum", "sleep", "source", "ssh", "sudo", "systemctl", "systemd-analyze",
        "tail", "tar", "tee", "tr", "unset", "unzip", "wait", "watch", "wget",
    )
)  # fmt: skip
"""Programs of others, and words of the shell, which the docs may name."""
_KEYWORDS = frozenset(("until", "while", "do", "done"))
_ASSIGNMENT = re.compile(r"^\w+=")
_PLACEHOLDER = re.compile(r"^$|\.\.\.$|^[A-Z][A-Z_]*$|^\[")
_HEREDOC = re.compile(r"<<'?(\w+)'?")


def simple_commands(text: str) -> Iterator[list[str]]:
    """The programs that a line starts, with their words; what stands inside `$( )` too."""
    for inner in re.findall(r"\$\(([^()]*)\)", text):
        yield from simple_commands(inner)
    text = re.sub(r"\$\([^()]*\)", "ANY", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            if words:
                yield words
            words = []
        elif words or not (word in _KEYWORDS or _ASSIGNMENT.match(word)):
            words.append(word)


def check_click(command: click.Command, name: str, arguments: Sequence[str]) -> str:
    """What is wrong; "" for nothing. Groups are walked down; an option that there is not raises,
    whatever is missing besides."""
    words = [word for word in arguments if not word.startswith((">", "<", "2>"))]
    words = [re.sub(r"\.\.\.$", "", word) for word in words]
    try:
        while isinstance(command, click.Group):
            context = command.make_context(name, [*words], resilient_parsing=True)
            rest = [*context._protected_args, *context.args]
            if not rest or _PLACEHOLDER.match(rest[0]):
                return ""
            found = command.get_command(context, rest[0])
            if found is None:
                return f"{name} has no command {rest[0]!r}"
            command, name, words = found, f"{name} {rest[0]}", rest[1:]
        if not command.context_settings.get("ignore_unknown_options"):
            parser = command.make_parser(click.Context(command, info_name=name))
            parser.parse_args(words)
    except click.ClickException as e:
        return f"{name}: {e.format_message()}"
    return ""


def check_raftkv(arguments: Sequence[str]) -> str:
    if arguments[:1] != ["serve"] or any("..." in word for word in arguments):
        return check_click(raftkv, "raftkv", arguments)
    try:
        read_settings([word for word in arguments[1:] if not word.startswith(">")], {})
    except ConfigError as e:
        return "" if "No such file" in str(e) else f"raftkv serve: {e}"
    return ""


def check_make(arguments: Sequence[str]) -> str:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [word for word in arguments if "=" not in word]
    unknown = [word for word in named if word not in targets]
    return f"make has no target {unknown}" if unknown else ""


def check_python(arguments: Sequence[str]) -> str:
    if arguments[:1] == ["-m"]:
        found = importlib.util.find_spec(arguments[1])
        return "" if found else f"there is no module {arguments[1]}"
    there = not arguments or arguments[0].startswith("-") or (ROOT / arguments[0]).exists()
    return "" if there else f"there is no {arguments[0]}"


OURS: dict[str, Callable[[Sequence[str]], str]] = {
    "raftkv": check_raftkv,
    "raftkv-control-plane": lambda words: check_click(control_plane, "control-plane", words),
    "raftkv-apiserver": lambda words: check_click(apiserver, "raftkv-apiserver", words),
    "make": check_make,
    "python": check_python,
    "python3": check_python,
}


def wrong_in(command: str, *, aliases: dict[str, str]) -> list[str]:
    """What is wrong with one command line."""
    text = _HEREDOC.sub("", command.replace("\\\n", " ").splitlines()[0])
    try:
        found = list(simple_commands(text))
    except ValueError as e:
        return [f"cannot be read: {e}"]
    wrong = []
    for words in found:
        if words[0] == "alias" and len(words) > 1:
            name, _, meaning = words[1].partition("=")
            aliases[name] = meaning.split(" ")[0]
            continue
        program = Path(aliases.get(words[0], words[0])).name
        if program in OURS:
            wrong.append(OURS[program](words[1:]))
        elif program not in OTHERS:
            wrong.append(f"{program!r} is no program of ours, nor one that the docs may name")
    return [each for each in wrong if each]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_that_there_is(page: Path) -> None:
    """Each line of each block: the program is known, our own commands have these options."""
    aliases: dict[str, str] = {}
    wrong = [
        f"{page.relative_to(ROOT)}:{line}: {command}\n    {complaint}"
        for line, command in commands_of(page)
        for complaint in wrong_in(command, aliases=aliases)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_are_ones_that_there_are(page: Path) -> None:
    """Of our own programs, between back-ticks; words in capitals and `...` stand for any, and of
    `a|b` the first is looked at."""
    spans = [
        (line, re.sub(r"(\w)(\|\w+)+", r"\1", span))
        for line, span in spans_of(page)
        if " " in span and span.split()[0] in OURS
    ]
    wrong = [
        f"{page.relative_to(ROOT)}:{line}: {span}\n    {complaint}"
        for line, span in spans
        for complaint in wrong_in(span, aliases={})
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("raftkv ctl get k --prefix", ""),
        ("raftkv ctl get k --postfix", "No such option"),
        ("raftkv ctl fetch k", "no command 'fetch'"),
        ("raftkv ctl snapshot save a.db && raftkv ctl snapshot keep", "no command 'keep'"),
        ("raftkv serve --name m0 --listen-cliemt-urls http://a:1", "not defined"),
        ("raftkv serve --name m0", ""),
        ("make tests", "no target"),
        ("python -m jepsen_unlike", "no module"),
        ('curl "$(raftkv ctl gett k)"', "no command 'gett'"),
        ("ID=$(raftkv ctl member lis | cut -d, -f1)", "no command 'lis'"),
        ("frobnicate | make test", "no program"),
    ],
)
def test_a_wrong_command_is_noticed(command: str, complaint: str) -> None:
    """A mistake of each kind."""
    found = wrong_in(command, aliases={})
    assert [complaint in each for each in found] == ([True] if complaint else []), found
