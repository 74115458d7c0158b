"""Alert rules and dashboard: Prometheus's own tools take them, they name only metrics that there are, and each alert
has a section in the runbook."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from bridge import BUILD

TOP = pathlib.Path(__file__).resolve().parents[2]
RULES = TOP / "contrib/prometheus/rkbridge.rules.yml"
RULE_TESTS = TOP / "contrib/prometheus/rkbridge.tests.yml"
DASHBOARD = TOP / "contrib/grafana/rkbridge.json"
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count"), "counter": ("",), "gauge": ("",)}


def promtool(*arguments):
    assert shutil.which("promtool"), "promtool is missing: install Debian's package prometheus"
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def metrics():
    """{a name that can stand in a query: the names of its labels}, from the table that rkbridge shows."""
    table = subprocess.run([BUILD / "rkbridge", "--help-metrics"], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", table, re.M):
        for part in PARTS[kind]:
            found[name + part] = {*filter(None, labels.split(", ")), *(["le"] if part == "_bucket" else [])}
    assert len(found) > 60
    return found


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def check_names(query, metrics):
    named = set(re.findall(r"\b(?:rkbridge|process)_\w+", query))
    assert named <= metrics.keys(), f"no such metric: {named - metrics.keys()} in {query}"
    labels = {"job", "instance", *(label for name in named for label in metrics[name])}
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        used |= {label.strip() for label in group.split(",")}
    assert used <= labels, f"no such label: {used - labels} in {query}"


def test_promtool_takes_the_rules():
    promtool("check", "rules", RULES)
    promtool("test", "rules", RULE_TESTS)


def test_each_alert_is_tested():
    """The rule tests' last case raises all of them."""
    last = yaml.safe_load(RULE_TESTS.read_text())["tests"][-1]["promql_expr_test"][0]["exp_samples"]
    raised = {re.search(r'alertname="(\w+)"', sample["labels"]).group(1) for sample in last}
    assert raised == {rule["alert"] for rule in alerts()}


def test_each_alert_waits_as_long_as_it_says():
    """The rule tests look just before each one's time and then; of what happened once, when it is no longer told."""
    tests = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    cases = {case["name"].split()[0]: case["promql_expr_test"] for case in tests}
    most = {word: max(sample["value"] for question in cases[word] for sample in question["exp_samples"])
            for word in ("each", "what")}
    told = sum("increase(" in rule["expr"] for rule in alerts())
    assert most == {"what": told, "each": len(alerts()) - told}, "an alert is in neither of the two cases"


def test_alerts_name_what_there_is(metrics):
    for rule in alerts():
        check_names(rule["expr"], metrics)
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
            names = re.findall(r"rkbridge_\w+", rule["expr"])
            assert label in {"job", "instance"} or any(label in metrics[name] for name in names), (rule["alert"], label)


def test_each_alert_has_its_section_in_the_runbook():
    sections = set(re.findall(r"^## (\w+)$", (TOP / "doc/runbook.md").read_text(), re.M))
    for rule in alerts():
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert page == "doc/runbook.md" and section in sections, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_dashboard_names_what_there_is(metrics):
    dashboard = json.loads(DASHBOARD.read_text())
    found = queries(dashboard)
    assert len(found) > 40
    for query in found:
        check_names(query, metrics)
    for variable in dashboard["templating"]["list"]:
        check_names(variable["query"], metrics)
    places = [panel["id"] for panel in dashboard["panels"]]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("query", ["rkbridge_nonsense > 1", 'rkbridge_ready{source="a"}', "rkbridge_delivery_seconds",
                                   "sum by (topic) (rkbridge_ready)"])
def test_a_wrong_name_is_noticed(metrics, query):
    with pytest.raises(AssertionError):
        check_names(query, metrics)
