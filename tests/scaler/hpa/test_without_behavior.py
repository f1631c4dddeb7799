"""An HPA without `behavior`: the controller's other path, by its source and by its own tables.

The rows that name a test are those of kubernetes/kubernetes,
`pkg/controller/podautoscaler/horizontal_test.go`; the others are computed by hand from
`normalizeDesiredReplicas` in horizontal.go.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.controller import (
    DEFAULT_SCALE_UP,
    HPA,
    HPASpec,
    MetricKind,
    Reading,
    Reason,
    Recommendation,
)


def hpa(low=1, high=100, target=1):
    """An HPA whose metric is by default the number of replicas wanted."""
    return HPA(HPASpec(low, high, MetricKind.EXTERNAL_AVERAGE, target))


def counts(one, start, readings):
    """Return the count after each (time, value of the metric)."""
    found = [start]
    for now, value in readings:
        reading = None if value is None else Reading(value, ready=found[-1])
        found.append(one.sync(now, found[-1], reading).replicas)
    return found


def test_a_wish_of_one_sync_is_still_carried_out_after_it_is_gone():
    rates = [1500, 200, 200, 200, 200]  # 1500 / 50 = 30
    readings = [(15 * i, rate) for i, rate in enumerate(rates)]
    assert counts(hpa(target=50), 4, readings) == [4, 8, 16, 30, 30, 30]
    given_defaults = replace(hpa(target=50).spec, scale_up=DEFAULT_SCALE_UP)
    assert counts(HPA(given_defaults), 4, readings) == [4, 8, 8, 8, 8, 8]


@pytest.mark.parametrize(
    ("current", "wanted", "low", "high", "expected"),
    [
        pytest.param(5, 7, 3, 8, (7, Reason.DESIRED_WITHIN_RANGE), id="within the range"),
        pytest.param(3, 1000, 1, 2000, (6, Reason.SCALE_UP_LIMIT), id="twice as many"),
        pytest.param(1, 1000, 1, 2000, (4, Reason.SCALE_UP_LIMIT), id="four from 1, not 5"),
        pytest.param(2, 1000, 1, 2000, (4, Reason.SCALE_UP_LIMIT), id="four from 2, not 6"),
        pytest.param(0, 1000, 0, 2000, (4, Reason.SCALE_UP_LIMIT), id="four from none"),
        pytest.param(20, 1000, 1, 30, (30, Reason.TOO_MANY_REPLICAS), id="max under the limit"),
        pytest.param(20, 1000, 1, 40, (40, Reason.TOO_MANY_REPLICAS), id="max at the limit"),
        pytest.param(1, 1000, 1, 3, (3, Reason.TOO_MANY_REPLICAS), id="max under four"),
    ],
)
def test_the_count_is_held_within_limits(current, wanted, low, high, expected):
    """Rows 1 and 5 are of TestConvertDesiredReplicasWithRules; 3 in it is a limit of 6."""
    found = hpa(low, high).sync(0, current, Reading(wanted, ready=1))
    assert (found.replicas, found.reason) == expected


def test_the_minimum_holds_after_the_window():
    """Row 2 of TestConvertDesiredReplicasWithRules: 3 pods, 1 wanted, at least 2."""
    one = hpa(2, 8)
    one.sync(0, 3, Reading(1, ready=1))
    found = one.sync(301, 3, Reading(1, ready=1))
    assert found == Recommendation(2, 1, Reason.TOO_FEW_REPLICAS)


@pytest.mark.parametrize(
    ("earlier", "wanted", "expected"),
    [
        pytest.param([], 5, 5, id="empty log"),
        pytest.param([(-120, 4), (-60, 5)], 3, 5, id="stabilize"),
        pytest.param([(-120, 1), (-60, 2)], 3, 3, id="no stabilize"),
        pytest.param([(-600, 10), (-540, 9)], 3, 3, id="no stabilize - old recommendations"),
        pytest.param(
            [(-600, 10), (-540, 9), (-120, 5), (-60, 4)], 3, 5, id="stabilize - old recommendations"
        ),
        pytest.param([(-300, 9)], 3, 9, id="exactly as old as the window: still there"),
        pytest.param([(-300.1, 9)], 3, 3, id="older than the window"),
    ],
)
def test_the_highest_recommendation_of_the_window_stands(earlier, wanted, expected):
    """Rows 1 to 5 are those of TestNormalizeDesiredReplicas, by their names there."""
    one = hpa()
    one.sync(-3600, 1, Reading(1, ready=1))
    for now, before in earlier:
        one.sync(now, 20, Reading(before, ready=1))
    assert one.sync(0, 20, Reading(wanted, ready=1)).replicas == expected


def test_the_count_at_the_first_sync_is_a_recommendation():
    one = hpa()
    readings = [(15 * i, 4) for i in range(22)]
    found = counts(one, 10, readings)
    assert found == 22 * [10] + [4]  # that of t=0 counts up to t=300, the 21st sync


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        pytest.param(5, 3, Recommendation(9, 3, Reason.SCALE_DOWN_STABILIZED), id="to the highest"),
        pytest.param(3, 3, Recommendation(6, 3, Reason.SCALE_UP_LIMIT), id="by the limit"),
        pytest.param(4, 9, Recommendation(8, 9, Reason.SCALE_UP_LIMIT), id="wanted again"),
    ],
)
def test_the_highest_of_the_window_may_lie_above_the_count(current, wanted, expected):
    one = hpa()
    one.sync(-3600, 1, Reading(1, ready=1))
    one.sync(0, 20, Reading(9, ready=1))
    assert one.sync(15, current, Reading(wanted, ready=1)) == expected


def test_a_sync_without_a_metric_adds_no_recommendation_and_changes_nothing():
    assert counts(hpa(), 4, [(0, 30), (15, None), (30, 4)]) == [4, 8, 8, 16]


def test_a_raised_floor_is_reached_at_once_and_limits_nothing_afterwards():
    one = hpa()
    assert one.sync(0, 3, None, floor=50).replicas == 50
    assert one.sync(15, 50, Reading(200, ready=1)).replicas == 100


wishes = st.lists(
    st.tuples(st.sampled_from([1, 15, 60, 299, 300, 301]), st.integers(0, 120)), max_size=30
)


@given(start=st.integers(1, 40), wishes=wishes)
def test_it_equals_a_scan_over_all_recommendations(start, wishes):
    """The plain rule: the highest of the last 300 s, within the minimum and the limit."""
    one, now, current = hpa(2, 60), 0, start
    recommendations = []
    for wait, wanted in wishes:
        now += wait
        recommendations = recommendations or [(now, current)]
        found = one.sync(now, current, Reading(wanted, ready=1)).replicas
        if 2 <= current <= 60:
            recommendations.append((now, one._wanted(current, Reading(wanted, ready=1))))
            highest = max(wish for when, wish in recommendations if when >= now - 300)
            assert found == min(max(highest, 2), max(2 * current, 4), 60)
        current = found
