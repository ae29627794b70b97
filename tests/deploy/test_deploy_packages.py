"""What `make dist` makes runs where there is no checkout: the wheel, and the single file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.pyz.archive import contents_of, digest_of, write_archive
from deploy.pyz.bootstrap import PROGRAMS, Refusal, cache_directory, chosen, private_directory
from deploy.pyz.wheel import build
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import ROOT, Program

PYTHON = os.path.realpath(sys.executable)
"""The interpreter itself, which has none of our packages."""


@dataclass(frozen=True)
class Installed(Program):
    """Started as its users start it: nothing of the checkout is importable."""

    more: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        kept = super().environment() | dict(self.more)
        del kept["PYTHONPATH"]
        return kept


@dataclass(frozen=True)
class Distribution:
    wheel: Path
    sdist: Path
    pyz: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    out = tmp_path_factory.mktemp("dist")
    built = {path.suffix: path for path in build(ROOT, out, "sdist", "wheel")}
    write_archive(contents_of(built[".whl"]), out / "raftkv.pyz")
    return Distribution(built[".whl"], built[".gz"], out / "raftkv.pyz")


@contextmanager
def serving(program: Program, directory: Path) -> Iterator[socket.socket]:
    """A member that serves etcdctl, under a service manager whose socket this gives."""
    place = Addresses("m0", *reserve_ports(2))
    member = MemberProcess(program, place, directory, f"m0={place.peer_url}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(directory / "notify"))
        member.start()
        try:
            assert manager.recv(100) == b"READY=1", member.log_tail()
            ctl = Etcdctl(place.endpoint)
            ctl.ok("put", "k", "v")
            assert ctl.ok("get", "k") == ["k", "v"]
            assert member.stop(signal.SIGTERM) == 0
            assert manager.recv(100) == b"STOPPING=1"
            yield manager
        finally:
            if member.is_running:
                member.kill()


def ended(command: list[str], program: Program) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=program.environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.e2e
def test_the_wheel_in_an_environment_of_its_own(made: Distribution, tmp_path: Path) -> None:
    """Installed by pip into a fresh environment, a member serves etcdctl and tells systemd so. The
    wheel's requirements are not downloaded again: a .pth file lends those that are installed."""
    home = tmp_path / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", home], check=True, timeout=120)
    bin_, site = home / "bin", next(home.glob("lib/python*/site-packages"))
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", bin_ / "python", "install", "--quiet",
            "--disable-pip-version-check", "--no-deps", "--no-index", made.wheel,
        ],
        check=True,
        timeout=120,
    )  # fmt: skip
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = Installed(
        (str(bin_ / "raftkv"), "serve"), more=(("NOTIFY_SOCKET", str(tmp_path / "notify")),)
    )
    where = ended(
        [str(bin_ / "python"), "-I", "-c", "import raftkv; print(raftkv.__file__)"], program
    )
    assert where.stdout.startswith(str(site)), where
    with serving(program, tmp_path):
        pass
    assert sorted(path.name for path in bin_.glob("raftkv*")) == sorted(PROGRAMS)


@pytest.mark.slow
@pytest.mark.e2e
def test_the_single_file(made: Distribution, tmp_path: Path) -> None:
    """raftkv.pyz on an interpreter without packages: a member serves; called by another name it is
    another program, from the same unpacked directory."""
    cache = tmp_path / "cache"
    more = (("RAFTKV_CACHE", str(cache)), ("NOTIFY_SOCKET", str(tmp_path / "notify")))
    program = Installed((PYTHON, "-I", str(made.pyz), "serve"), more=more)
    with serving(program, tmp_path):
        pass
    link = tmp_path / "raftkv-apiserver"
    link.symlink_to(made.pyz)
    shown = ended([PYTHON, "-I", str(link), "--help"], program)
    assert shown.stdout.startswith("Usage: raftkv-apiserver"), shown
    assert len(list(cache.iterdir())) == 1


