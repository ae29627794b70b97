"""Lists in pages while others write: every page is of the first one's resourceVersion, whoever
answers it; a token that is too old goes on at the newest; tokens that are none are refused."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from apiserver_shim.api.options import CONTINUE_VERSION, NEWEST, Continue, parse_continue
from apiserver_shim.api.status import ApiError
from tests.e2e.cluster import Cluster
from tests.shim.served_shim import Reply, ServedShim

SPACES = ("pages", "pages-x")
"""In the order of keys pages-x comes first: - is before /."""
NAMES = ("a", "a-b", "a.b", "a0", "ab", "b", "c-1")
TYPES = ("Opaque", "example.com/t")
ROUNDS_MAX = 12
Selects = Callable[[str, str, str], bool]
"""Of name, label and type."""

# --- the oracle ---------------------------------------------------------------------------------


@dataclass
class Secrets:
    """What the store has: key -> (label, type, resourceVersion)."""

    shims: tuple[ServedShim, ServedShim]
    now: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def write(self, shim: int, space: str, name: str, label: str, kind: str) -> None:
        """Make it, change it, or with no label take it away."""
        path, key = f"/api/v1/namespaces/{space}/secrets", f"{space}/{name}"
        there = self.now.get(key)
        body = {"metadata": {"name": name, "labels": {"l": label, "run": "pages"}}, "type": kind}
        if not label:
            reply = self.shims[shim].delete(f"{path}/{name}")
            assert reply.code == (200 if there else 404), reply
            self.now.pop(key, None)
            return
        if there:
            body["type"] = kind = there[1]
            reply = self.shims[shim].update(f"{path}/{name}", body)
        else:
            reply = self.shims[shim].create(path, body)
        assert reply.code in (200, 201), reply
        self.now[key] = (label, kind, reply.body["metadata"]["resourceVersion"])

    def listed(self, path: str, selects: Selects, after: str = "") -> list[tuple[str, str]]:
        """(key, resourceVersion) in order of keys, of those below ``path`` and past ``after``."""
        return [
            (key, version)
            for key, (label, kind, version) in sorted(self.now.items())
            if key.startswith(path) and key > after
            if selects(key.rpartition("/")[2], label, kind)
        ]


SELECTORS: list[tuple[dict[str, str], Selects]] = [
    ({}, lambda name, label, kind: True),
    ({"labelSelector": "l=1"}, lambda name, label, kind: label == "1"),
    ({"labelSelector": "l notin (1),l"}, lambda name, label, kind: label != "1"),
    ({"fieldSelector": "type=Opaque"}, lambda name, label, kind: kind == "Opaque"),
    (
        {"fieldSelector": "metadata.name!=ab,type!=Opaque", "labelSelector": "l in (1,2)"},
        lambda name, label, kind: name != "ab" and kind != "Opaque",
    ),
    ({"labelSelector": "l=none"}, lambda name, label, kind: False),
]

WRITES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(SPACES),
        st.sampled_from(NAMES),
        st.sampled_from(["1", "2", ""]),
        st.sampled_from(TYPES),
    ),
    min_size=1,
    max_size=3,
)
OBJECTS = st.dictionaries(
    st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from("12"), st.sampled_from(TYPES)),
    min_size=5,
    max_size=10,
)


@dataclass(frozen=True)
class Step:
    """What happens before a page, and who is asked for it."""

    limit: int
    shim: int
    writes: list[tuple[int, str, str, str, str]]
    compacts: bool


STEPS = st.lists(
    st.builds(
        Step,
        limit=st.sampled_from([2, 1, 3, 1, 2, 0]),
        shim=st.integers(0, 1),
        writes=WRITES,
        compacts=st.sampled_from([False, False, True]),
    ),
    min_size=5,
    max_size=7,
)

# --- the list -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(served_shim: ServedShim, second_shim: ServedShim) -> tuple[ServedShim, ServedShim]:
    for space in SPACES:
        served_shim.namespace(space)
    return served_shim, second_shim


def key_of(item: dict[str, Any]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def clean(pair: tuple[ServedShim, ServedShim]) -> Secrets:
    for space in SPACES:
        assert pair[0].delete(f"/api/v1/namespaces/{space}/secrets").code == 200
    return Secrets(pair)


def compact(store: Cluster, done: int) -> int:
    """Everything before now is gone, as it was up to ``done``."""
    api = store.api(store.members[0])
    revision = api.revision()
    if revision > done:
        api.compact(revision)
    return revision


@pytest.mark.e2e
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    objects=OBJECTS,
    select=st.sampled_from(SELECTORS),
    space=st.sampled_from(["", *SPACES]),
    steps=STEPS,
)
def test_pages_show_the_first_ones_revision(
    served_store: Cluster,
    pair: tuple[ServedShim, ServedShim],
    objects: dict[tuple[str, str], tuple[str, str]],
    select: tuple[dict[str, str], Selects],
    space: str,
    steps: list[Step],
) -> None:
    """Each object once, in the order of keys, as it was then; after a compaction 410 and a token
    that goes on at the newest. Not shrunk: each try is some thirty requests."""
    secrets = clean(pair)
    for (where, name), (label, kind) in objects.items():
        secrets.write(0, where, name, label, kind)
    query, selects = select
    if not space:  # other tests have secrets too
        mine = [query["labelSelector"]] if "labelSelector" in query else []
        query = query | {"labelSelector": ",".join([*mine, "run=pages"])}
    path = f"/api/v1/namespaces/{space}/secrets" if space else "/api/v1/secrets"
    below = f"{space}/" if space else ""
    token, version, last, compacted, rest = "", 0, "", 0, []
    for turn in range(ROUNDS_MAX + len(NAMES) * len(SPACES)):
        step = steps[turn] if turn < len(steps) else Step(steps[-1].limit, turn % 2, [], False)
        if turn:
            for write in step.writes:
                secrets.write(*write)
            if step.compacts:
                compacted = compact(served_store, compacted)
        asked = {**query, "limit": str(step.limit), **({"continue": token} if token else {})}
        reply = pair[step.shim].ask("GET", path, **asked)
        if token and 0 < version < compacted:
            token = told_to_go_on(reply)
            version = NEWEST
            continue
        assert reply.code == 200, reply
        items = reply.body["items"]
        metadata = reply.body["metadata"]
        if version <= 0:
            rest = secrets.listed(below, selects, last)
            version = int(metadata["resourceVersion"])
        assert metadata["resourceVersion"] == str(version)
        shown = [(key_of(each), each["metadata"]["resourceVersion"]) for each in items]
        assert shown == rest[: step.limit or len(rest)]
        rest = rest[len(shown) :]
        token = metadata.get("continue", "")
        if not query and token:
            assert metadata["remainingItemCount"] == len(rest) > 0
        else:
            assert "remainingItemCount" not in metadata
        if not token:
            break
        last = shown[-1][0] if shown else last
    assert not rest, "all of it was shown"
    assert not token, "it ends"


def told_to_go_on(reply: Reply) -> str:
    """The token of a 410."""
    assert (reply.code, reply.body["reason"]) == (410, "Expired"), reply
    assert reply.message.startswith(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results."
    )
    token = reply.body["metadata"]["continue"]
    assert isinstance(token, str)
    return token


@pytest.mark.e2e
def test_a_list_of_a_revision_is_exact_with_a_limit(
    served_store: Cluster, served_shim: ServedShim, namespace: str
) -> None:
    """As a real apiserver has it: without a limit it is of that revision or a newer one."""
    path = f"{namespace}/secrets"
    first = served_shim.create(path, {"metadata": {"name": "a"}})
    then = first.body["metadata"]["resourceVersion"]
    served_shim.create(path, {"metadata": {"name": "b"}})

    def names(**query: str) -> list[str]:
        reply = served_shim.ask("GET", path, resourceVersion=then, **query)
        return [each["metadata"]["name"] for each in reply.body["items"]]

    assert names(limit="5") == names(resourceVersionMatch="Exact") == ["a"]
    assert names(limit="5", resourceVersionMatch="NotOlderThan") == names() == ["a", "b"]
    compact(served_store, 0)
    for query in ({"limit": "5"}, {"resourceVersionMatch": "Exact"}):
        reply = served_shim.ask("GET", path, resourceVersion=then, **query)
        told = "The resourceVersion for the provided list is too old."
        assert (reply.code, reply.body["reason"], reply.message) == (410, "Expired", told)
        assert "continue" not in reply.body["metadata"]


# --- tokens -------------------------------------------------------------------------------------

PREFIX = "/registry/secrets/ns/"


def token_of(body: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")


def place(token: str) -> Continue | None:
    """The oracle: where a token leads, or None for what is none."""
    if not re.fullmatch("[-_A-Za-z0-9]*", token) or len(token) % 4 == 1:
        return None
    try:
        body = json.loads(base64.b64decode(token + "==", altchars=b"-_"))
    except ValueError:
        return None
    if not isinstance(body, dict) or body.get("v") != CONTINUE_VERSION:
        return None
    revision, start = body.get("rv"), body.get("start")
    if type(revision) is not int or revision == 0 or revision >= 2**63:
        return None
    if not isinstance(start, str) or not start:
        return None
    parts = start.removeprefix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return None
    return Continue(revision if revision > 0 else NEWEST, PREFIX + "/".join(parts))


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([CONTINUE_VERSION, "meta.k8s.io/v2", "", 1]),
        "rv": st.sampled_from([1, 7, -1, -5, 0, 2**63 - 1, 2**63, 1.5, "1", True, None]),
        "start": st.lists(st.sampled_from(["a", "b\0", "..", ".", "", "é"]), max_size=3).map(
            "/".join
        )
        | st.just(3),
    },
)


@settings(max_examples=300)
@given(BODIES.map(token_of) | st.text("aZ09-_=+/ \n{", max_size=9))
def test_a_token_leads_where_it_may_or_nowhere(token: str) -> None:
    """Never out of the list's own prefix; 400 for all that is none."""
    wanted = place(token)
    if wanted is None:
        with pytest.raises(ApiError) as refused:
            parse_continue(token, PREFIX)
        assert (refused.value.code, refused.value.reason) == (400, "BadRequest")
        assert refused.value.message.startswith("invalid continue token: continue key is not valid")
        return
    found = parse_continue(token, PREFIX)
    assert found == wanted
    assert posixpath.normpath(found.start.rstrip("\0")).startswith(PREFIX)


