"""A resource type as data: what a real apiserver knows of a kind besides its schema.

Owns: Resource and how its objects are laid out under /registry. Must never do: anything per kind in
code; what differs between kinds is a field here. Layout and names: Kubernetes' own.
"""

from __future__ import annotations

from dataclasses import dataclass

REGISTRY = "/registry/"
READ_VERBS = ("get", "list", "watch")
WRITE_VERBS = ("create", "update", "patch", "delete", "deletecollection")
ALL_VERBS = READ_VERBS + WRITE_VERBS


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. ``path`` is a JSONPath as CRDs have it; a ``rendered`` column has
    none and is computed by ``views.cells``. ``priority`` above 0 shows with -o wide only."""

    name: str
    path: str = ""
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """``store_path``: where under /registry, if it is not the plural. ``subresources``: those
    served. ``spec_generation``: metadata.generation counts changes of all but metadata and
    status. ``field_selectors``: paths beyond metadata.name and metadata.namespace.
    ``create_on_update``: a PUT of what is not there makes it. ``storage_version``: in which a
    custom kind of several versions is stored. ``stored_as``: the apiVersion in which the store has
    the objects of a built-in kind, where that is another: `resources.versions` converts.
    ``scale_paths``: where a custom kind has its wanted replicas, its replicas and its selector."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    store_path: str = ""
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    field_selectors: tuple[str, ...] = ()
    spec_generation: bool = False
    create_on_update: bool = False
    columns: tuple[Column, ...] = ()
    is_custom: bool = False
    singular_name: str = ""
    list_name: str = ""
    storage_version: str = ""
    scale_paths: tuple[str, str, str] = ("", "", "")
    stored_as: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        """As its objects in the store have it."""
        return f"{self.group}/{self.storage_version}" if self.storage_version else self.api_version

    @property
    def list_kind(self) -> str:
        return self.list_name or f"{self.kind}List"

    @property
    def singular(self) -> str:
        return self.singular_name or self.kind.lower()

    @property
    def qualified(self) -> str:
        """As messages name it: ``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored_group_version(self) -> tuple[str, str]:
        group, _, version = (self.stored_as or self.api_version).rpartition("/")
        return group, version

    @property
    def prefix(self) -> str:
        """Where all objects of the type lie, with a slash at the end."""
        path = self.store_path or (f"{self.group}/{self.plural}" if self.is_custom else self.plural)
        return f"{REGISTRY}{path}/"

    def key(self, namespace: str, name: str) -> str:
        return f"{self.collection(namespace)}{name}"

    def collection(self, namespace: str) -> str:
        """The prefix of one namespace's objects; of all where ``namespace`` is empty."""
        return f"{self.prefix}{namespace}/" if self.namespaced and namespace else self.prefix
