"""A pod's volumes: directories of this machine.

Owns: the pod's directory and what is laid into it. Must never do: write outside of it. There are no
mounts: a container finds volume ``my-data`` by $VOLUME_MY_DATA. Kinds: emptyDir, hostPath,
configMap, secret; any other (projected, claims) is an empty directory.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.kubelet.environment import ConfigurationError, data_of

_NO_NAME = re.compile(r"[^A-Z0-9_]")


def variable_of(volume: str) -> str:
    return "VOLUME_" + _NO_NAME.sub("_", volume.upper())


async def prepare(client: ApiClient, pod: Object, directory: Path) -> dict[str, str]:
    """Make them; the variables that name them. Raises ConfigurationError."""
    found: dict[str, str] = {}
    for volume in pod["spec"].get("volumes") or ():
        name = volume["name"]
        place = directory / "volumes" / name
        if "hostPath" in volume:
            found[variable_of(name)] = volume["hostPath"]["path"]
            continue
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        for kind, key in (("configMap", "name"), ("secret", "secretName")):
            if kind in volume:
                source = volume[kind]
                secret, optional = kind == "secret", bool(source.get("optional"))
                data = await data_of(client, pod, source[key], secret, optional)
                files = _files(source, data or {})
                await asyncio.to_thread(_write, place, files, 0o600 if secret else 0o644)
        found[variable_of(name)] = str(place)
    return found


async def remove(directory: Path) -> None:
    """The pod is gone, and its data with it."""
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def sweep(directory: Path, kept: Collection[str]) -> None:
    """Remove what pods left behind that went while no kubelet ran. ``kept``: uids."""
    if await asyncio.to_thread(directory.is_dir):
        for path in await asyncio.to_thread(lambda: list(directory.iterdir())):
            if path.name not in kept:
                await remove(path)


def _files(source: Object, data: dict[str, bytes]) -> dict[str, bytes]:
    items = source.get("items")
    if not items:
        return data
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.get("optional"):
        raise ConfigurationError(f"references non-existent config key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _write(place: Path, files: dict[str, bytes], mode: int) -> None:
    for name, content in files.items():
        path = place / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.name:
            raise ConfigurationError(f"path {name!r} leads out of the volume")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode)
        path.write_bytes(content)
