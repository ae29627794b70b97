"""Covering, by generated rules: whoever may grant a rule can do all that the rule allows."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.api.user import User
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.security.rules import Rule, uncovered

VERBS, GROUPS, NAMES = ("get", "list"), ("", "apps"), ("", "a", "b")
RESOURCES = (("pods", ""), ("pods", "log"), ("jobs", "log"))
PATHS = ("/a", "/a/b", "/c")
QUESTIONS = [
    *(
        Attributes(User("u"), verb, group, resource, subresource, "ns", name)
        for verb, group, (resource, subresource), name in product(VERBS, GROUPS, RESOURCES, NAMES)
    ),
    *(Attributes(User("u"), verb, path=path) for verb, path in product(VERBS, PATHS)),
]


def some(*values: str, least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True)


RULES = st.builds(
    lambda verbs, groups, resources, names, urls: Rule.parse(
        {
            "verbs": verbs,
            "apiGroups": groups,
            "resources": resources,
            "resourceNames": names,
            "nonResourceURLs": urls,
        }
    ),
    some("*", *VERBS),
    some("*", *GROUPS),
    some("*", "pods", "pods/log", "*/log", "jobs"),
    some("a", "b", least=0),
    some("*", "/a", "/a*", "/a/*", "/c", least=0),
)


@settings(max_examples=500)
@given(own=st.lists(RULES, min_size=1, max_size=3), wanted=st.lists(RULES, min_size=1, max_size=1))
def test_what_is_covered_is_held(own: list[Rule], wanted: list[Rule]) -> None:
    """The oracle asks every question of a small world, which covering never does: where nothing of
    ``wanted`` is uncovered, no question is allowed by ``wanted`` and not by ``own``."""
    if uncovered(own, wanted):
        return
    for question in QUESTIONS:
        if any(rule.allows(question) for rule in wanted):
            assert any(rule.allows(question) for rule in own), question


@given(own=st.lists(RULES, max_size=3))
def test_everybody_may_grant_what_he_holds(own: list[Rule]) -> None:
    """A rule covers itself, and each of its single parts."""
    assert uncovered(own, own) == []
