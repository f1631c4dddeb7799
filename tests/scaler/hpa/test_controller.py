"""The controller's sync, row by row: bounds, missing metrics, stabilization, policies."""

import pytest

from scaler.hpa.controller import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPA,
    HPASpec,
    MetricKind,
    PolicyKind,
    Reading,
    Reason,
    Recommendation,
    ScalingPolicy,
    ScalingRules,
    Select,
)

DISABLED = ScalingRules((), Select.DISABLED, tolerance=0)


def pods(value, period_s=60):
    return ScalingPolicy(PolicyKind.PODS, value, period_s)


def percent(value, period_s=60):
    return ScalingPolicy(PolicyKind.PERCENT, value, period_s)


def rules(*policies, select=Select.MAX, stabilization_s=0.0):
    return ScalingRules(policies, select, stabilization_s, tolerance=0)


FREE = rules(percent(10_000, 15))  # everything may come, or go, at once


def hpa(up=FREE, down=FREE, low=2, high=40):
    """An HPA whose metric is the number of replicas wanted."""
    return HPA(HPASpec(low, high, MetricKind.EXTERNAL_AVERAGE, 1, up, down))


def want(replicas):
    return None if replicas is None else Reading(replicas, ready=1)


def replay(hpa, start, recommendations):
    """Return the count after each (time, replicas wanted)."""
    counts = [start]
    for now, wanted in recommendations:
        counts.append(hpa.sync(now, counts[-1], want(wanted)).replicas)
    return counts[1:]


@pytest.mark.parametrize(
    ("current", "wanted", "floor", "expected"),
    [
        pytest.param(5, 9, None, (9, 9, Reason.DESIRED_WITHIN_RANGE), id="as wanted"),
        pytest.param(5, 5, None, (5, 5, Reason.DESIRED_WITHIN_RANGE), id="nothing to do"),
        pytest.param(5, 99, None, (40, 99, Reason.TOO_MANY_REPLICAS), id="at most the maximum"),
        pytest.param(5, 0, None, (2, 0, Reason.TOO_FEW_REPLICAS), id="at least the minimum"),
        pytest.param(50, 99, None, (40, 50, Reason.TOO_MANY_REPLICAS), id="above max: to max"),
        pytest.param(1, 9, None, (2, 1, Reason.TOO_FEW_REPLICAS), id="below min: to min first"),
        pytest.param(5, None, None, (5, 5, Reason.FAILED_GET_METRIC), id="no metric: stays"),
        pytest.param(50, None, None, (40, 50, Reason.TOO_MANY_REPLICAS), id="no metric: max holds"),
        pytest.param(5, None, 12, (12, 5, Reason.TOO_FEW_REPLICAS), id="no metric: floor holds"),
        pytest.param(12, None, 12, (12, 12, Reason.FAILED_GET_METRIC), id="no metric: at floor"),
        pytest.param(20, None, 12, (20, 20, Reason.FAILED_GET_METRIC), id="no metric: not down"),
        pytest.param(20, 5, 12, (12, 5, Reason.TOO_FEW_REPLICAS), id="never below a raised floor"),
        pytest.param(20, 15, 12, (15, 15, Reason.DESIRED_WITHIN_RANGE), id="above it as wanted"),
        pytest.param(5, 5, 99, (40, 5, Reason.TOO_FEW_REPLICAS), id="a floor over max is max"),
        pytest.param(5, 0, 1, (2, 0, Reason.TOO_FEW_REPLICAS), id="a floor under min is min"),
        pytest.param(0, 9, None, (0, 0, Reason.SCALING_DISABLED), id="none: switched off"),
        pytest.param(0, 9, 12, (0, 0, Reason.SCALING_DISABLED), id="none: no floor either"),
    ],
)
def test_bounds_come_first_and_need_no_metric(current, wanted, floor, expected):
    found = hpa().sync(0, current, want(wanted), floor=floor)
    assert found == Recommendation(*expected)


def test_a_floor_is_neither_stabilized_nor_limited():
    slow = hpa(up=rules(pods(1), stabilization_s=3600), down=DISABLED)
    assert slow.sync(0, 5, want(5), floor=30).replicas == 30


def test_after_a_floor_is_lowered_the_count_stays_until_there_is_a_metric():
    one = hpa()
    assert one.sync(0, 5, None, floor=12).replicas == 12
    assert one.sync(15, 12, None).replicas == 12
    assert one.sync(30, 12, want(5)).replicas == 5


