"""Pods that the API did not bring: from a directory, a URL, or the kubelet's own HTTP endpoint.

Owns: reading them, and what makes a manifest a static pod of this node (name, uid, annotations).
Must never do: drop pods because their source cannot be read just now: they run on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.clocks import Clock

log = logging.getLogger("apiserver_shim.kubelet")

LOOK_S = 20.0
MANIFEST_BYTES_MAX = 1024 * 1024
PODS_MAX = 100
"""Of one source."""
SOURCE = "kubernetes.io/config.source"
HASH = "kubernetes.io/config.hash"
MIRROR = "kubernetes.io/config.mirror"
FILE, HTTP, PUSHED = "file", "http", "kubelet"

Found = Callable[[str, list[Object]], None]
"""A source and all its pods now."""


class BadManifest(ValueError):
    """Says what is wrong with it."""


def static_pod(manifest: Any, node: str, source: str) -> Object:
    """As the kubelet runs it. The same manifest gives the same uid. Raises BadManifest."""
    if not isinstance(manifest, dict) or manifest.get("kind") != "Pod":
        raise BadManifest("a manifest must be an object of kind Pod")
    metadata = dict(manifest.get("metadata") or {})
    spec = manifest.get("spec")
    if not metadata.get("name") or not isinstance(spec, dict) or not spec.get("containers"):
        raise BadManifest("a pod needs metadata.name and spec.containers")
    digest = hashlib.md5(
        orjson.dumps([node, source, manifest], option=orjson.OPT_SORT_KEYS), usedforsecurity=False
    ).hexdigest()
    metadata |= {
        "name": f"{metadata['name']}-{node}",
        "namespace": metadata.get("namespace") or "default",
        "uid": digest,
        "annotations": {
            **(metadata.get("annotations") or {}),
            SOURCE: source,
            HASH: digest,
        },
    }
    tolerations = [*(spec.get("tolerations") or ()), {"operator": "Exists", "effect": "NoExecute"}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {**spec, "nodeName": node, "tolerations": tolerations},
    }


def pods_of(text: bytes, node: str, source: str) -> list[Object]:
    """Of YAML documents or JSON; a list's items too. Raises BadManifest."""
    if len(text) > MANIFEST_BYTES_MAX:
        raise BadManifest(f"{len(text)} bytes, the limit is {MANIFEST_BYTES_MAX}")
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as e:
        raise BadManifest(f"neither YAML nor JSON: {e}") from None
    items: list[Any] = []
    for each in documents:
        listed = isinstance(each, dict) and each.get("kind") in ("PodList", "List")
        items += each.get("items") or [] if listed else [each]
    if len(items) > PODS_MAX:
        raise BadManifest(f"{len(items)} pods, the limit is {PODS_MAX}")
    return [static_pod(each, node, source) for each in items]


async def follow_directory(
    path: Path, node: str, clock: Clock, every_s: float, found: Found
) -> None:
    """Look for ever; one bad file does not keep the others from running."""
    while True:
        try:
            texts = await asyncio.to_thread(_read_all, path)
        except OSError as e:
            log.warning("manifest directory %s: %s", path, e.strerror)
        else:
            found(FILE, _readable(texts, node))
        await clock.pause(every_s)


def _read_all(path: Path) -> dict[str, bytes]:
    """Hidden files are being written by editors."""
    files = sorted(each for each in path.iterdir() if each.is_file() and each.name[0] != ".")
    return {str(each): each.read_bytes() for each in files[:PODS_MAX]}


def _readable(texts: dict[str, bytes], node: str) -> list[Object]:
    pods: list[Object] = []
    for name, text in texts.items():
        try:
            pods += pods_of(text, node, FILE)
        except BadManifest as e:
            log.warning("manifest %s: %s", name, e)
    return pods


async def follow_url(
    url: str, node: str, clock: Clock, every_s: float, http: aiohttp.ClientSession, found: Found
) -> None:
    timeout = aiohttp.ClientTimeout(total=10)
    while True:
        try:
            async with http.get(url, timeout=timeout) as reply:
                text = await reply.content.read(MANIFEST_BYTES_MAX + 1)
                if reply.status != 200:
                    raise BadManifest(f"status {reply.status}")
            found(HTTP, pods_of(text, node, HTTP))
        except (BadManifest, aiohttp.ClientError, TimeoutError) as e:
            log.warning("manifest URL %s: %s", url, e or type(e).__name__)
        await clock.pause(every_s)


class StaticPods:
    """All of them by name, whatever their source. ``changed(namespace, name)`` is called for each
    that comes, goes or changes."""

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._by_source: dict[str, dict[tuple[str, str], Object]] = {}

    def put(self, source: str, pods: Iterable[Object]) -> None:
        new = {_name_of(each): each for each in pods}
        old = self._by_source.get(source, {})
        self._by_source[source] = new
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                self._changed(*name)

    def push(self, pod: Object) -> None:
        """One more from the HTTP endpoint. Raises BadManifest when there are too many."""
        pods = dict(self._by_source.get(PUSHED, {}))
        pods[_name_of(pod)] = pod
        if len(pods) > PODS_MAX:
            raise BadManifest(f"{len(pods)} pods, the limit is {PODS_MAX}")
        self.put(PUSHED, pods.values())

    def withdraw(self, namespace: str, name: str) -> bool:
        """One of the HTTP endpoint's; False when there is none."""
        pods = dict(self._by_source.get(PUSHED, {}))
        found = pods.pop((namespace, name), None)
        self.put(PUSHED, pods.values())
        return found is not None

    def get(self, namespace: str, name: str) -> Object | None:
        for pods in self._by_source.values():
            if (namespace, name) in pods:
                return pods[(namespace, name)]
        return None


def mirror_of(pod: Object, node_uid: str) -> Object:
    """What the API shows of a static pod."""
    metadata = dict(pod["metadata"])
    digest = metadata.pop("uid")
    metadata["annotations"] = {**metadata["annotations"], MIRROR: digest}
    metadata["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "name": pod["spec"]["nodeName"],
            "uid": node_uid,
            "controller": True,
        }
    ]
    return {**pod, "metadata": metadata}


def mirrored(pod: Object) -> str:
    """The hash of the static pod that an API pod shows; empty for all other pods."""
    return str((pod["metadata"].get("annotations") or {}).get(MIRROR, ""))


def _name_of(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]
