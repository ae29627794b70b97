"""The Containerfile, by what can be told without building it.

Its instructions are read by rules of our own: no container engine and no hadolint runs here.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from fnmatch import fnmatch

from raftkv import __version__
from tests.deploy.command_lines import DEPLOY, taken
from tests.e2e.program import ROOT

FILE = DEPLOY / "container" / "Containerfile"
KNOWN = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN",
    "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str


def instructions() -> list[Instruction]:
    """Comments are left out, continued lines joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [Instruction(*line.split(maxsplit=1)) for line in lines]


def last_stage() -> list[Instruction]:
    found = instructions()
    start = max(at for at, each in enumerate(found) if each.name == "FROM")
    return found[start:]


def value(name: str) -> str:
    (found,) = (each.text for each in last_stage() if each.name == name)
    return found


def test_every_instruction_is_one() -> None:
    """And JSON forms are JSON: else they would be run by a shell."""
    found = instructions()
    assert {each.name for each in found} <= KNOWN
    for each in found:
        if each.name in ("CMD", "ENTRYPOINT"):
            assert all(isinstance(word, str) for word in json.loads(each.text)), each


def test_every_source_exists_and_is_let_in() -> None:
    """What COPY names is in the repository and in the list of what a build may see."""
    allowed = {
        line.removeprefix("!")
        for line in (FILE.parent / "Containerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [shlex.split(each.text) for each in instructions() if each.name == "COPY"]
    own = [words for words in copied if not words[0].startswith("--from")]
    assert len(own) >= 5
    for words in own:
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch(source, pattern) for pattern in allowed), source
    stages = [each.text.split()[-1] for each in instructions() if each.name == "FROM"]
    for words in copied:
        if words[0].startswith("--from"):
            assert words[0].removeprefix("--from=") in stages


def test_what_it_is_made_of() -> None:
    """A base pinned to a patch release, libraries by the lock's hashes, our own version."""
    base = instructions()[0]
    assert re.fullmatch(r"BASE=\S+:3\.\d+\.\d+-slim-\w+", base.text), base
    froms = [each.text for each in instructions() if each.name == "FROM"]
    assert all(text.startswith("${BASE}") for text in froms)
    installs = [each.text for each in instructions() if "pip install" in each.text]
    assert all("--require-hashes -r requirements.lock" in text for text in installs)
    assert f'version="{__version__}"' in value("LABEL")


def test_how_it_runs() -> None:
    """By number as nobody in particular, told to end by SIGTERM, watched by /livez; its command is
    one that raftkv takes, and it writes under its volume alone."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", value("USER"))
    assert value("STOPSIGNAL") == "SIGTERM"
    assert "PYTHONDONTWRITEBYTECODE=1" in value("ENV")
    config = taken(json.loads(value("CMD")), {})
    assert config.data_dir.startswith(value("VOLUME") + "/")
    (watched,) = re.findall(r"http://127\.0\.0\.1:(\d+)/livez", value("HEALTHCHECK"))
    assert [each.port for each in config.listen_metrics] == [int(watched)]
    assert set(value("EXPOSE").split()) == {"2379", "2380", watched}
    assert json.loads(value("ENTRYPOINT"))[-1] == "raftkv.cli.main"