@given(st.integers(1, 2**63 - 1), st.text("a.-\0é\u2028\U0001f600", min_size=1, max_size=5))
def test_a_token_survives_its_form(revision: int, name: str) -> None:
    """Whatever the name."""
    page = Continue(revision, f"{PREFIX}x{name}\0")
    assert parse_continue(page.token(PREFIX), PREFIX) == page


GOOD = token_of({"v": CONTINUE_VERSION, "rv": NEWEST, "start": "a\0"})
LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"continue": "!"}, 400, "continue key is not valid: illegal base64 data at input byte 0"),
        ({"continue": "abc+"}, 400, "illegal base64 data at input byte 3"),
        ({"continue": "a"}, 400, "illegal base64 data at input byte 0"),
        ({"continue": "e30"}, 400, "server does not recognize this encoded version"),
        (
            {"continue": token_of({"v": CONTINUE_VERSION, "start": "a"})},
            400,
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            {"continue": token_of({"v": CONTINUE_VERSION, "rv": 1})},
            400,
            "encoded start key empty (version meta.k8s.io/v1)",
        ),
        (
            {"continue": token_of({"v": CONTINUE_VERSION, "rv": 1, "start": "../pods/x"})},
            400,
            "invalid continue token: continue key is not valid: ../pods/x",
        ),
        (
            {"continue": GOOD, "resourceVersion": "5"},
            400,
            "specifying resource version is not allowed when using continue",
        ),
        (
            {"continue": GOOD, "resourceVersion": "5", "resourceVersionMatch": "Exact"},
            422,
            LIST_OPTIONS + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
            "when continue is provided",
        ),
        (
            {"continue": GOOD, "resourceVersionMatch": "Exact"},
            422,
            LIST_OPTIONS + "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
            "unless resourceVersion is provided, resourceVersionMatch: Forbidden: "
            "resourceVersionMatch is forbidden when continue is provided]",
        ),
        (
            {"sendInitialEvents": "true"},
            422,
            LIST_OPTIONS + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        ({"limit": "1_0"}, 400, 'strconv.ParseInt: parsing "1_0": invalid syntax'),
        ({"limit": "9" * 30}, 400, "value out of range"),
        ({"resourceVersion": "²"}, 400, 'strconv.ParseUint: parsing "²": invalid syntax'),
        ({"resourceVersion": "9" * 30, "limit": "1"}, 400, "value out of range"),
    ],
)
def test_options_that_make_no_sense(
    served_shim: ServedShim, namespace: str, query: dict[str, str], code: int, words: str
) -> None:
    """Each with the code and the words of a real apiserver; never a 500."""
    reply = served_shim.ask("GET", f"{namespace}/secrets", **query)
    assert reply.code == code, reply
    assert words in reply.message


@pytest.mark.e2e
@pytest.mark.parametrize("query", [{"resourceVersion": "0"}, {"limit": "-1"}, {"limit": "0"}])
def test_the_rest_of_a_list(served_shim: ServedShim, namespace: str, query: dict[str, str]) -> None:
    """A token without a limit, or with a resourceVersion that asks for any."""
    for name in "abc":
        served_shim.create(f"{namespace}/secrets", {"metadata": {"name": name}})
    reply = served_shim.ask("GET", f"{namespace}/secrets", **{"continue": GOOD}, **query)
    assert [each["metadata"]["name"] for each in reply.body["items"]] == ["b", "c"]
    assert "continue" not in reply.body["metadata"]
