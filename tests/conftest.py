"""What holds for all tests: hypothesis draws the same examples in every run, without a deadline.

`pytest --hypothesis-profile=explore` draws new ones, to look for what nobody has found yet.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.certificates import Authority

ALONE = ("shim",)
"""Folders whose tests never run beside each other."""

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who runs beside whom, with `-n`: a file's tests share a process, and so their module's
    cluster; those of the Kubernetes API share one too, for their nodes' addresses are fixed. The
    longest group comes first."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in ALONE else str(item.path)))
    items.sort(key=lambda item: item.path.parent.name not in ALONE)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates that its ``ca`` verifies, under any file name but another test's."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")