def test_first_starts_at_once(tmp_path: Path) -> None:
    """Eight starts with nothing unpacked yet all run, and leave one whole directory, for their user
    alone; one that others may write is refused in one line."""
    archive, cache = tmp_path / "raftkv.pyz", tmp_path / "new" / "cache"
    told = b"import os, sys\ndef main():\n    print(sys.argv, os.environ['PYTHONPATH'])\n"
    digest = write_archive({"raftkv/cli/main.py": told, "data": bytes(1 << 20)}, archive)
    command = [PYTHON, "-I", str(archive), "ctl", "get"]
    environment = {"RAFTKV_CACHE": str(cache)}
    starts = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    wanted = f"['raftkv', 'ctl', 'get'] {cache}/{digest}/site\n"
    assert [process.communicate(timeout=60)[0] for process in starts] == [wanted] * 8
    assert [path.name for path in cache.iterdir()] == [digest]
    assert [path.stat().st_mode & 0o777 for path in (cache, cache / digest)] == [0o700, 0o700]
    cache.chmod(0o777)
    refused = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "nobody else may write" in refused.stderr


@pytest.mark.slow
def test_what_is_in_them(made: Distribution) -> None:
    """The wheel and the sdist have every module and data file of the packages; the archive has the
    libraries too, each with its licence's directory, and of Kubernetes' schemas the one file that
    is read. Nothing of the development dependencies is in it."""
    tracked = subprocess.run(
        ["git", "ls-files", "raftkv", "apiserver_shim", "jepsen_like"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    shipped = {name for name in tracked if Path(name).suffix != ".md"}
    with zipfile.ZipFile(made.wheel) as wheel:
        assert shipped <= set(wheel.namelist()), shipped - set(wheel.namelist())
    with tarfile.open(made.sdist) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
        assert {"pyproject.toml", "setup.py", "README.md", *shipped} <= inside
    with zipfile.ZipFile(made.pyz) as archive:
        top = {name.split("/")[1] for name in archive.namelist() if name.startswith("site/")}
        schemas = [name for name in archive.namelist() if "kubernetes-json-schema" in name]
    assert {"raftkv", "apiserver_shim", "lmdb", "grpc", "uvloop", "click"} <= top
    assert not {"pytest", "mypy", "hypothesis", "grpc_tools", "setuptools"} & top
    assert len(schemas) == 1


def test_the_same_contents_give_the_same_file(tmp_path: Path) -> None:
    """Byte for byte, so that a digest can be published; other contents have another digest."""
    contents = {"a/b.py": b"1", "c.so": b"\0" * 1000}
    paths = [tmp_path / name for name in ("one", "two")]
    assert len({write_archive(contents, path) for path in paths}) == 1
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert digest_of(contents) != digest_of(contents | {"a/b.py": b"2"})


@pytest.mark.parametrize(
    ("called", "arguments", "name", "left"),
    [
        ("raftkv.pyz", ["serve", "--name=m"], "raftkv", ["serve", "--name=m"]),
        ("raftkv", [], "raftkv", []),
        ("raftkv.pyz", ["apiserver", "--x"], "raftkv-apiserver", ["--x"]),
        ("raftkv.pyz", ["control-plane", "up"], "raftkv-control-plane", ["up"]),
        ("raftkv-apiserver", ["apiserver"], "raftkv-apiserver", ["apiserver"]),
        ("anything-0.2.pyz", ["ctl"], "raftkv", ["ctl"]),
    ],
)
def test_which_program(called: str, arguments: list[str], name: str, left: list[str]) -> None:
    """By the file's name, or by the first word."""
    assert chosen(called, arguments) == (name, left)


def test_where_it_unpacks(tmp_path: Path) -> None:
    """As told, then as systemd says, then among the user's caches; never where somebody else could
    have put something: not another's directory, not a link, not one that others may write."""
    assert cache_directory({"RAFTKV_CACHE": "/a", "CACHE_DIRECTORY": "/b"}) == Path("/a")
    assert cache_directory({"CACHE_DIRECTORY": "/b:/c", "XDG_CACHE_HOME": "/d"}) == Path("/b")
    assert cache_directory({"XDG_CACHE_HOME": "/d"}) == Path("/d/raftkv")
    good, link = tmp_path / "good", tmp_path / "link"
    private_directory(good)
    assert good.stat().st_mode & 0o777 == 0o700
    link.symlink_to(good)
    with pytest.raises(Refusal, match="nobody else may write"):
        private_directory(link)
    good.chmod(0o770)
    with pytest.raises(Refusal, match="nobody else may write"):
        private_directory(good)
