"""Alerts and dashboard ask for series that exist, and every alert has its runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome, Snapshot
from scaler.decision.limit import LimitReason
from scaler.decision.trust import Standing
from tests.deploy.manifests import DEPLOY, MONITORING, Object, documents, one, resources
from tests.scaler.adapters.http.snapshots import AT, view

RULES = documents(MONITORING / "prometheusrule.yaml")[0]["spec"]["groups"]
ALERTS = [rule for group in RULES for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
alerts = pytest.mark.parametrize("alert", ALERTS, ids=[rule["alert"] for rule in ALERTS])


def panel_queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    yield from (
        variable["query"]["query"]
        for variable in DASHBOARD["templating"]["list"]
        if variable["type"] == "query"
    )


QUERIES = [*(rule["expr"] for rule in ALERTS), *panel_queries()]


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Return the labels of every series that a replica exposes after a tick, by name."""
    holder = SnapshotHolder()
    telemetry = Telemetry(holder)
    seen = view()
    assert seen.trust is not None
    judged = replace(seen.trust, coverage=0.96, loss=1.0, rival_loss=2.0)
    silent = Condition(ConditionKind.DATA_FRESH, False, "QueryFailed", "no answer within 5 s")
    seen = replace(seen, trust=judged).told(PlanOutcome((silent,)))
    snapshot = Snapshot(1, AT, {"prod/shop": seen}, seconds=0.1, clock_offset_s=0.0)
    holder.publish(snapshot)
    telemetry.observe(snapshot)
    telemetry.count_response(200)
    telemetry.gateways = lambda: {"prod/shop": 2}
    telemetry.certificate_expiries = lambda: {"server": AT + 86400.0}
    series: dict[str, set[str]] = {}
    for line in telemetry.exposition().decode().splitlines():
        if kind := re.fullmatch(r"# TYPE (\w+) \w+", line):
            series.setdefault(kind[1], set())
        elif sample := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            series.setdefault(sample[1], set()).update(re.findall(r'(\w+)="', sample[2] or ""))
    return series


@pytest.mark.parametrize("query", QUERIES)
def test_every_series_that_is_asked_for_is_exposed(query, exposed):
    asked = set(re.findall(r"tidegate_\w+", query))
    assert asked or "kube_cronjob" in query
    assert asked <= set(exposed)


@pytest.mark.parametrize("query", QUERIES)
def test_every_label_that_is_asked_for_is_carried(query, exposed):
    for name, matchers in re.findall(r"(tidegate_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r'(\w+)\s*=~?"', matchers)) <= exposed[name]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        pytest.param("reason", {one.value for one in LimitReason}, id="what bound a limit"),
        pytest.param("standing", {one.value for one in Standing}, id="what a forecast is worth"),
        pytest.param("kind", {one.value for one in ConditionKind}, id="conditions"),
    ],
)
def test_every_value_that_is_asked_for_can_occur(label, values):
    asked = {found for query in QUERIES for found in re.findall(rf'{label}="(\w+)"', query)}
    assert asked
    assert asked <= values


@pytest.mark.parametrize("series", ["tidegate_floor_replicas", "tidegate_limit_binding"])
def test_the_dashboard_shows_what_was_decided(series):
    assert any(series in query for query in panel_queries())


@alerts
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: Object):
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in {"critical", "warning"}


@alerts
def test_an_alert_links_to_its_section_of_the_runbook(alert: Object):
    file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    text = (DEPLOY.parent / file).read_text()
    runbook = text[text.index("## Runbook") :]
    titles = re.findall(r"^### (.+)$", runbook, re.MULTILINE)
    assert anchor in {title.lower().replace(" ", "-") for title in titles}


def test_every_section_of_the_runbook_has_its_alert():
    text = (DEPLOY / "README.md").read_text()
    titles = re.findall(r"^### (.+)$", text[text.index("## Runbook") :], re.MULTILINE)
    linked = {alert["annotations"]["runbook_url"].partition("#")[2] for alert in ALERTS}
    assert {title.lower().replace(" ", "-") for title in titles} == linked


def test_prometheus_scrapes_the_service_of_the_scaler():
    objects = resources(MONITORING)
    monitor, service = one(objects, "ServiceMonitor")["spec"], one(objects, "Service")
    selected = monitor["selector"]["matchLabels"].items()
    assert selected <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    assert monitor["namespaceSelector"]["matchNames"] == ["tidegate"]
