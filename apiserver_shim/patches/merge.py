"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902).

Owns: the two patch types that know no schema. Must never do: change what it is given; the result is
new. JSON patch is the jsonpatch library's.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer
import orjson

from apiserver_shim.api.status import ApiError, bad_request

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
"""What all copies of one patch may come to: each could double the object."""


def merge_patch(target: Any, patch: Any) -> Any:
    """null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merge_patch(found.get(name), value)
    return found


def json_patch(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Raises 400 for what is no patch and 422 for one that cannot be applied."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            "The allowed maximum operations in a JSON patch is "
            f"{OPERATIONS_MAX}, got {len(operations)}",
        )
    found: Any = deepcopy(target)
    copied = 0
    try:
        for each in jsonpatch.JsonPatch(operations):
            if each["op"] == "copy":
                value = jsonpointer.resolve_pointer(found, each["from"])
                copied += len(orjson.dumps(value))
            if copied > COPIED_BYTES_MAX:
                raise ApiError(
                    413,
                    "RequestEntityTooLarge",
                    f"copies of {copied} bytes in a JSON patch, the limit is {COPIED_BYTES_MAX}",
                )
            found = jsonpatch.JsonPatch([each]).apply(found, in_place=True)
    except jsonpatch.JsonPatchTestFailed as e:
        raise _unprocessable(f"testing value failed: {e}") from None
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        KeyError,
        TypeError,
        AttributeError,
    ) as e:
        raise _unprocessable(str(e)) from None
    if not isinstance(found, dict):
        raise _unprocessable("the patch leaves no object")
    return found


def _unprocessable(why: str) -> ApiError:
    text = f"the server rejected our request due to an error in our request: {why}"
    return ApiError(422, "Invalid", text)
