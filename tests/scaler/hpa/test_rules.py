"""The HPA's values refuse impossible input; which pods count as unready for a CPU metric."""

import math

import pytest

from scaler.hpa.rules import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPASpec,
    MetricKind,
    PolicyKind,
    Reading,
    ScalingPolicy,
    ScalingRules,
    Select,
)

SPEC = HPASpec(1, 10, MetricKind.UTILIZATION, 0.6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: HPASpec(-1, 5, MetricKind.PODS, 1), "min_replicas is -1", id="min -1"),
        pytest.param(lambda: HPASpec(6, 5, MetricKind.PODS, 1), "max_replicas is 5", id="min>max"),
        pytest.param(lambda: HPASpec(1, 5, MetricKind.PODS, 0), "target is 0", id="target 0"),
        pytest.param(
            lambda: HPASpec(1, 5, MetricKind.PODS, math.nan), "target is nan", id="target NaN"
        ),
        pytest.param(
            lambda: HPASpec(1, 5, MetricKind.UTILIZATION, 0.625),
            "write 0.62 or 0.63",
            id="half a per cent",
        ),
        pytest.param(
            lambda: HPASpec(1, 5, MetricKind.PODS, 1, sync_s=0), "sync_s is 0", id="no time"
        ),
        pytest.param(
            lambda: HPASpec(1, 5, MetricKind.PODS, 1, cpu_initialization_s=-1),
            "cpu_initialization_s is -1",
            id="a negative period",
        ),
        pytest.param(lambda: ScalingPolicy(PolicyKind.PODS, 0, 15), "value is 0", id="value 0"),
        pytest.param(
            lambda: ScalingPolicy(PolicyKind.PODS, 1, 1801),
            r"period_s is 1801",
            id="period > 1/2 h",
        ),
        pytest.param(lambda: ScalingRules(()), "give at least one", id="no policy"),
        pytest.param(
            lambda: ScalingRules((), Select.DISABLED, 3601),
            "stabilization_s is 3601",
            id="a window over an hour",
        ),
        pytest.param(
            lambda: ScalingRules((), Select.DISABLED, tolerance=-0.1),
            "tolerance is -0.1",
            id="a negative tolerance",
        ),
        pytest.param(lambda: Reading(math.nan, 1), "total is nan", id="NaN is no reading"),
        pytest.param(lambda: Reading(-1, 1), "total is -1", id="a negative sum"),
        pytest.param(lambda: Reading(1, 1, missing=-1), "below 0", id="pods below 0"),
    ],
)
def test_an_impossible_value_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_default_behaviour_is_the_documented_one():
    assert [(p.kind, p.value, p.period_s) for p in DEFAULT_SCALE_UP.policies] == [
        (PolicyKind.PERCENT, 100, 15),
        (PolicyKind.PODS, 4, 15),
    ]
    assert [(p.kind, p.value, p.period_s) for p in DEFAULT_SCALE_DOWN.policies] == [
        (PolicyKind.PERCENT, 100, 15)
    ]
    assert (DEFAULT_SCALE_UP.stabilization_s, DEFAULT_SCALE_DOWN.stabilization_s) == (0, 300)
    assert DEFAULT_SCALE_UP.select is DEFAULT_SCALE_DOWN.select is Select.MAX
    assert DEFAULT_SCALE_UP.tolerance == DEFAULT_SCALE_DOWN.tolerance == 0.1
