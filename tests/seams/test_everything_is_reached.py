"""Each reason, condition, Event, alert and metric is reached by a scenario: none is dead."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from scaler.control import reason_words
from scaler.control.cluster_port import EventReason
from scaler.control.snapshot import ConditionKind, ConditionReason, condition_for
from scaler.decision.capacity import CapacityReason
from scaler.decision.demand import DemandReason
from scaler.decision.lead_time import LeadTimeReason
from scaler.decision.limit import LimitReason
from scaler.decision.replicas import PlanReason
from scaler.limits.priority_classes import ClassReason
from scaler.limits.shares import ShareReason
from tests.deploy.manifests import MONITORING, documents
from tests.seams.reached import Reached, play
from tests.seams.scenarios import SCENARIOS

ALERTS = [
    rule
    for group in documents(MONITORING / "prometheusrule.yaml")[0]["spec"]["groups"]
    for rule in group["rules"]
]
# Of others: nothing here exposes it.
FOREIGN = {"kube_cronjob_status_last_successful_time"}


@pytest.fixture(scope="module")
def reached(tmp_path_factory) -> Reached:
    seen = Reached()
    for scenario in SCENARIOS.values():
        play(scenario, tmp_path_factory.mktemp("policy"), seen)
    return seen


@pytest.mark.parametrize(
    "kind", [PlanReason, DemandReason, CapacityReason, LimitReason, LeadTimeReason]
)
def test_each_reason_of_a_decision_is_reached(reached, kind: type[Enum]):
    assert {one for one in reached.reasons if isinstance(one, kind)} == set(kind)


@pytest.mark.parametrize(("part", "kind"), [("share", ShareReason), ("class", ClassReason)])
def test_each_reason_in_a_lease_is_reached(reached, part, kind: type[Enum]):
    found = {one.partition(".")[2] for one in reached.leases if one.startswith(f"{part}.")}
    assert found == {one.value for one in kind}


def test_each_reason_of_a_condition_is_reached_and_belongs_to_one_status(reached):
    assert reached.conditions == {
        (one.kind, one.status, one.reason) for one in map(condition_for, ConditionReason)
    }


def test_each_condition_has_a_reason(reached):
    assert {kind for kind, _, _ in reached.conditions} == set(ConditionKind)


def test_each_event_is_told(reached):
    assert reached.events == set(EventReason)


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        (reason_words.DEMAND_REASONS, set(DemandReason)),
        (reason_words.PLAN_REASONS, set(PlanReason)),
        # The others are of a schedule, and of a safe limit.
        (reason_words.LIMIT_REASONS, set(LimitReason) - {LimitReason.PLANNED, LimitReason.FLOOR}),
    ],
)
def test_the_page_has_words_for_each_reason_that_it_shows_and_for_no_other(words, reasons):
    assert set(words) == {one.value for one in reasons}


def test_each_metric_has_a_sample(reached):
    sampled = {name for name, _, _ in reached.samples}
    of_histograms = {name.removesuffix("_count") for name in sampled}
    assert reached.metrics - of_histograms - sampled == set()


@pytest.mark.parametrize("alert", ALERTS, ids=[one["alert"] for one in ALERTS])
def test_each_alert_asks_for_samples_that_there_are(reached, alert):
    """With the labels that it asks for, and the value that it compares with."""
    asked = re.findall(r"(1 - )?(\w+_\w+)(?:\{([^}]*)\})?(?:\[\w+\])?(?: == (\d))?", alert["expr"])
    wanted = [one for one in asked if one[1].startswith(("tidegate_", "kube_"))]
    assert wanted
    for less, name, matchers, value in wanted:
        if name in FOREIGN:
            continue
        labels = re.findall(r'(\w+)="([^"]*)"', matchers)
        found = [
            sample
            for sampled, said, sample in reached.samples
            if sampled == name and all(f'{key}="{text}"' in said for key, text in labels)
        ]
        if value:
            found = [one for one in found if (1 - one if less else one) == float(value)]
        assert found, f"{name}{{{matchers}}} is never {value or 'exposed'}"
