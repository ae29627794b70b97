"""Which pages are followed, and what each presumes to be there.

Owns: the settings and the table of pages. Must never do: hold a command that no page has, but those
that make a setting.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.docs.changes import NOT_RUN, Places, beginning
from tests.docs.page import Step, steps_of
from tests.docs.reader import Reader
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD_3_5, RAFTKV, ROOT

_SAYS_ENDPOINTS = "ETCDCTL_ENDPOINTS="
_FRUIT = (
    Step("A", "make run"),
    Step("A", "until raftkv ctl endpoint health; do sleep 1; done"),
    Step("A", "raftkv ctl put /fruit/apple green", ["...", "OK"]),
    Step("A", "raftkv ctl put /fruit/banana yellow", ["OK"]),
)


@contextmanager
def nothing(folder: Path) -> Iterator[Places]:
    """A folder of the source."""
    yield Places()


@contextmanager
def make_run(folder: Path) -> Iterator[Places]:
    """Beside `make run`: three members at 2379, 22379 and 32379, with two fruits."""
    places = Places()
    with Reader(folder, "beside make run") as reader:
        reader.begin([Step("", each.command, each.seen) for each in _FRUIT], places)
        (folder / "var" / "log" / "raftkv.log").symlink_to(folder / "data" / "m1.log")
        yield places


@contextmanager
def own_make_run(folder: Path) -> Iterator[Places]:
    """The same for one page alone, in its folder."""
    with make_run(folder) as places:
        yield places


@contextmanager
def kubernetes_api(folder: Path) -> Iterator[Places]:
    """A Kubernetes API, to which kubectl speaks."""
    with Cluster(RAFTKV, _made(folder / "home" / "store"), members=1) as store:
        places = Places({("127.0.0.1", 2379): store.members[0].addresses.client_port})
        with Reader(folder, "a Kubernetes API") as reader:
            steps = [Step("", "raftkv-apiserver --etcd-servers http://127.0.0.1:2379")]
            reader.begin(steps, places)
            config = folder / "apiserver.local.config" / "admin.conf"
            places.variables["KUBECONFIG"] = str(config)
            yield places


@contextmanager
def etcd_and_raftkv(folder: Path) -> Iterator[Places]:
    """An etcd at 10.0.0.1 with some keys, and a member of raftkv without any on this machine."""
    with (
        Cluster(ETCD_3_5, _made(folder / "home" / "etcd"), members=1) as etcd,
        Cluster(RAFTKV, _made(folder / "home" / "raftkv"), members=1) as raftkv,
    ):
        for fruit in ("apple", "banana"):
            etcd.ctl().ok("put", f"/fruit/{fruit}", "ripe")
        yield Places(
            {
                ("10.0.0.1", 2379): etcd.members[0].addresses.client_port,
                ("127.0.0.1", 2379): raftkv.members[0].addresses.client_port,
            }
        )


Setting = Callable[[Path], AbstractContextManager[Places]]
SHARED: frozenset[Setting] = frozenset((make_run,))
"""Kept for all pages of a file; the others are made for each page."""


@dataclass(frozen=True)
class Walk:
    """A page, or some of its sections ("" is what stands before the first), in a setting."""

    page: str
    setting: Setting = nothing
    sections: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    """All sections but these."""

    def steps(self) -> list[Step]:
        return [
            step
            for step in steps_of(ROOT / self.page)
            if step.section not in self.but and step.section in (self.sections or (step.section,))
        ]


OPERATING = (
    Walk("README.md", sections=("", "Running members yourself")),
    Walk("docs/tutorial.md", but=("8. A control plane on it",)),
    Walk("docs/backup.md", make_run),
    Walk("docs/ctl.md", make_run),
    Walk("docs/deploy.md", sections=("Packages", "A host with systemd")),
    Walk("docs/deploy.md", make_run, ("Containers",)),
    Walk("docs/membership.md", own_make_run),
    Walk("docs/moving.md", etcd_and_raftkv),
    Walk("docs/observability.md"),
    Walk("docs/probes.md", make_run),
    Walk("docs/raft-library.md"),
    Walk("docs/space-and-backups.md", make_run),
    Walk("docs/tls.md"),
    Walk("docs/ui.md", sections=("Try it", "On a cluster of your own")),
    Walk("docs/ui.md", make_run, ("For programs",)),
    Walk("docs/upgrade.md", make_run),
)
"""What operators type."""

PROGRAMS = (
    Walk("README.md", sections=("Break it",)),
    Walk("docs/apiserver.md", make_run),
    Walk("docs/deploy.md", kubernetes_api, ("Kubernetes",)),
    Walk("docs/benchmarks.md"),
    Walk("docs/from-etcd.md"),
    Walk("docs/performance.md"),
    Walk("docs/testing.md"),
)
"""What measures and breaks it, and the Kubernetes API alone."""

CONTROL_PLANE = (
    Walk("README.md", sections=("Kubernetes on it",)),
    Walk("docs/tutorial.md", sections=("8. A control plane on it",)),
)
"""What starts a whole control plane."""


class Settings:
    """Those that are shared, each made when a page first asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._made: dict[Setting, Places] = {}

    def __enter__(self) -> Settings:
        """Pages begin with `make`, which must have nothing to install: it would be from a folder
        that is gone after the test."""
        done = subprocess.run(["make", "--question", ".venv/.installed"], cwd=ROOT, check=False)
        assert done.returncode == 0, ".venv is older than what it is made from: run `make lint`"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def follow(self, page: str, walks: tuple[Walk, ...], folder: Path) -> None:
        """All that these walks have of the page, section by section, by one reader."""
        says = any(_SAYS_ENDPOINTS in step.command for step in steps_of(ROOT / page))
        place = _made(folder / "reader")
        with ExitStack() as own, Reader(place, page, says_endpoints=says) as reader:
            of_page: dict[Setting, Places] = {}
            for setting, steps in sections_of(page, walks):
                if setting in SHARED:
                    of_page[setting] = self._shared(setting)
                elif setting not in of_page:
                    of_page[setting] = own.enter_context(setting(place))
                reader.follow(steps, of_page[setting])
            reader.end()

    def _shared(self, setting: Setting) -> Places:
        if setting not in self._made:
            folder = _made(self._folder / setting.__name__)
            self._made[setting] = self._stack.enter_context(setting(folder))
        return self._made[setting]


def sections_of(page: str, walks: tuple[Walk, ...]) -> Iterator[tuple[Setting, list[Step]]]:
    """In the page's order."""
    wanted = [(step, walk.setting) for walk in walks if walk.page == page for step in walk.steps()]
    wanted.sort(key=lambda each: each[0].line)
    for (_, setting), steps in groupby(wanted, lambda each: (each[0].section, each[1])):
        yield setting, [step for step, _ in steps]


def pages_of(walks: tuple[Walk, ...]) -> list[str]:
    return list(dict.fromkeys(walk.page for walk in walks))


def not_followed(page: Path, walks: tuple[Walk, ...]) -> list[str]:
    """Commands that no walk types, or two do, and no table says why."""
    name = str(page.relative_to(ROOT))
    typed = [step.line for walk in walks if walk.page == name for step in walk.steps()]
    return [
        f"{name}:{step.line}: {step.command}: typed by {typed.count(step.line)} walks"
        for step in steps_of(page)
        if step.command and beginning(NOT_RUN, step.command) is None and typed.count(step.line) != 1
    ]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
