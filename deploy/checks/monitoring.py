"""Alerts and dashboard: each alert has a test, a paragraph in the runbook and a severity; each expression can be read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from rendering import DEPLOY, output

ALERTS = DEPLOY / "components/alerts"
RUNBOOK = "docs/runbook.md"


def mistakes(promtool: Path, folder: Path) -> Iterator[str]:
    groups = yaml.safe_load((ALERTS / "prometheus-rule.yaml").read_text())["spec"]["groups"]
    dashboard = json.loads((DEPLOY / "components/dashboard/convoke.json").read_text())
    tests = (ALERTS / "tests.yaml").read_text()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (folder / "tests.yaml").write_text(tests)
    output([promtool, "check", "rules", "--lint-fatal", folder / "rules.yaml"])
    output([promtool, "test", "rules", folder / "tests.yaml"])

    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    tested = yaml.safe_load(tests)["tests"]
    sounded = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    headings = set(re.findall(r"^### (Convoke\w+)$", (DEPLOY.parent / RUNBOOK).read_text(), re.MULTILINE))
    for name, rule in alerts.items():
        if name not in sounded:
            yield f"{name}: no test makes it sound"
        if rule["labels"].get("severity") not in ("critical", "warning"):
            yield f"{name}: is neither critical nor a warning"
        if rule["annotations"].get("runbook") != f"{RUNBOOK}#{name.lower()}":
            yield f"{name}: does not name its paragraph in {RUNBOOK}"
    for name in sorted(alerts.keys() ^ headings):
        yield f"{name}: {'has no paragraph in' if name in alerts else 'is no alert, but has a paragraph in'} {RUNBOOK}"
    yield from of_dashboard(dashboard, promtool, folder)


def of_dashboard(dashboard: dict, promtool: Path, folder: Path) -> Iterator[str]:
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    if len(ids) != len(set(ids)):
        yield "dashboard: two panels have one id"
    taken: set[tuple[int, int]] = set()
    expressions = []
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & taken or place["x"] + place["w"] > 24:
            yield f"dashboard: {panel['title']} lies on another panel"
        taken |= cells
        expressions += [target["expr"] for target in panel.get("targets", [])]
    rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$namespace", ".*")}
             for number, expression in enumerate(expressions)]
    (folder / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    output([promtool, "check", "rules", folder / "dashboard.yaml"])
