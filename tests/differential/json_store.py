"""A store under comparison whose calls go through its JSON gateway.

Owns: JsonStore. Bodies are written by protobuf's own JSON mapping with etcd's field names. Must
never do: be lenient about names or types in an answer: the values are compared as they came.
"""

from __future__ import annotations

import http.client
import json
from typing import Any

from google.protobuf import json_format

from raftkv.gateway.json_paths import PATHS
from tests.differential.operations import Bytes, KeepAlive, Unary
from tests.differential.store import CALL_SECONDS, TTL_SLACK_S, Outcome, Store

Json = dict[str, Any]
PATH_OF = {
    f"{service.removeprefix('etcdserverpb.')}/{method}": path
    for path, (service, method) in reversed(PATHS.items())
}


class JsonStore(Store):
    """``Bytes`` are a body that need not be JSON."""

    def start(self, operation: Unary | Bytes | KeepAlive) -> Outcome:
        assert not isinstance(operation, KeepAlive), "the keep-alive stream is not a unary call"
        if isinstance(operation, Bytes):
            body = operation.payload
        else:
            request = self.request(operation)
            body = json_format.MessageToJson(
                request, preserving_proto_field_name=True, indent=None
            ).encode()
        members = self.cluster.members
        if len(members) > 1:
            self.catch_up(operation.member)
        status, answer = self._post(
            members[operation.member % len(members)].endpoint, PATH_OF[operation.method], body
        )
        if status != 200:
            code = answer.get("code") if isinstance(answer, dict) else None
            text = answer.get("message") if isinstance(answer, dict) else None
            return Outcome(code=f"{status}/{code}", text=str(text))
        assert isinstance(answer, dict), f"{self.name} answered {answer!r}"
        if operation.method == "Lease/LeaseGrant" and self._chose(operation):
            self.chosen.append(int(answer["ID"]))
        return Outcome(self._plain_json(answer))

    def finish(self, operation: Unary | Bytes | KeepAlive, call: Any) -> Outcome:
        assert isinstance(call, Outcome)
        return call

    def _chose(self, operation: Unary | Bytes) -> bool:
        return isinstance(operation, Unary) and super()._chose(operation)

    def _post(self, endpoint: str, path: str, body: bytes) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(endpoint, timeout=CALL_SECONDS)
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text)

    def _plain_json(self, answer: Json) -> Json:
        found: Json = {}
        chosen = [str(each) for each in self.chosen]
        for name, value in answer.items():
            if name == "header":
                found[name] = {"revision": value["revision"]} if "revision" in value else {}
            elif isinstance(value, dict):
                found[name] = self._plain_json(value)
            elif isinstance(value, list):
                found[name] = [
                    self._plain_json(each) if isinstance(each, dict) else each for each in value
                ]
            elif name in ("ID", "lease") and value in chosen:
                found[name] = f"chosen {chosen.index(value)}"
            else:
                found[name] = value
        if {"TTL", "grantedTTL"} <= found.keys():
            if 0 <= int(found["grantedTTL"]) - int(found["TTL"]) <= TTL_SLACK_S:
                found["TTL"] = found["grantedTTL"]
            found["keys"] = sorted(found.get("keys", []))
        if "leases" in found:
            found["leases"] = sorted(found["leases"], key=repr)
        return found
