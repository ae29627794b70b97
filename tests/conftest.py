"""What holds for all tests: hypothesis draws the same examples in every run, without a deadline.

`pytest --hypothesis-profile=explore` draws new ones, to look for what nobody has found yet.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")