@pytest.mark.parametrize("kind", [MetricKind.PODS, MetricKind.UTILIZATION])
def test_without_a_pod_that_has_a_sample_there_is_no_metric(kind):
    one = HPA(HPASpec(2, 40, kind, 0.5))
    assert one.sync(0, 5, Reading(0, 0, unready=5)).reason is Reason.FAILED_GET_METRIC


@pytest.mark.parametrize(
    ("current", "up", "expected"),
    [
        pytest.param(1, DEFAULT_SCALE_UP, 5, id="default: four more from 1"),  # max(2, 1 + 4)
        pytest.param(4, DEFAULT_SCALE_UP, 8, id="default: either from 4"),
        pytest.param(10, DEFAULT_SCALE_UP, 20, id="default: twice as many from 10"),
        pytest.param(10, rules(percent(100), pods(4), select=Select.MIN), 14, id="the least of 2"),
        pytest.param(2, rules(percent(100), pods(4), select=Select.MIN), 4, id="the other least"),
        pytest.param(1, rules(percent(10)), 2, id="per cent round up"),  # ceil(1.1)
        pytest.param(15, rules(percent(10)), 17, id="per cent round up again"),  # ceil(16.5)
        pytest.param(100, rules(percent(10)), 111, id="in floats"),  # ceil(110.00000000000001)
        pytest.param(10, DISABLED, 10, id="disabled"),
    ],
)
def test_a_scale_up_is_limited_by_its_policies(current, up, expected):
    found = hpa(up=up, low=1, high=500).sync(0, current, want(400))
    assert found == Recommendation(expected, 400, Reason.SCALE_UP_LIMIT)


@pytest.mark.parametrize(
    ("current", "down", "expected"),
    [
        pytest.param(80, rules(pods(4), percent(10)), 72, id="the documented 80 to 72"),
        pytest.param(72, rules(pods(4), percent(10)), 64, id="8 of 72"),  # int(64.8)
        pytest.param(30, rules(pods(4), percent(10)), 26, id="the pods below 40"),  # 30 - 4 < 27
        pytest.param(80, rules(pods(5), percent(10), select=Select.MIN), 75, id="the least of 2"),
        pytest.param(20, rules(pods(5), percent(10), select=Select.MIN), 18, id="the other least"),
        pytest.param(15, DISABLED, 15, id="disabled"),
    ],
)
def test_a_scale_down_is_limited_by_its_policies(current, down, expected):
    found = hpa(down=down, high=100).sync(0, current, want(10))
    assert found == Recommendation(expected, 10, Reason.SCALE_DOWN_LIMIT)


def test_by_default_all_pods_above_the_minimum_may_be_removed_at_once():
    down = ScalingRules(DEFAULT_SCALE_DOWN.policies, tolerance=0)
    assert hpa(down=down).sync(0, 40, want(0)).replicas == 2


def test_a_limit_at_the_bound_is_named_after_the_bound():
    assert hpa(up=DEFAULT_SCALE_UP).sync(0, 20, want(99)) == Recommendation(
        40, 99, Reason.TOO_MANY_REPLICAS
    )
    assert hpa(down=rules(pods(4))).sync(0, 6, want(0)) == Recommendation(
        2, 0, Reason.TOO_FEW_REPLICAS
    )


@pytest.mark.parametrize(
    ("up", "down", "start", "wanted", "expected"),
    [
        pytest.param(
            rules(pods(4)), FREE, 10, 40, [14, 14, 14, 14, 18, 18], id="four pods a minute"
        ),
        pytest.param(
            FREE, rules(percent(10)), 80, 10, [72, 72, 72, 72, 64, 64], id="10 % a minute"
        ),
        pytest.param(
            # t=15: min(12 + 2, 10 + 3); t=60: min(13 + 2, 13 - 1 + 3); t=75: min(17, 15 - 2 + 3)
            rules(pods(2, 15), pods(3, 60), select=Select.MIN),
            FREE,
            10,
            40,
            [12, 13, 13, 13, 15, 16],
            id="two a sync but three a minute",
        ),
    ],
)
def test_a_period_counts_from_the_changes_within_it(up, down, start, wanted, expected):
    found = replay(hpa(up, down, high=100), start, [(15 * i, wanted) for i in range(6)])
    assert found == expected


def test_pods_removed_within_the_period_may_be_added_again():
    one = hpa(up=rules(pods(2)))
    assert replay(one, 10, [(0, 6), (15, 40)]) == [6, 12]  # 6 + the 4 that left + 2


