"""What a label's key and value may be, in the words of a real apiserver.

Owns: the two grammars. Must never do: know where the label stands; objects and selectors ask.
"""

from __future__ import annotations

import re

PART_BYTES_MAX = 63
PREFIX_BYTES_MAX = 253
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_NAME_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_PREFIX_WORDS = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def key_complaint(key: str) -> str:
    """What is wrong with a qualified name such as example.com/name; empty for nothing."""
    prefix, slash, name = key.partition("/")
    if not slash:
        prefix, name = "", key
    if "/" in name:
        return (
            f"a qualified name {_NAME_WORDS} with an optional DNS subdomain prefix and '/' (e.g. "
            "'example.com/MyName')"
        )
    found = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash and len(prefix.encode()) > PREFIX_BYTES_MAX:
        found.append(f"prefix part must be no more than {PREFIX_BYTES_MAX} bytes")
    if prefix and not _PREFIX.fullmatch(prefix):
        found.append(_PREFIX_WORDS)
    if not name:
        found.append("name part must be non-empty")
    elif len(name.encode()) > PART_BYTES_MAX:
        found.append(f"name part must be no more than {PART_BYTES_MAX} bytes")
    if not _NAME.fullmatch(name):
        found.append(f"name part {_NAME_WORDS}")
    return "; ".join(found)


def value_complaint(value: str) -> str:
    found = []
    if len(value.encode()) > PART_BYTES_MAX:
        found.append(f"must be no more than {PART_BYTES_MAX} bytes")
    if not _VALUE.fullmatch(value):
        found.append(_VALUE_WORDS)
    return "; ".join(found)
