"""The options of a write: fieldManager, force, dryRun, fieldValidation.

Owns: their checks, in the words of a real apiserver. Must never do: act on them.
"""

from __future__ import annotations

from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.managed_fields import MANAGER_BYTES_MAX

CREATE, UPDATE, PATCH = "CreateOptions", "UpdateOptions", "PatchOptions"
_VALUES = {"dryRun": ("All",), "fieldValidation": ("Ignore", "Strict", "Warn")}


def check_options(request: ApiRequest, kind: str, *, is_apply: bool = False) -> None:
    """``kind``: of the options. Raises 422."""
    for complaint in _complaints(request, kind, is_apply):
        raise ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {complaint}')


def _complaints(request: ApiRequest, kind: str, is_apply: bool) -> list[str]:
    query, found = request.query, []
    manager = query.get("fieldManager", "")
    if is_apply and not manager:
        found.append("fieldManager: Required value: is required for apply patch")
    if len(manager.encode()) > MANAGER_BYTES_MAX:
        words = f"may not be more than {MANAGER_BYTES_MAX} bytes"
        found.append(f"fieldManager: Too long: {words}")
    if not manager.isprintable():
        words = "should only contain printable characters"
        found.append(f"fieldManager: Invalid value: {manager!r}: {words}")
    if kind == PATCH and not is_apply and "force" in query:
        found.append("force: Forbidden: may not be specified for non-apply patch")
    for name, supported in _VALUES.items():
        value = query.get(name, "")
        if value and value not in supported:
            words = ", ".join(f'"{each}"' for each in supported)
            found.append(f'{name}: Unsupported value: "{value}": supported values: {words}')
    return found
