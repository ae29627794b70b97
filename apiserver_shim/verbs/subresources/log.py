"""pods/log: what a container has written, streamed from its node's kubelet.

Owns: which container, where, with which options. Must never do: keep any of it. exec, attach and
portforward would need the connection itself: they are refused.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import ApiError, Cause, bad_request, invalid, not_found
from apiserver_shim.kubelets import kubelet_address
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource

KIND = Resource("", "v1", "podlogoptions", "PodLogOptions")
_FLAGS = ("follow", "previous", "timestamps", "insecureSkipTLSVerifyBackend")
_NUMBERS = {"tailLines": 0, "sinceSeconds": 1, "limitBytes": 1}
_PASSED = ("follow", "previous", "timestamps", *_NUMBERS, "sinceTime", "stream")


async def read_log(parts: Parts, request: ApiRequest, target: Target) -> TextAnswer:
    """Raises 400 for a container that has not begun, 404 for a pod that is not there."""
    query = _options(request, target.name)
    pod = await parts.registry.get(target.resource.key(target.namespace, target.name))
    if pod is None:
        raise not_found(target.resource, target.name)
    container = _container(pod.object, request.query.get("container", ""))
    node_name = pod.object["spec"].get("nodeName", "")
    if not node_name:
        return TextAnswer(200)  # nothing runs yet, nothing is written yet
    nodes = parts.catalogue.find("", "v1", "nodes")
    assert nodes is not None, "nodes are not served"
    node = await parts.registry.get(nodes.key("", node_name))
    if node is None:
        raise not_found(nodes, node_name)
    path = "/".join(quote(each, safe="") for each in (target.namespace, target.name, container))
    address = kubelet_address(node.object)
    url = f"{parts.kubelets.scheme}://{address}/containerLogs/{path}"
    return TextAnswer(200, stream=await parts.kubelets.open(url, query))


async def refuse_connection(parts: Parts, request: ApiRequest, target: Target) -> TextAnswer:
    text = (
        f"pods/{target.subresource} is not supported by this server: it does not turn connections "
        "into streams"
    )
    raise ApiError(501, "NotImplemented", text, name=target.name, kind=target.resource.plural)


def _options(request: ApiRequest, name: str) -> dict[str, str]:
    """What the kubelet is asked, checked here. Raises 422."""
    query = request.query
    wrong = [
        Cause("FieldValueInvalid", f'Invalid value: "{query[each]}": must be a boolean', each)
        for each in _FLAGS
        if query.get(each, "").lower() not in ("", "true", "false", "1", "0")
    ]
    for each, least in _NUMBERS.items():
        given = query.get(each, "")
        if given and (not given.isdigit() or int(given) < least):
            words = f'Invalid value: "{given}": must be greater than or equal to {least}'
            wrong.append(Cause("FieldValueInvalid", words, each))
    if query.get("sinceTime") and query.get("sinceSeconds"):
        words = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        wrong.append(Cause("FieldValueForbidden", words, "sinceTime"))
    if wrong:
        raise invalid(KIND, name, wrong)
    return {each: query[each] for each in _PASSED if query.get(each)}


def _container(pod: dict[str, Any], wanted: str) -> str:
    """The one that was named, or the only one."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    fields = ("containers", "initContainers", "ephemeralContainers")
    names = [each["name"] for field in fields for each in spec.get(field) or ()]
    if not wanted:
        first = [each["name"] for each in spec.get("containers") or ()]
        if len(names) == 1 and first:
            return str(first[0])
        told = f"choose one of: [{' '.join(names)}]"
        raise bad_request(f"a container name must be specified for pod {name}, {told}")
    if wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted
