"""Label and field selectors against oracles: what was written is what is asked, and what is wrong
is told in a real apiserver's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apiserver_shim.api.label_syntax import key_complaint, value_complaint
from apiserver_shim.api.selectors import parse_fields, parse_labels
from apiserver_shim.api.status import ApiError
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource
from tests.shim.served_shim import ServedShim

Labels = dict[str, str]

KEYS = st.sampled_from(["a", "a", "b", "app.kubernetes.io/name", "in", "notin", "x-y_z.1"])
VALUES = st.sampled_from(
    ["", "", "1", "1", "2", "10", "007", "1_0", "in", "notin", "A.b-c", "9" * 30]
)
LABELS = st.dictionaries(KEYS, VALUES, max_size=4)
SPACES = st.text(" \t\r\n", max_size=2)
SOME_SPACE = st.text(" \t\r\n", min_size=1, max_size=2)


def found(group: str, version: str, plural: str) -> Resource:
    resource = Catalogue().find(group, version, plural)
    assert resource is not None, f"{plural} are served"
    return resource


PODS, CONFIG_MAPS = found("", "v1", "pods"), found("", "v1", "configmaps")
NODES, JOBS = found("", "v1", "nodes"), found("batch", "v1", "jobs")


def refusal(parse: Callable[[], Any]) -> ApiError | None:
    """The 400 that it gives; no other error is one."""
    try:
        parse()
    except ApiError as e:
        return e if (e.code, e.reason) == (400, "BadRequest") else None
    return None


# --- labels: the oracle -------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """One requirement as a person writes it, and what it means."""

    text: str
    holds: Callable[[Labels], bool]


def number(text: str) -> int | None:
    """Digits, and no more than 64 bits hold."""
    value = int(text) if text and set(text) <= set("0123456789") else None
    return None if value is None or value >= 2**63 else value


def more(one: str, other: str) -> bool:
    a, b = number(one), number(other)
    return a is not None and b is not None and a > b


@st.composite
def terms(draw: st.DrawFn) -> Term:
    key, kind = (
        draw(KEYS),
        draw(st.sampled_from(["has", "lacks", "=", "==", "!=", ">", "<", "set"])),
    )
    a, b, c, d = (draw(SPACES) for _ in range(4))
    if kind == "has":
        return Term(f"{a}{key}{b}", lambda labels: key in labels)
    if kind == "lacks":
        return Term(f"{a}!{b}{key}{c}", lambda labels: key not in labels)
    if kind == "set":
        values = draw(st.lists(VALUES, min_size=1, max_size=3))
        inside = ",".join(f"{draw(SPACES)}{value}{draw(SPACES)}" for value in values)
        word, gap = draw(st.sampled_from(["in", "notin"])), draw(SOME_SPACE)
        text = f"{a}{key}{gap}{word}{b}({inside}){c}"
        if word == "in":
            return Term(text, lambda labels: key in labels and labels[key] in values)
        return Term(text, lambda labels: key not in labels or labels[key] not in values)
    if kind in "><":
        value = draw(VALUES.filter(lambda each: number(each) is not None))
        if kind == ">":
            return Term(f"{a}{key}{b}>{c}{value}{d}", lambda ls: more(ls.get(key, ""), value))
        return Term(f"{a}{key}{b}<{c}{value}{d}", lambda ls: more(value, ls.get(key, "")))
    value = draw(VALUES)
    text = f"{a}{key}{b}{kind}{c}{value}{d}"
    if kind == "!=":
        return Term(text, lambda labels: labels.get(key) != value)
    return Term(text, lambda labels: labels.get(key) == value)


@settings(max_examples=500)
@given(st.lists(terms(), max_size=3), LABELS)
def test_a_label_selector_means_what_was_written(written: list[Term], labels: Labels) -> None:
    """With any spaces, all operators, keys and values that look like operators."""
    selector = parse_labels(",".join(each.text for each in written))
    assert selector.matches(labels) is all(each.holds(labels) for each in written), written
    assert bool(selector) is bool(written), "no terms ask for nothing"


# The grammar again, as one expression over words without spaces between them.
WORD = r"[^=!<>(),\x00]+"
SET = rf"\x00(?:in|notin)\x00?\((?:{WORD})?(?:,(?:{WORD})?)*\)"
REQUIREMENT = rf"(?:!{WORD}|{WORD}(?:{SET}|(?:!=|==|=|<|>)(?:{WORD})?)?)"
GRAMMAR = re.compile(rf"(?:{REQUIREMENT}(?:,{REQUIREMENT})*)?")
PIECES = st.sampled_from(
    ["a", "b/c", "in", "notin", "1", "-x", "=", "!", "<", ">", "(", ")", ",", " "]
)
NEARLY = st.sampled_from(["a in (1,b)", "!a,b>1", "a notin (,),in=in", "a==1,b<2", "b/c != x,a"])


@st.composite
def nearly_selectors(draw: st.DrawFn) -> str:
    """A good one, with up to two characters changed for something else."""
    text = draw(NEARLY)
    for _ in range(draw(st.integers(0, 2))):
        at, taken = draw(st.integers(0, len(text))), draw(st.integers(0, 1))
        text = text[:at] + draw(PIECES | st.just("")) + text[at + taken :]
    return text


SOUP = st.lists(PIECES, max_size=9).map("".join) | nearly_selectors()


def is_selector(text: str) -> bool:
    """Whether the grammar takes it, and every key, value and number in it."""
    between_words = re.sub(r"(?<=[^=!<>(), ]) +(?=[^=!<>(), ])|(?<=[=!]) +(?==)", "\x00", text)
    squeezed = re.sub(r"(?<=\x00in) *(?=\()|(?<=\x00notin) *(?=\()", "", between_words)
    squeezed = squeezed.replace(" ", "")
    if not GRAMMAR.fullmatch(squeezed):
        return False
    keys = re.findall(rf"(?:^|,)!?({WORD})(?![^(]*\))", squeezed)
    values = re.findall(rf"(?:[=<>(,])({WORD})(?=[^(]*\))|[=<>]({WORD})", squeezed)
    numbers = re.findall(rf"[<>]({WORD})?", squeezed)
    return (
        not any(key_complaint(each) for each in keys)
        and not any(value_complaint(a or b) for a, b in values)
        and all(number(each) is not None for each in numbers)
    )


@settings(max_examples=500)
@given(SOUP)
@example("in in (in)")
@example("a in(1,,)")
@example("a=1,")
@example("a= =1")
@example("a! =1")
def test_what_the_grammar_takes_is_taken_and_nothing_else(text: str) -> None:
    """Marks and words in any order: 400 for all that is none, never another error."""
    refused = refusal(lambda: parse_labels(text))
    assert (refused is None) is is_selector(text), f"{text!r}: {refused}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!(", "unable to parse requirement: found '(', expected: identifier"),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' "
            "operators, the value must be an integer",
        ),
        (
            "-a",
            'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            "a in (b,-c)",
            'unable to parse requirement: values[0][a]: Invalid value: "-c": a valid label must '
            "be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        (
            f"a={'b' * 64}",
            f'unable to parse requirement: values[0][a]: Invalid value: "{"b" * 64}": must be no '
            "more than 63 bytes",
        ),
    ],
)
def test_a_wrong_label_selector_is_told_as_a_real_apiserver_does(text: str, words: str) -> None:
    """What was found, and what could have stood there."""
    with pytest.raises(ApiError) as refused:
        parse_labels(text)
    assert (refused.value.code, refused.value.message) == (400, words)


def test_a_number_is_all_digits() -> None:
    """1_0 is a good label, and no number; neither is what 64 bits do not hold."""
    assert not parse_labels("a>1").matches({"a": "1_0"})
    assert not parse_labels("a>1").matches({"a": "9" * 30})
    assert parse_labels("a>1").matches({"a": "007"})


# --- fields -------------------------------------------------------------------------------------

FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "status.phase",
    "spec.hostNetwork",
)
TEXTS = st.text("ab,=\\ !", max_size=4)


def escaped(text: str) -> str:
    """As clients write a value."""
    return re.sub(r"([\\,=])", r"\\\1", text)


def pod_with(values: dict[str, str]) -> dict[str, Any]:
    pod: dict[str, Any] = {"metadata": {}}
    for path, value in values.items():
        parent, _, name = path.rpartition(".")
        if value:
            pod.setdefault(parent, {})[name] = value == "true" if name == "hostNetwork" else value
    return pod


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(dict.fromkeys(FIELDS[:4], TEXTS)),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(FIELDS[:4]),
            st.sampled_from(["=", "==", "!="]),
            st.none() | TEXTS,
        ),
        max_size=3,
    ),
)
def test_a_field_selector_means_what_was_written(
    values: dict[str, str], on_host: bool, asked: list[tuple[str, str, str | None]]
) -> None:
    """Values with commas, backslashes and signs of equality in them; what is missing is empty.
    None asks for the value that is there."""
    fields = values | {"spec.hostNetwork": "true" if on_host else "false"}
    terms = [(path, how, fields[path] if value is None else value) for path, how, value in asked]
    terms.append(("spec.hostNetwork", "==", fields["spec.hostNetwork"]))
    text = ",".join(f"{path}{operator}{escaped(value)}" for path, operator, value in terms)
    wanted = all((fields[path] == value) is (operator != "!=") for path, operator, value in terms)
    assert parse_fields(text, PODS).matches(pod_with(fields)) is wanted


@given(st.text("ab=!,\\.", max_size=8))
def test_a_field_selector_is_taken_or_refused(text: str) -> None:
    """Whatever it is: 400, or terms of fields that there are."""
    refused = refusal(lambda: parse_fields(text, PODS))
    assert (refused is None) is (set(text) <= {","}), f"no field has such a name: {refused}"


@pytest.mark.parametrize(
    ("resource", "text", "words"),
    [
        (PODS, "spec.nodeName", "invalid selector: 'spec.nodeName'; can't understand "),
        (PODS, "status.phase=a=b", "invalid field selector: unescaped character in value: 61"),
        (PODS, r"status.phase=a\b", r"invalid field selector: invalid escape sequence: \b"),
        (PODS, "status.phase=\\", "invalid field selector: invalid escape sequence: \\"),
        (PODS, "spec.x=1", "field label not supported: spec.x"),
        (PODS, " status.phase=1", "field label not supported:  status.phase"),
        (NODES, "metadata.namespace=", "field label not supported: metadata.namespace"),
        (JOBS, "spec.x=1", 'field label "spec.x" not supported for batchv1.Job'),
        (
            CONFIG_MAPS,
            "data.x=1",
            '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
    ],
)
def test_a_wrong_field_selector_is_told_as_a_real_apiserver_does(
    resource: Resource, text: str, words: str
) -> None:
    """Each kind in its own words."""
    with pytest.raises(ApiError) as refused:
        parse_fields(text, resource)
    assert refused.value.code == 400
    assert refused.value.message.startswith(words)


# --- as clients ask -----------------------------------------------------------------------------


@pytest.mark.e2e
def test_selectors_choose_objects(served_shim: ServedShim, namespace: str) -> None:
    """Lists and deletes of many; a selector that is none is a 400 for each verb."""
    path = f"{namespace}/configmaps"
    for name, labels in (("x", {"a": "1"}), ("y", {"a": "2", "b": ""}), ("z", {})):
        served_shim.create(path, {"metadata": {"name": name, "labels": labels}})

    def names(**query: str) -> list[str]:
        items = served_shim.ask("GET", path, **query).body["items"]
        return [each["metadata"]["name"] for each in items]

    assert names(labelSelector="a in (1,2)") == ["x", "y"]
    assert names(labelSelector="a notin(1)", fieldSelector="metadata.name!=z") == ["y"]
    assert names(labelSelector=" ! a ") == ["z"]
    for method, query in (
        ("GET", {"labelSelector": "a,"}),
        ("GET", {"labelSelector": "a in", "watch": "1"}),
        ("DELETE", {"fieldSelector": "data.k=v"}),
    ):
        reply = served_shim.ask(method, path, **query)
        assert (reply.code, reply.body["reason"]) == (400, "BadRequest"), query
    assert served_shim.delete(path, labelSelector="b=,a").code == 200
    assert names() == ["x", "z"]


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["a\n", "a\nb", "A", "-a"])
def test_a_line_does_not_end_a_name(served_shim: ServedShim, namespace: str, name: str) -> None:
    """Nor a key of a map, nor one of a label."""
    path = f"{namespace}/configmaps"
    for body in (
        {"metadata": {"name": name}},
        {"metadata": {"name": "c", "labels": {"k": f"-{name}"}}},
        {"metadata": {"name": "c", "labels": {f"{name}\n": "v"}}},
        {"metadata": {"name": "c"}, "data": {f"{name}\n": "v"}},
    ):
        assert served_shim.create(path, body).code == 422, body
