"""The pages about what measures and breaks it, typed as a reader would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.walks import PROGRAMS, Settings, pages_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Settings(tmp_path_factory.mktemp("settings")) as settings:
        yield settings


@pytest.mark.parametrize("page", pages_of(PROGRAMS))
def test_a_page_works_as_it_stands(page: str, settings: Settings, tmp_path: Path) -> None:
    """Every command in order, with status 0; what the page says is seen, is."""
    settings.follow(page, PROGRAMS, tmp_path)
