"""The spec of a HorizontalPodAutoscaler is converted for the replay, or refused by field."""

from __future__ import annotations

import pytest

from scaler.hpa.rules import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPASpec,
    MetricGoal,
    MetricKind,
    PolicyKind,
    ScalingPolicy,
    Select,
)
from scaler.policy.faults import without_effect
from tests.scaler.policy.samples import accepted, faults, text

CPU = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}"


def written(*lines: str) -> str:
    return text("hpa:\n" + "\n".join(f"  {line}" for line in ("maxReplicas: 60", *lines)))


def spec_of(*lines: str) -> HPASpec:
    spec = accepted(written(*lines)).to_settings().hpa
    assert spec is not None
    return spec


def test_a_policy_without_an_autoscaler_has_none():
    assert accepted(text()).to_settings().hpa is None


def test_a_manifest_has_the_defaults_of_the_api_server():
    assert spec_of() == HPASpec(1, 60, MetricKind.UTILIZATION, 0.8)


@pytest.mark.parametrize(
    ("metric", "kind", "target"),
    [
        pytest.param(CPU, MetricKind.UTILIZATION, 0.6, id="cpu utilization in per cent"),
        pytest.param(
            "{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: "
            "1500m}}}",
            MetricKind.PODS,
            1.5,
            id="a value per pod",
        ),
        pytest.param(
            "{type: External, external: {metric: {name: rps, selector: {matchLabels: {a: b}}}, "
            'target: {type: AverageValue, averageValue: "40"}}}',
            MetricKind.EXTERNAL_AVERAGE,
            40.0,
            id="an external value per replica, as KEDA writes it",
        ),
        pytest.param(
            "{type: External, external: {metric: {name: rps}, target: {type: Value, value: 1k}}}",
            MetricKind.EXTERNAL_VALUE,
            1000.0,
            id="an external value as a whole",
        ),
    ],
)
def test_each_kind_of_metric_has_its_target(metric, kind, target):
    spec = spec_of(f"metrics: [{metric}]")

    assert (spec.metric, spec.target) == (kind, target)


def test_a_direction_that_is_given_in_part_keeps_the_other_defaults():
    spec = spec_of(
        "behavior:",
        "  scaleUp: {stabilizationWindowSeconds: 30, tolerance: 50m}",
        "  scaleDown:",
        "    selectPolicy: Min",
        "    policies: [{type: Pods, value: 2, periodSeconds: 60}]",
    )

    assert (spec.scale_up.stabilization_s, spec.scale_up.tolerance) == (30, 0.05)
    assert spec.scale_up.policies == DEFAULT_SCALE_UP.policies
    assert spec.scale_down.policies == (ScalingPolicy(PolicyKind.PODS, 2, 60.0),)
    assert spec.scale_down.select is Select.MIN
    assert spec.scale_down.stabilization_s == DEFAULT_SCALE_DOWN.stabilization_s


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["metrics: null"], id="no metrics"),
        pytest.param(["behavior: null"], id="no behavior"),
        pytest.param(["minReplicas: null"], id="a number"),
        pytest.param(["scaleTargetRef: {apiVersion: null, kind: a, name: b}"], id="a name"),
    ],
)
def test_null_is_taken_for_absent_as_by_the_api_server(lines):
    assert spec_of(*lines) == spec_of()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["behavior: {}"], id="empty"),
        pytest.param(["behavior: {scaleUp: {}}"], id="one direction, empty"),
        pytest.param(["behavior: {scaleDown: null, scaleUp: {policies: null}}"], id="null in it"),
    ],
)
def test_a_behavior_is_filled_in_by_the_api_server_and_an_absent_one_stays_absent(lines):
    filled = spec_of(*lines)

    assert (filled.scale_up, filled.scale_down) == (DEFAULT_SCALE_UP, DEFAULT_SCALE_DOWN)
    assert filled.has_behavior
    assert not spec_of().has_behavior


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param(
            "targetCPUUtilizationPercentage: 70",
            HPASpec(1, 60, MetricKind.UTILIZATION, 0.7),
            id="autoscaling/v1",
        ),
        pytest.param(
            "metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 70}}]",
            HPASpec(1, 60, MetricKind.UTILIZATION, 0.7),
            id="v2beta1, cpu",
        ),
        pytest.param(
            "metrics: [{type: Pods, pods: {metricName: rps, targetAverageValue: 1500m}}]",
            HPASpec(1, 60, MetricKind.PODS, 1.5),
            id="v2beta1, a value per pod",
        ),
        pytest.param(
            "metrics: [{type: External, external: {metricName: rps, metricSelector: "
            "{matchLabels: {a: b}}, targetAverageValue: 40}}]",
            HPASpec(1, 60, MetricKind.EXTERNAL_AVERAGE, 40.0),
            id="v2beta1, an external value per replica",
        ),
        pytest.param(
            "metrics: [{type: External, external: {metricName: rps, targetValue: 1k}}]",
            HPASpec(1, 60, MetricKind.EXTERNAL_VALUE, 1000.0),
            id="v2beta1, an external value as a whole",
        ),
        pytest.param(
            f"metrics: [{CPU}]",
            HPASpec(1, 60, MetricKind.UTILIZATION, 0.6),
            id="v2beta2, which has the fields of v2",
        ),
    ],
)
def test_a_manifest_of_an_older_version_is_converted(metrics, expected):
    assert spec_of(metrics) == expected


