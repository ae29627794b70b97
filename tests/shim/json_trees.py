"""JSON values drawn at random, how two are compared, and how a patch of one was refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError

NAMES = st.sampled_from(["a", "b", "0", "-", "", "x/y", "m~n"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, "", "a", "1"])


def trees(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, below, max_size=3) | st.lists(below, max_size=3)


TREES = st.recursive(SCALARS, trees, max_leaves=8)
OBJECTS = st.dictionaries(NAMES, TREES, max_size=3)


def told(value: Any) -> str:
    """As JSON: true is not 1 there."""
    return json.dumps(value, sort_keys=True)


def code_of(call: Callable[[], Any]) -> int:
    """200, or that of the error; no other error is one."""
    try:
        call()
    except ApiError as e:
        return e.code
    return 200
