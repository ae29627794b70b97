"""Where things are in the page, as expressions for Browser.evaluate.

Owns: the page's ids and classes that tests look for. Must never do: evaluate anything.
"""

from __future__ import annotations

import json

ANNOUNCED = "document.getElementById('announcer').textContent"
SHOWN_DOTS = "document.querySelectorAll('.dots path:not([display])').length"
TOTALS = "Object.fromEntries(Object.entries(document.getElementById('ring').dataset))"
RUNNING = "typeof window.broken"
"""What every hostile text of the tests would set."""


def text(of: str) -> str:
    """The text of the element with that id."""
    return f"document.getElementById({json.dumps(of)}).textContent"


def each(selector: str, of: str) -> str:
    """``of``, an expression over ``n``, for each element that the selector finds."""
    return f"[...document.querySelectorAll({json.dumps(selector)})].map(n => {of})"


def number(selector: str) -> str:
    return f"document.querySelectorAll({json.dumps(selector)}).length"


def node(name: str) -> str:
    """The member's drawing."""
    named = f"n.querySelector('.node-name').textContent === {json.dumps(name)}"
    return f"[...document.querySelectorAll('.node')].find(n => {named})"


def row(name: str) -> str:
    """The member's row beside the drawing."""
    named = f"r.querySelector('strong').textContent === {json.dumps(name)}"
    return f"[...document.querySelectorAll('.member-row')].find(r => {named})"


def button(name: str, action: str) -> str:
    return f"{row(name)}.querySelector('[data-action={action}]')"