MEMORY = CPU.replace("cpu", "memory")
BY_POD = "{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: %s}}}"
QUEUE = BY_POD.replace("rps", "queue_depth") % 20
KEDA = (
    "{type: External, external: {metric: {name: s0-prometheus}, target: {type: AverageValue, "
    "averageValue: 45}}}"
)
CPU_GOAL, MODELS = MetricGoal(MetricKind.UTILIZATION, 0.6), "spec.hpa.metrics: a replay models no "


@pytest.mark.parametrize(
    ("metrics", "goals"),
    [
        # 50 requests per replica at 60 % are 30
        pytest.param([BY_POD % 40, CPU], [CPU_GOAL, MetricGoal(MetricKind.PODS, 40)], id="cpu"),
        pytest.param([CPU, BY_POD % 20], [MetricGoal(MetricKind.PODS, 20), CPU_GOAL], id="a rate"),
        pytest.param(
            [CPU, KEDA],
            [CPU_GOAL, MetricGoal(MetricKind.EXTERNAL_AVERAGE, 45)],
            id="cpu, beside KEDA's trigger",
        ),
    ],
)
def test_of_several_metrics_all_count_and_the_one_that_asks_for_most_is_the_first(metrics, goals):
    written_policy = accepted(written(f"metrics: [{', '.join(metrics)}]"))
    spec = written_policy.to_hpa()

    assert spec is not None
    assert list(spec.goals) == goals
    assert list(without_effect(written_policy)) == []


@pytest.mark.parametrize(
    ("metrics", "goal", "left_out"),
    [
        pytest.param([CPU, MEMORY], CPU_GOAL, "memory", id="memory"),
        pytest.param(
            ["{type: Object, object: {}}", BY_POD % 40],
            MetricGoal(MetricKind.PODS, 40.0),
            "Object",
            id="an object",
        ),
        pytest.param([QUEUE, CPU], CPU_GOAL, "queue_depth", id="a value per pod of another kind"),
        pytest.param([CPU, QUEUE, MEMORY], CPU_GOAL, "memory, queue_depth", id="two"),
    ],
)
def test_a_metric_that_requests_do_not_tell_is_left_out_with_a_warning(metrics, goal, left_out):
    written_policy = accepted(written(f"metrics: [{', '.join(metrics)}]"))
    spec = written_policy.to_hpa()

    assert spec is not None
    assert spec.goals == (goal,)
    assert list(without_effect(written_policy)) == [
        f"{MODELS}{left_out}; it follows the other metrics"
    ]


def test_the_only_metric_left_is_taken_to_be_the_requests_whatever_its_name():
    spec = spec_of(f"metrics: [{MEMORY}, {QUEUE}]")
    assert spec.goals == (MetricGoal(MetricKind.PODS, 20.0),)


def test_an_autoscaler_that_may_sleep_is_taken():
    assert spec_of("minReplicas: 0").min_replicas == 0


