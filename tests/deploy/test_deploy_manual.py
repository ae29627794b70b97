"""Pages that are made from the code: in step with it, and what man and a reader can use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.manual.__main__ import written
from deploy.manual.bounds import bounds
from deploy.manual.limits import LIMITS, Limit, shown
from deploy.manual.pages import PAGES
from deploy.manual.roff import Page
from raftkv.wire.limits import WireLimits
from tests.e2e.program import ROOT


@pytest.fixture(scope="module")
def fresh() -> dict[Path, str]:
    return written()


@pytest.mark.parametrize("name", [*(f"man/{name}" for name in PAGES), "limits.md"])
def test_pages_are_in_step_with_the_code(fresh: dict[Path, str], name: str) -> None:
    """Writing them again changes nothing."""
    path = ROOT / "docs" / name
    there = path.read_text() if path.exists() else ""
    assert there == fresh[path], f"run `make man`: docs/{name} is not of this code"


def warnings(file: Path) -> str:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_say(name: str) -> None:
    """With all its warnings on."""
    assert warnings(ROOT / "docs" / "man" / name) == ""


def seen(file: Path) -> list[str]:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", str(file)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_text_is_shown_as_it_is(tmp_path: Path) -> None:
    """Nothing of a text is taken for a request or an escape; a real mistake is warned of, so that
    the test above can fail."""
    page = Page("x-y(1)", "1", "about")
    page.section("TEXTS")
    hard = [".TH is no request", "'nor this", "back\\slash -- dash", 'a "quoted" word']
    for text in hard:
        page.paragraph(text)
    page.item("--data-dir 'x'", "(default ${name}.etcd)")
    file = tmp_path / "x.1"
    file.write_text(page.text)
    assert warnings(file) == ""
    lines = [line.strip() for line in seen(file)]
    assert set(hard) <= set(lines), lines
    assert "--data-dir 'x'" in lines
    file.write_text(page.text + ".nonsense\n")
    assert "nonsense" in warnings(file)


def test_every_flag_and_verb_is_there() -> None:
    """As a reader sees the pages."""
    serve = "\n".join(seen(ROOT / "docs" / "man" / "raftkv-serve.1"))
    assert "--quota-backend-bytes VALUE" in serve
    assert "--peer-client-cert-auth" in serve
    ctl = "\n".join(seen(ROOT / "docs" / "man" / "raftkv-ctl.1"))
    for verb in ("get", "snapshot save", "certs rotate-ca", "lease keep-alive"):
        assert f"\n   {verb}" in ctl


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.what)
def test_every_limit_has_a_test(limit: Limit) -> None:
    """The one that docs/limits.md names is there."""
    file, _, name = limit.test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def test_bounds_are_found_where_they_stand() -> None:
    """A constant and a field, with the text that follows or the comment before."""
    found = {f"{each.module}:{each.name}": each for each in bounds(ROOT / "raftkv")}
    queued = found["wire.limits:WireLimits.frames_queued_max"]
    assert queued.value == WireLimits().frames_queued_max
    assert queued.text.startswith("Frames (acks, resets")
    assert found["server.backup:BACKUPS_MAX"].text.startswith("Each is a file of the database")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("request_bytes_max", 1572864, "1.5 MiB"), ("PATH_BYTES_MAX", 107, "107 bytes"),
        ("stall_seconds_max", 60.0, "60 s"), ("INTERVAL_MAX_S", 0.5, "0.5 s"),
        ("ELECTION_TIMEOUT_MS_MAX", 50_000, "50,000 ms"), ("connections_max", 16384, "16,384"),
        ("resets_per_second", 200.0, "200"), ("TTL_MAX_S", 9_000_000_000, "9,000,000,000 s"),
    ],
)  # fmt: skip
def test_values_have_their_units(name: str, value: float, text: str) -> None:
    """Which are in the names."""
    assert shown(name, value) == text
