"""Makes protobuf_fields.json: which number each field of Kubernetes' messages has on the wire.

Owns: reading Kubernetes' own generated.proto files (number, type) and Go structs (JSON name,
whether a zero value is left out) from the Go module proxy. Must never do: run with the server: the
file that it writes is committed, `make protobuf-fields` writes it anew. Facts only, no comments.

A field is [number, JSON name, type]; the name is empty where Go inlines the message. A type may
begin with [] (repeated), {} (map from string) or ? (left out where it is zero).
"""

from __future__ import annotations

import io
import json
import re
import sys
import urllib.request
import zipfile
from pathlib import Path

VERSION = "v0.37.0"
PROXY = "https://proxy.golang.org/k8s.io/{module}/@v/{version}.zip"
OUTPUT = Path(__file__).with_name("protobuf_fields.json")
PACKAGES = {
    "api": [
        "admissionregistration/v1",
        "apps/v1",
        "authentication/v1",
        "authorization/v1",
        "autoscaling/v1",
        "autoscaling/v2",
        "batch/v1",
        "batch/v1beta1",
        "certificates/v1",
        "coordination/v1",
        "core/v1",
        "discovery/v1",
        "discovery/v1beta1",
        "events/v1",
        "flowcontrol/v1",
        "networking/v1",
        "node/v1",
        "policy/v1",
        "policy/v1beta1",
        "rbac/v1",
        "scheduling/v1",
        "scheduling/v1alpha3",
        "storage/v1",
    ],
    "apimachinery": ["pkg/apis/meta/v1", "pkg/api/resource", "pkg/runtime", "pkg/util/intstr"],
    "apiextensions-apiserver": ["pkg/apis/apiextensions/v1"],
}
_SCALARS = ("string", "bytes", "bool", "int32", "int64", "double")
_MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (optional|repeated)? ?(map<string, ([\w.]+)>|[\w.]+) \w+ = (\d+);", re.M)
_PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)
_STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_TAGGED = re.compile(
    r'^\s+(?:\w+ +)?(\S+)\s+`json:"([^"]*)"[^`]* protobuf:"\w+,(\d+),', re.MULTILINE
)
_GROUP = re.compile(r'^\s*(?:const )?GroupName\s*=\s*"([^"]*)"', re.MULTILINE)

Fields = list[tuple[int, str, str]]
Tags = dict[int, tuple[str, str]]
"""Field number -> Go type, JSON tag."""


def main() -> None:
    messages: dict[str, Fields] = {}
    packages: dict[str, str] = {}
    kinds: set[str] = set()
    for module, folders in PACKAGES.items():
        archive = _archive(module)
        for folder in folders:
            root = f"k8s.io/{module}@{VERSION}/{folder}/"
            proto = archive.read(f"{root}generated.proto").decode()
            source = _go_source(archive, root)
            package = _short(_PACKAGE.findall(proto)[0])
            group = _GROUP.search(source)
            if group and "/" in folder:
                packages["/".join(filter(None, (group[1], folder.rpartition("/")[2])))] = package
            messages |= _messages(package, proto, source)
            kinds |= {
                f"{package}.{name}"
                for name, body in _STRUCT.findall(source)
                if re.search(r"^\s+(metav1\.)?TypeMeta\s", body, re.MULTILINE)
                and not name.endswith("List")
            }
    wanted = _reachable(messages, kinds | {"runtime.Unknown"})
    OUTPUT.write_text(_text(packages, {name: messages[name] for name in sorted(wanted)}))
    print(f"{OUTPUT}: {len(wanted)} messages", file=sys.stderr)


def _archive(module: str) -> zipfile.ZipFile:
    with urllib.request.urlopen(PROXY.format(module=module, version=VERSION), timeout=60) as reply:
        return zipfile.ZipFile(io.BytesIO(reply.read()))


def _go_source(archive: zipfile.ZipFile, root: str) -> str:
    names = [
        n for n in archive.namelist() if n.startswith(root) and n.count("/") == root.count("/")
    ]
    hand_written = [n for n in names if n.endswith(".go") and "generated" not in n]
    return "\n".join(archive.read(name).decode() for name in sorted(hand_written))


def _messages(package: str, proto: str, source: str) -> dict[str, Fields]:
    tags: dict[str, Tags] = {
        name: {int(number): (go, tag) for go, tag, number in _TAGGED.findall(body)}
        for name, body in _STRUCT.findall(source)
    }
    found: dict[str, Fields] = {}
    for name, body in _MESSAGE.findall(proto):
        fields: Fields = []
        for label, declared, map_value, number in _FIELD.findall(body):
            go, tag = tags.get(name, {}).get(int(number), ("", None))
            kind = _type(package, map_value or declared)
            if map_value:
                kind = "{}" + kind
            elif label == "repeated":
                kind = "[]" + kind
            elif _leaves_zero_out(kind, go, tag):
                kind = "?" + kind
            fields.append((int(number), _json_name(body, tag, number), kind))
        found[f"{package}.{name}"] = fields
    return found


def _json_name(body: str, tag: str | None, number: str) -> str:
    """As the tag says; where a message has a JSON form of its own there is no tag."""
    if tag is None:
        return str(re.findall(rf"(\w+) = {number};", body)[0])
    return tag.partition(",")[0]


def _leaves_zero_out(kind: str, go: str, tag: str | None) -> bool:
    options = (tag or "").split(",")[1:]
    pointer = go.startswith("*")
    return not pointer and ("omitzero" in options or (kind in _SCALARS and "omitempty" in options))


def _type(package: str, declared: str) -> str:
    if declared in _SCALARS:
        return declared
    return _short(declared[1:]) if declared.startswith(".") else f"{package}.{declared}"


def _short(name: str) -> str:
    for prefix in (
        "k8s.io.apimachinery.pkg.apis.",
        "k8s.io.apimachinery.pkg.api.",
        "k8s.io.apimachinery.pkg.util.",
        "k8s.io.apimachinery.pkg.",
        "k8s.io.apiextensions_apiserver.pkg.apis.",
        "k8s.io.api.",
    ):
        if name.startswith(prefix):
            return name[len(prefix) :]
    raise ValueError(f"{name} is of a package that is not known here")


def _reachable(messages: dict[str, Fields], roots: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in roots if name in messages]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        kinds = {each.lstrip("[]{}?") for _, _, each in messages[name]} - set(_SCALARS)
        assert kinds <= set(messages), f"{name}: of a package not read: {kinds - set(messages)}"
        waiting.extend(kinds)
    return found


def _text(packages: dict[str, str], messages: dict[str, Fields]) -> str:
    """One message a line, so that a newer version shows as what it adds."""
    source = f"k8s.io/api, apimachinery, apiextensions-apiserver {VERSION}: generated.proto, types"
    lines = [
        f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}"
        for name, fields in messages.items()
    ]
    told = ",\n".join(lines)
    return (
        f'{{"source":{json.dumps(source)},\n"packages":{json.dumps(packages, sort_keys=True)},\n'
        f'"messages":{{\n{told}\n}}}}\n'
    )


if __name__ == "__main__":
    main()
