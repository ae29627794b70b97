"""A browser for all tests of the page, and a made-up cluster of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.replay import Replay

ERRORS = """
window.errors = [];
addEventListener("error", (event) => errors.push(String(event.error?.stack ?? event.message)));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason?.stack)));
addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective));
"""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile"), 1400, 900) as running:
        running.call("Page.enable")
        running.call("Page.addScriptToEvaluateOnNewDocument", source=ERRORS)
        yield running


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Light, with motion, 1400 x 900. A mistake of the page's scripts fails the test."""
    chromium.resize(1400, 900)
    chromium.dark(False)
    yield chromium
    assert chromium.evaluate("window.errors ?? []") == []
    chromium.call("Page.navigate", url="about:blank")


@pytest.fixture
def cluster() -> MadeUpCluster:
    """m1 leads m2 and m3 in term 2."""
    return MadeUpCluster()


@pytest.fixture
def replay(cluster: MadeUpCluster) -> Iterator[Replay]:
    with Replay(cluster) as running:
        yield running
