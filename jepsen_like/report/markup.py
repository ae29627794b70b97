"""HTML by construction: the only place that makes tags.

Owns: ``Html`` and what makes it. A plain ``str`` given as a child or attribute is text and is
escaped; only an ``Html`` is taken as markup. Must never do: take markup from outside.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Attribute = str | int | float | bool | None
JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class Html:
    """Markup. Not a ``str``, so that the type checker tells the two apart."""

    text: str

    def __str__(self) -> str:
        return self.text


def tag(name: str, *children: str | Html, **attributes: Attribute) -> Html:
    """One element. ``class_`` and ``for_`` lose their underscore, others become hyphens; True is
    an attribute without a value, False and None leave it out."""
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    content = "".join(_child(child) for child in children)
    return Html(f"<{name}{head}>{content}</{name}>")


def joined(parts: Iterable[Html]) -> Html:
    return Html("".join(part.text for part in parts))


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str | Html]],
    class_: str | None = None,
) -> Html:
    """A table whose first column names the row, in a box that scrolls sideways by keyboard too."""
    header = tag("tr", *(tag("th", name, scope="col") for name in head))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    inner = tag("table", tag("caption", caption), tag("thead", header), tag("tbody", *body))
    return tag(
        "div",
        inner,
        class_="scroll" + (f" {class_}" if class_ else ""),
        tabindex=0,
        role="group",
        aria_label=caption,
    )


def json_text(value: JsonValue) -> Html:
    """JSON that is safe inside a script element: no ``<``, so no end tag and no comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _child(child: str | Html) -> str:
    return child.text if isinstance(child, Html) else html.escape(child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