def test_pods_added_within_the_period_may_be_removed_again():
    one = hpa(down=rules(pods(2)))
    assert replay(one, 10, [(0, 16), (15, 3)]) == [16, 8]  # 16 - the 6 that came - 2


def test_a_jump_to_the_floor_uses_the_policies_up():
    one = hpa(up=rules(pods(4)))
    assert one.sync(0, 5, None, floor=12).replicas == 12
    # 12 - 7 + 4 = 9: no more may come before the jump leaves the minute
    assert one.sync(15, 12, want(40)) == Recommendation(12, 40, Reason.SCALE_UP_LIMIT)
    assert one.sync(60, 12, want(40)).replicas == 16


def test_a_change_older_than_its_own_policies_may_be_overwritten():
    one = hpa(up=rules(pods(2, 15)), down=rules(pods(3, 600)))
    # The +2 of t=0 gives its place to the +2 of t=30: 14 - 2 - 3 = 9, not 14 - 4 - 3 = 7.
    assert replay(one, 10, [(0, 40), (30, 40), (45, 5)]) == [12, 14, 9]


def test_a_scale_down_waits_until_the_higher_recommendation_is_as_old_as_the_window():
    one = hpa(down=rules(percent(100), stabilization_s=300))
    found = [one.sync(15.0 * i, 10, want(5)) for i in range(21)]
    # The count at the first sync is a recommendation too; at t=300 it has left the window.
    assert found == 20 * [Recommendation(10, 5, Reason.SCALE_DOWN_STABILIZED)] + [
        Recommendation(5, 5, Reason.DESIRED_WITHIN_RANGE)
    ]


def test_a_scale_down_goes_to_the_highest_recommendation_of_its_window():
    one = hpa(down=rules(percent(100), stabilization_s=300))
    recommendations = [(0, 10), (150, 8), (200, 3), (300, 5), (450, 4), (600, 4)]
    # t=300: 8 of t=150 is left; t=450: 5 of t=300; t=600: 4 of t=450 and now
    assert replay(one, 10, recommendations) == [10, 10, 10, 8, 5, 4]


def test_a_scale_up_waits_for_the_lowest_recommendation_of_its_window():
    one = hpa(up=rules(percent(900), stabilization_s=60))
    recommendations = [(0, 10), (30, 7), (45, 10), (60, 10), (90, 10)]
    # t=60: the count of t=0 has left, 7 of t=30 has not
    assert replay(one, 4, recommendations) == [4, 4, 4, 7, 10]


def test_a_stabilized_scale_up_has_its_own_reason():
    one = hpa(up=rules(percent(900), stabilization_s=60))
    assert one.sync(0, 4, want(10)) == Recommendation(4, 10, Reason.SCALE_UP_STABILIZED)


def test_a_sync_without_a_metric_adds_no_recommendation():
    one = hpa(down=rules(percent(100), stabilization_s=300))
    recommendations = [(0, None), *((15 * i, None) for i in range(1, 20)), (300, 5)]
    assert replay(one, 10, recommendations)[-2:] == [10, 5]


def test_the_limit_is_named_before_the_stabilization():
    one = hpa(up=rules(pods(2), stabilization_s=60))
    one.sync(0, 20, want(20))
    # The window allows 20, the policy 12.
    assert one.sync(15, 10, want(30)) == Recommendation(12, 30, Reason.SCALE_UP_LIMIT)


def test_time_does_not_run_backwards():
    one = hpa()
    one.sync(30, 5, want(5))
    with pytest.raises(ValueError, match="now is 15, but the previous sync was at 30"):
        one.sync(15, 5, want(5))


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="current is -1"):
        hpa().sync(0, -1, want(5))


@pytest.mark.parametrize(
    ("metric", "current", "wanted", "expected"),
    [
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 1, 0, 0, id="it goes to sleep"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 0, 0, 0, id="and sleeps on"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 0, 3, 3, id="and is woken by its metric"),
        pytest.param(MetricKind.EXTERNAL_VALUE, 0, 2.5, 3, id="a value as a whole: its ratio"),
        pytest.param(MetricKind.PODS, 1, 0, 1, id="without pods, their metric would say nothing"),
    ],
)
def test_a_minimum_of_0_is_reached_by_a_metric_of_others(metric, current, wanted, expected):
    sleeper = HPA(HPASpec(0, 40, metric, 1, DEFAULT_SCALE_UP, FREE))
    assert sleeper.sync(0.0, current, Reading(wanted, ready=current)).replicas == expected
