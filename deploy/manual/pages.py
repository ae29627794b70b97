"""The man pages, from the commands and flags themselves.

Owns: raftkv(1), raftkv-serve(1) and raftkv-ctl(1). Must never do: say of an option what its own
help does not: mend the help instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from deploy.manual.roff import Page
from raftkv import __version__
from raftkv.cli.ctl.verb import shared_options
from raftkv.cli.flags import FLAGS
from raftkv.cli.main import main
from raftkv.cli.settings import CONFIG_FILE

HERE = ("serve", "ctl")
"""Commands with a page of their own."""
_STATUSES = (
    ("0", "success"),
    ("1", "a failure"),
    ("2", "a mistake in what was asked: a flag, a variable, a file"),
)


def raftkv_page() -> Page:
    page = Page("raftkv(1)", __version__, "a replicated key-value store with etcd's API")
    page.section("SYNOPSIS")
    page.synopsis("raftkv", "COMMAND [OPTIONS]")
    page.section("DESCRIPTION")
    page.paragraph(
        "raftkv keeps keys and values on several machines alike. Its members elect a leader by "
        "Raft, keep their data in LMDB, and speak etcd's v3 API: etcdctl and every other client "
        "of etcd works with it."
    )
    page.section("COMMANDS")
    for name, command in sorted(main.commands.items()):
        page.subsection(f"raftkv {name}")
        page.paragraph(said_of(command))
        if name in HERE:
            page.paragraph(f"See raftkv-{name}(1).")
        else:
            options(page, command.params)
    _statuses(page)
    page.section("EXAMPLES")
    page.example(["raftkv local", "etcdctl put greeting hello", "raftkv ctl get greeting"])
    _see_also(page, "raftkv-serve(1)", "raftkv-ctl(1)", "etcdctl(1)")
    return page


def serve_page() -> Page:
    page = Page("raftkv-serve(1)", __version__, "run one member of a raftkv cluster")
    page.section("SYNOPSIS")
    page.synopsis("raftkv serve", "[FLAGS]")
    page.section("DESCRIPTION")
    page.paragraph(
        "Runs one member until SIGTERM or SIGINT, which end it in order; a second one ends it at "
        "once. Flags are etcd's. Each may also be given as a variable: --data-dir is "
        "ETCD_DATA_DIR. Both at once are refused. With --config-file neither flags nor variables "
        "count."
    )
    page.paragraph(
        "Started by systemd with Type=notify it says when it has joined its cluster, and when it "
        "ends."
    )
    page.section("FLAGS")
    for flag in sorted((*FLAGS, CONFIG_FILE), key=lambda each: each.name):
        value = "" if flag.is_boolean else " VALUE"
        default = f" (default {flag.default})" if flag.default else ""
        page.item(f"--{flag.name}{value}", f"{flag.help}{default}")
    _statuses(page)
    page.section("FILES")
    page.item("NAME.etcd/", "the data directory: the log, the database, what the member knows")
    _see_also(page, "raftkv(1)", "raftkv-ctl(1)", "systemd.service(5)")
    return page


def ctl_page() -> Page:
    page = Page("raftkv-ctl(1)", __version__, "work on a running raftkv or etcd cluster")
    page.section("SYNOPSIS")
    page.synopsis("raftkv ctl", "[OPTIONS] VERB [OPTIONS] [WORDS]")
    page.section("DESCRIPTION")
    page.paragraph(
        "etcdctl's verbs, options and formats, and more. The options below stand before or after "
        "the verb, or in variables: --endpoints is ETCDCTL_ENDPOINTS, and RAFTKV_ENDPOINTS goes "
        "before that."
    )
    page.section("OPTIONS")
    options(page, shared_options())
    page.section("VERBS")
    shared = {option.name for option in shared_options()}
    ctl = main.commands["ctl"]
    assert isinstance(ctl, click.Group), "ctl has no verbs"
    for path, verb in verbs_of(ctl, ""):
        words = [each for each in verb.params if isinstance(each, click.Argument)]
        shown = " ".join(each.make_metavar(click.Context(verb)) for each in words)
        page.subsection(f"{path} {shown}".strip())
        page.paragraph(said_of(verb))
        options(page, [each for each in verb.params if each.name not in shared])
    _statuses(page)
    page.paragraph("Where etcdctl has other statuses for its verbs, those hold: see docs/ctl.md.")
    _see_also(page, "raftkv(1)", "raftkv-serve(1)", "etcdctl(1)")
    return page


PAGES: dict[str, Callable[[], Page]] = {
    "raftkv.1": raftkv_page,
    "raftkv-serve.1": serve_page,
    "raftkv-ctl.1": ctl_page,
}


def verbs_of(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    """In the order of their names; those of a group after it."""
    for name, command in sorted(group.commands.items()):
        path = f"{before} {name}".strip()
        if isinstance(command, click.Group):
            yield from verbs_of(command, path)
        else:
            yield path, command


def options(page: Page, parameters: list[click.Parameter]) -> None:
    for each in parameters:
        if isinstance(each, click.Option) and not each.hidden:
            names, text = each.get_help_record(click.Context(main)) or ("", "")
            page.item(names, text)


def said_of(command: click.Command) -> str:
    return command.help or ""


def _statuses(page: Page) -> None:
    page.section("EXIT STATUS")
    for status, meaning in _STATUSES:
        page.item(status, meaning)


def _see_also(page: Page, *pages: str) -> None:
    page.section("SEE ALSO")
    page.paragraph(", ".join(pages))