def test_the_scale_target_of_a_manifest_is_ignored():
    assert spec_of("scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}") == spec_of()


PODS = "{type: Pods, pods: {metric: {name: rps}, target: "


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "minReplicas: 61",
            "spec.hpa.maxReplicas: must be at least minReplicas, which is 61 (got 60, line 8); "
            "swap the two?",
            id="min above max",
        ),
        pytest.param(
            "targetCPUUtilizationPercentage: 0",
            "spec.hpa.metrics[0].resource.target.averageUtilization: must be at least 1 (line 7)",
            id="a target of nothing in v1",
        ),
        pytest.param(
            "metrics: [{type: Object, object: {}}]",
            "spec.hpa.metrics[0].type: must be Resource, Pods or External "
            '(got "Object", line 9); a replay models no other metric',
            id="a metric of an object",
        ),
        pytest.param(
            f"metrics: [{CPU.replace('cpu', 'memory')}]",
            'spec.hpa.metrics[0].resource.name: must be cpu (got "memory", line 9); a replay '
            "models no other resource",
            id="memory",
        ),
        pytest.param(
            "metrics: [{type: Resource}]",
            "spec.hpa.metrics[0].resource: is missing, but type is Resource (line 9); add it",
            id="the metric itself is missing",
        ),
        pytest.param(
            f"metrics: [{PODS}{{type: AverageValue}}}}}}]",
            "spec.hpa.metrics[0].pods.target.averageValue: is missing, but type is AverageValue "
            "(line 9); add it",
            id="the target is missing",
        ),
        pytest.param(
            f"metrics: [{PODS}{{type: AverageValue, averageValue: 1, value: 2}}}}}}]",
            "spec.hpa.metrics[0].pods.target.value: must not be given where type is AverageValue "
            "(got 2, line 9); remove it",
            id="two targets",
        ),
        pytest.param(
            f"metrics: [{PODS}{{type: Value, value: 2}}}}}}]",
            "spec.hpa.metrics[0].pods: must have a target of type AverageValue (line 9); a replay "
            "models no other",
            id="a kind of target that the metric does not have",
        ),
        pytest.param(
            f"metrics: [{PODS}{{type: AverageValue, averageValue: 5x}}}}}}]",
            "spec.hpa.metrics[0].pods.target.averageValue: must be a Kubernetes quantity such as "
            '55, "1500m" or "1k" (got "5x", line 9)',
            id="a malformed quantity",
        ),
        pytest.param(
            f"metrics: [{PODS}{{type: AverageValue, averageValue: 0}}}}}}]",
            "spec.hpa.metrics[0].pods.target.averageValue: must be at least 1m, which is 0.001 "
            "(got 0, line 9)",
            id="a target of nothing",
        ),
        pytest.param(
            "behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 1801}]}}",
            "spec.hpa.behavior.scaleUp.policies[0].periodSeconds: must be at most 1800 "
            "(got 1801, line 9)",
            id="a period longer than the API takes",
        ),
        pytest.param(
            "behavior: {scaleUp: {policies: []}}",
            "spec.hpa.behavior.scaleUp.policies: must not be empty (line 9); leave the key out "
            "instead",
            id="no policies",
        ),
        pytest.param(
            "behavior: {scaleup: {}}",
            "spec.hpa.behavior.scaleup: is no key of spec.hpa.behavior (line 9); did you mean "
            "scaleUp?",
            id="a misspelt direction",
        ),
        pytest.param(
            "spec: {maxReplicas: 4}",
            "spec.hpa: must be the content of `spec:` in the manifest (line 7); leave out the rest",
            id="the whole manifest",
        ),
    ],
)
def test_what_a_replay_does_not_model_is_refused_and_not_ignored(line, expected):
    assert faults(written(line)) == [expected]


def test_a_fault_beside_a_metric_that_is_left_out_is_told_with_its_place():
    wrong = CPU.replace("60", "0")
    found = faults(written(f"metrics: [{{type: Object, object: {{}}}}, {wrong}]"))
    assert any("metrics[1].resource.target.averageUtilization: must be" in one for one in found)
