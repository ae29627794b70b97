"""What holds for all tests: hypothesis draws the same examples in every run, without a deadline.

`pytest --hypothesis-profile=explore` draws new ones, to look for what nobody has found yet.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.certificates import Authority

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates that its ``ca`` verifies, under any file name but another test's."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")
