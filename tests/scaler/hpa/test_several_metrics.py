"""Several metrics: the highest wish counts, and where one fails the others only raise.

By `computeReplicasForMetrics` in kubernetes/kubernetes, `pkg/controller/podautoscaler`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.controller import (
    DEFAULT_SCALE_DOWN,
    HPA,
    HPASpec,
    MetricGoal,
    MetricKind,
    Reading,
    Reason,
    ScalingRules,
)

AT_ONCE = ScalingRules(DEFAULT_SCALE_DOWN.policies)
RATE = MetricGoal(MetricKind.EXTERNAL_AVERAGE, 50)


def cpu_and_rate(low=1):
    """CPU at 60 % of the request and 50 requests per second; it is scaled down at once."""
    return HPA(HPASpec(low, 40, MetricKind.UTILIZATION, 0.6, None, AT_ONCE, more=(RATE,)))


def synced(one, current, cpu, rate, now=0.0):
    """Return one sync's result: CPU in requests over all pods, requests per second; None: fails."""
    first = None if cpu is None else Reading(cpu, ready=current)
    second = None if rate is None else Reading(rate, ready=current)
    return one.sync(now, current, first, more=[second])


@pytest.mark.parametrize(
    ("cpu", "rate", "expected"),
    [
        pytest.param(3.0, 100, 5, id="the CPU asks for more"),  # ceil(4 x 75/60); 100/50 = 2
        pytest.param(1.2, 300, 6, id="the rate asks for more"),  # 4 x 30/60 = 2; 300/50
        pytest.param(1.2, 150, 3, id="both ask for fewer: the more of it"),  # 2 and 3
        pytest.param(2.5, 100, 4, id="one within its tolerance: the count"),  # 62/60
        pytest.param(3.0, None, 5, id="one fails: the other raises"),
        pytest.param(None, 300, 6, id="the first fails: the other raises"),
        pytest.param(2.5, None, 4, id="one fails: the other holds"),
        pytest.param(1.2, None, 4, id="one fails: the other lowers nothing"),
        pytest.param(None, 100, 4, id="the first fails: the other lowers nothing"),
        pytest.param(None, None, 4, id="both fail"),
    ],
)
def test_the_highest_wish_counts(cpu, rate, expected):
    one = cpu_and_rate()
    synced(one, 4, 2.4, 200, -3600)  # as many as there are
    found = synced(one, 4, cpu, rate)
    assert found.replicas == expected
    failed = None in (cpu, rate) and (cpu, rate) not in ((3.0, None), (None, 300), (2.5, None))
    assert (found.reason is Reason.FAILED_GET_METRIC) is failed


def test_a_wish_that_fails_is_no_recommendation():
    one = cpu_and_rate()
    for i in range(25):
        assert synced(one, 10, 1.0, None, 15.0 * i).replicas == 10
    assert synced(one, 10, 1.0, 100, 375.0).replicas == 2  # nothing of the time before holds it


def test_pods_without_a_sample_are_a_metric_that_fails():
    one = cpu_and_rate()
    synced(one, 4, 2.4, 200, -3600)
    found = one.sync(0.0, 4, Reading(0, 0, unready=4), more=[Reading(100, ready=0)])
    assert found.replicas == 4


def test_it_sleeps_if_one_of_its_metrics_is_not_of_its_pods():
    one = cpu_and_rate(low=0)
    synced(one, 1, 0.6, 50, -3600)
    assert synced(one, 1, 0.0, 0).replicas == 0
    assert one.sync(15.0, 0, Reading(0, ready=0), more=[Reading(120, ready=0)]).replicas == 3


@pytest.mark.parametrize("target", [0.0, float("nan")])
def test_each_target_is_checked(target):
    with pytest.raises(ValueError, match="target is"):
        MetricGoal(MetricKind.PODS, target)


readings = st.none() | st.builds(Reading, st.floats(0, 4000), ready=st.just(4))


@given(readings, readings)
def test_two_metrics_never_have_fewer_than_either_alone(first, second):
    goals = MetricGoal(MetricKind.PODS, 50), MetricGoal(MetricKind.EXTERNAL_VALUE, 200)

    def alone(goal, reading):
        return HPA(HPASpec(1, 60, goal.metric, goal.target)).sync(0.0, 4, reading).replicas

    spec = HPASpec(1, 60, goals[0].metric, goals[0].target, more=goals[1:])
    both = HPA(spec).sync(0.0, 4, first, more=[second]).replicas
    assert both == max(alone(goals[0], first), alone(goals[1], second))
