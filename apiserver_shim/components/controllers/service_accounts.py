"""The service account ``default`` in each namespace.

Owns: that it is there. Must never do: make it where a namespace is being deleted.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import NAMESPACES, SERVICE_ACCOUNTS
from apiserver_shim.components.ownership import is_being_deleted

NAME = "default"


class ServiceAccountController(Controller):
    title = "serviceaccount-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._namespaces = around.informers.of(NAMESPACES)
        self._accounts = around.informers.of(SERVICE_ACCOUNTS)
        self.follow(self._namespaces)
        self._accounts.listen(self._account_changed)

    async def reconcile(self, namespace: str, name: str) -> None:
        found = self._namespaces.get("", name)
        if found is None or is_being_deleted(found) or self._accounts.get(name, NAME):
            return
        account = {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": NAME, "namespace": name},
        }
        try:
            made = await self.client.create(SERVICE_ACCOUNTS, name, account)
        except ApiFailure as e:
            if e.code not in (403, 404, 409):
                raise
            # it is there, or the namespace is on its way out
        else:
            self.wrote(self._accounts, made)

    def _account_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None and old["metadata"]["name"] == NAME:
            self.queue.add("", old["metadata"]["namespace"])
