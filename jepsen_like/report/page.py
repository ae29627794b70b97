"""One self-contained HTML page of one run.

Owns: ``write``, and how the template, the style and the scripts beside this module become one
file. The page asks nobody for anything: a policy in it forbids every request and every script but
ours, whatever a value of the history holds. Must never do: judge, or change what it is given.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from jepsen_like.checkers.verdict import Verdict, overall
from jepsen_like.history.history import History
from jepsen_like.report import summary, tables
from jepsen_like.report.clock import Clock
from jepsen_like.report.dataset import dataset
from jepsen_like.report.findings import findings_section
from jepsen_like.report.markup import Html, json_text, tag

# In this order: each uses what the ones before it define.
SCRIPTS = ("window.js", "canvas.js", "rows.js", "timeline.js", "charts.js", "watches.js", "page.js")


def write(history: History, verdicts: Sequence[Verdict], path: Path) -> None:
    """Lone surrogates, which are no text, become references that a browser shows as damage."""
    path.write_bytes(html(history, verdicts).encode("utf-8", "xmlcharrefreplace"))


def html(history: History, verdicts: Sequence[Verdict]) -> str:
    clock = Clock.of(history)
    findings = [finding for _, finding in summary.shown_findings(verdicts)]
    script = "\n".join(_beside(name) for name in SCRIPTS)
    title = f"{overall(verdicts).value}: {summary.title(history)}"
    values = {
        "title": tag("title", title),
        "script_hash": Html(_hash(script)),
        "style": Html(_beside("page.css")),
        "head": summary.head(history, verdicts, clock),
        "findings": findings_section(verdicts, history.faults, clock),
        "faults": tables.faults_table(history.faults, clock),
        "rates": tables.rates_table(history, clock),
        "watches": _watches(history, clock),
        "members": tables.members_section(history.finals),
        "data": json_text(dataset(history, findings, clock)),
        "script": Html(script),
    }
    return Template(_beside("page.html")).substitute(values)


def _watches(history: History, clock: Clock) -> Html:
    if not history.watches:
        return Html("")
    return Html(
        Template(_beside("watches.html")).substitute(
            table=tables.watches_table(history.watches, clock)
        )
    )


def _beside(name: str) -> str:
    return (files("jepsen_like.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
