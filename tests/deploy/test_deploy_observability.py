"""deploy/prometheus and deploy/grafana: rules that Prometheus takes, alerts that fire on what they
are for, panels that ask for something. (That every metric in them is exported, a running member
says, in tests/e2e.)"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promql import families_of, metrics_of
from tests.tidy.source_text import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "raftkv.json"
PROMTOOL = ROOT / ".tools" / "promtool"


def promtool(*arguments: str | Path) -> str:
    """Its output; a failure is this test's. Installed by .ci/tools."""
    done = subprocess.run(
        [PROMTOOL, *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for name in ("alerts.yaml", "recording.yaml")
        for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def charts() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Where each stands, and what it is."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in charts():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def plain(expression: str) -> str:
    """Without Grafana's variables."""
    for variable, value in (("$__rate_interval", "5m"), ("$instance", "m0"), ("$job", "raftkv")):
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def test_prometheus_takes_the_configuration() -> None:
    """The scrape example with its rule files, judged by promtool."""
    assert "SUCCESS" in promtool("check", "config", PROMETHEUS / "prometheus.yaml")


def test_alerts_fire_on_what_they_are_for() -> None:
    """Each has a case in tests/alerts.yaml that makes it fire; a healthy cluster makes none."""
    cases = yaml.safe_load((PROMETHEUS / "tests" / "alerts.yaml").read_text())["tests"]
    assert {alert["alert"] for alert in alerts()} <= {case["name"] for case in cases}
    promtool("test", "rules", PROMETHEUS / "tests" / "alerts.yaml")


def test_every_alert_says_what_to_do() -> None:
    """A severity, a summary, an action in a whole sentence, and a section of the docs that is
    there."""
    text = (ROOT / "docs" / "observability.md").read_text()
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names)) > 20
    for alert in alerts():
        told = alert["annotations"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), alert["alert"]
        assert told["summary"].endswith("."), alert["alert"]
        assert told["action"].endswith("."), alert["alert"]
        page, _, anchor = told["runbook"].partition("#")
        assert page == "docs/observability.md", alert["alert"]
        assert anchor in anchors, f"docs/observability.md has no section {anchor!r}"
        assert told["action"] in text, f"docs/observability.md tells another action: {anchor}"


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """Ids are unique, panels do not overlap, every one has its datasource from the variable, and
    only variables that there are are asked for."""
    board = dashboard()
    assert (board["uid"], board["title"]) == ("raftkv", "raftkv")
    assert board["schemaVersion"] >= 36
    variables = [each["name"] for each in board["templating"]["list"]]
    assert variables == ["datasource", "job", "instance"]
    assert board["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
    for panel in charts():
        assert panel["type"] in ("timeseries", "stat"), panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert 'job="$job"' in target["expr"], target["expr"]


def test_expressions_of_the_dashboard_parse(tmp_path: Path) -> None:
    """As rules, which promtool judges."""
    recorded = [
        {"record": f"panel:{number}", "expr": plain(target["expr"])}
        for number, panel in enumerate(charts())
        for target in panel["targets"]
    ]
    for number, rule in enumerate(recorded):
        rule["record"] += f":{number}"
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    assert f"{len(recorded)} rules found" in promtool("check", "rules", path)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        ('sum by (job) (up{job=~"raftkv.*"})', {"up"}),
        ("sum(rate(a_total[5m])) by (le) / on (x) group_left () b:c", {"a_total", "b:c"}),
        ('histogram_quantile(0.99, sum by (le, To) (rate(x_bucket{a="b(c)"}[5m])))', {"x_bucket"}),
        ("100 * a / (b > 0) and c unless d offset 5m or vector(0)", {"a", "b", "c", "d"}),
        ("predict_linear(a[4h], 4 * 3600) > 1e9", {"a"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    """Functions, labels, matchers, ranges, numbers and words are no names of metrics."""
    assert metrics_of(expression) == names


def test_what_rules_record_is_asked_for() -> None:
    """Every recorded name is used, and no name with a colon is asked for that none records."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for _, text in expressions() for name in metrics_of(text) if ":" in name}
    assert recorded == asked


def test_families_of_a_page() -> None:
    """A histogram stands for its three series."""
    page = "# HELP a x\n# TYPE a counter\na 1\n# TYPE h histogram\nh_bucket 1\n"
    assert families_of(page) == {"a", "h_bucket", "h_count", "h_sum"}
