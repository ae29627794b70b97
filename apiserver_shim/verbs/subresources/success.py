"""The Status that says that something was done where there is no object to show.

Owns: that answer. Must never do: hide an error.
"""

from __future__ import annotations

from apiserver_shim.api.answer import ObjectAnswer


def success(code: int) -> ObjectAnswer:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": code,
    }
    return ObjectAnswer(code, status)
