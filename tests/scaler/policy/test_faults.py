"""The fault messages of policy files: path, rule, value found, line, fix."""

from __future__ import annotations

import pytest

from tests.scaler.policy.samples import bare, faults, text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(
            text("slow: true"),
            "spec.slow: is no key of spec (got true, line 7); did you mean slo?",
            id="an unknown key that is like a known one",
        ),
        pytest.param(
            text("demand: {zzz: 1}"),
            "spec.demand.zzz: is no key of spec.demand (got 1, line 7); "
            "its keys are query, maskQuery, timezone, model, risk, hold, events",
            id="an unknown key that is like none",
        ),
        pytest.param(
            text("risk: 0.05"),
            "spec.risk: is no key of spec (got 0.05, line 7); did you mean spec.demand.risk?",
            id="a key in the wrong section",
        ),
        pytest.param(
            text("limit: {per_client: {least_clients: 3}}"),
            "spec.limit.per_client: is no key of spec.limit (line 7); did you mean perClient?",
            id="a key in snake case",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {min: 5, max: 2}"),
            "spec.replicas.max: must be at least min, which is 5 (got 2, line 6); swap the two?",
            id="min above max",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {min: 0, max: 2}"),
            "spec.replicas.min: must be at least 1 (got 0, line 6)",
            id="a floor of no replicas",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {min: 1}"),
            "spec.replicas.max: is missing (line 6); add it: Upper bound of the plan",
            id="a required key is missing",
        ),
        pytest.param(
            text("demand: {risk: 0}"),
            "spec.demand.risk: must be above 0 and below 1 (got 0, line 7)",
            id="no risk at all",
        ),
        pytest.param(
            text("demand: {risk: 5}"),
            "spec.demand.risk: must be above 0 and below 1 (got 5, line 7); 5 per cent is 0.05",
            id="risk in per cent",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: -55}\nreplicas: {max: 2}"),
            "spec.capacity.requestsPerReplica: must be above 0 (got -55, line 5)",
            id="negative capacity",
        ),
        pytest.param(
            bare("replicas: {max: 2}"),
            "spec.capacity.requestsPerReplica: is missing, and there is no spec.slo.query to learn "
            "it from (line 4); give one of the two",
            id="capacity neither given nor learned",
        ),
        pytest.param(
            text("slo: {latency: 300ms}"),
            "spec.slo.query: is missing (line 7); add it: PromQL of the latency in seconds at that "
            "quantile",
            id="an SLO without a query",
        ),
        pytest.param(
            text("slo: {query: up, latency: 0s}"),
            'spec.slo.latency: must be longer than 0s (got "0s", line 7)',
            id="an SLO of no time",
        ),
        pytest.param(
            text("demand: {query: ' '}"),
            'spec.demand.query: must not be empty (got " ", line 7); leave the key out instead',
            id="an empty query",
        ),
        pytest.param(
            text("mode: enforce"),
            "spec.mode: must be 'Recommend', 'Enforce' or 'Auto' (got \"enforce\", line 7)",
            id="an unknown mode",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {max: 9, leadTime: 90}"),
            "spec.replicas.leadTime: must be a duration such as 90s, 15m, 1h30m or 500ms "
            "(got 90, line 6); write 90s for seconds, 90ms for milliseconds",
            id="a bare number as a length of time",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {max: ten}"),
            'spec.replicas.max: must be a whole number (got "ten", line 6)',
            id="text where a number belongs",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: {max: 2.5}"),
            "spec.replicas.max: must be a whole number (got 2.5, line 6)",
            id="half a replica",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: .inf}\nreplicas: {max: 2}"),
            "spec.capacity.requestsPerReplica: must be a finite number (got Infinity, line 5)",
            id="infinite capacity",
        ),
        pytest.param(
            bare("capacity: {requestsPerReplica: 50}\nreplicas: 3"),
            "spec.replicas: must be a mapping (got 3, line 6)",
            id="a number where a section belongs",
        ),
        pytest.param(
            text("simulation: {serviceTime: 500ms}"),
            "spec.simulation.serviceTime: must be so short that an idle replica meets the SLO, "
            'which is 0.999 of the requests within 0.5s (got "500ms", line 7); a tenth of that '
            "latency is usual",
            id="a service that cannot keep its SLO even when idle",
        ),
        pytest.param(
            text().replace("v1alpha1", "v1"),
            "apiVersion: must be 'tidegate.dev/v1alpha1' (got \"tidegate.dev/v1\", line 1)",
            id="another version",
        ),
        pytest.param(
            text().replace("name: checkout", "name: Check_Out"),
            "metadata.name: must be lower-case letters, digits, '-' and '.', 253 characters at most"
            ' (got "Check_Out", line 3)',
            id="a name that Kubernetes does not take",
        ),
        pytest.param(
            "kind: Deployment\nspec: {replicas: 3}",
            'kind: must be DemandPolicy (got "Deployment", line 1); keep other objects in other '
            "files",
            id="another kind, and no other fault",
        ),
    ],
)
def test_a_fault_names_path_rule_value_line_and_fix(written, expected):
    assert faults(written) == [expected]


def test_all_faults_of_a_document_are_listed_at_once_in_order_of_lines():
    written = bare(
        "mode: Off\n"
        "demand: {risk: 2}\n"
        "slo: {latency: 300ms}\n"
        "capacity: {requestsPerReplica: 0}\n"
        "replicas: {min: 3, max: 1, payback: soon}\n"
        "limit: {headroom: 2}\n"
        "hpa: {maxReplicas: 0}\n"
        "simulation: {ramp: 5}\n"
    )

    assert [fault.partition(": ")[0] for fault in faults(written)] == [
        "spec.mode",
        "spec.demand.risk",
        "spec.slo.query",
        "spec.capacity.requestsPerReplica",
        "spec.replicas.max",
        "spec.replicas.payback",
        "spec.limit.headroom",
        "spec.hpa.maxReplicas",
        "spec.simulation.ramp",
    ]


def test_one_wrong_key_of_a_section_hides_no_rule_across_its_keys():
    found = faults(
        text("demand:\n  risk: 2\n  events: [{name: a, starts: noon, ends: noon, qps: -1}]")
    )

    assert len(found) == 4  # risk, starts, ends, qps


def test_a_key_given_twice_is_refused_with_both_lines():
    written = bare("capacity: {requestsPerReplica: 5}\nreplicas:\n  max: 4\n  min: 1\n  max: 5")

    assert faults(written) == ["spec.replicas.max: is given twice (line 7 and 9); keep one"]


def test_a_long_value_is_cut():
    (fault,) = faults(text(f"mode: {'x' * 500}"))

    assert len(fault) < 160
    assert "xxx..., line 7)" in fault
