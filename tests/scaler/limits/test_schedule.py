"""The schedule promises the capacity of pods that have started, never of planned ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.limit import Limit, LimitPolicy, LimitReason, Ramp, limit_for, ready_capacity
from scaler.limits.schedule import (
    Fleet,
    LimitStep,
    SafeLimit,
    expected_capacity,
    safe_limit,
    schedule_for,
)

ALL = LimitPolicy(headroom=1.0)
PAIR = Fleet(ready_s=(600.0, 600.0), capacity_qps=100.0)
fleets = st.builds(
    Fleet,
    ready_s=st.lists(st.floats(0, 600), max_size=10).map(tuple),
    capacity_qps=st.floats(1, 200),
    ramp=st.builds(Ramp, st.floats(0, 120), st.floats(0, 1)),
    due_in_s=st.lists(st.floats(-60, 300), max_size=10).map(tuple),
)
plans = st.lists(st.tuples(st.floats(0, 300), st.integers(0, 20)), max_size=4).map(sorted)


@pytest.mark.parametrize(
    ("fleet", "plan", "expected"),
    [
        pytest.param(PAIR, [], [200.0, 200.0], id="what is Ready stays"),
        pytest.param(
            Fleet((600.0,), 100.0, due_in_s=(60.0, 61.0)), [], [200.0, 300.0], id="started pods due"
        ),
        pytest.param(
            Fleet((600.0,), 100.0, due_in_s=(0.0, -30.0)), [], [100.0, 100.0], id="overdue: nothing"
        ),
        pytest.param(
            Fleet((0.0,), 100.0, Ramp(240, 0.2)), [], [40.0, 60.0], id="pods warm up meanwhile"
        ),  # 100 x (0.2 + 0.8 x 60/240), 100 x (0.2 + 0.8 x 120/240)
        pytest.param(PAIR, [(30, 9)], [200.0, 200.0, 200.0], id="planned pods promise nothing"),
        pytest.param(
            PAIR, [(90, 1)], [200.0, 100.0, 100.0], id="a planned fall begins its own step"
        ),
        pytest.param(
            Fleet((600.0, 0.0), 100.0, Ramp(240, 0.2)),
            [(0, 1)],
            [100.0, 100.0],
            id="the warmest pods stay",
        ),
    ],
)
def test_the_schedule_promises_what_has_started_and_is_due(fleet, plan, expected):
    steps = schedule_for(fleet, plan, (60, 120), ALL)
    assert [step.qps for step in steps] == pytest.approx(expected)


def test_a_step_names_the_constraint_that_bound_it():
    policy = LimitPolicy(headroom=1.0, ceiling_qps=250.0)
    fleet = Fleet((600.0, 600.0), 100.0, due_in_s=(60.0,))
    assert schedule_for(fleet, [(180, 1), (240, 0)], (30, 60, 240), policy) == (
        LimitStep(30, 200.0, LimitReason.CAPACITY),
        LimitStep(60, 250.0, LimitReason.CEILING),
        LimitStep(180, 100.0, LimitReason.PLANNED),
        LimitStep(240, 0.0, LimitReason.PLANNED),
    )


def test_recovery_from_overload_is_not_promised():
    assert schedule_for(PAIR, [], (60,), ALL, capacity_factor=0.5) == (
        LimitStep(60, 100.0, LimitReason.OVERLOAD),
    )


@given(fleets)
def test_the_capacity_expected_now_is_the_ready_capacity(fleet):
    expected = ready_capacity(fleet.ready_s, fleet.capacity_qps, fleet.ramp)
    assert expected_capacity(fleet, 0) == pytest.approx(expected)


@given(fleets, plans, st.floats(0.1, 300))
def test_a_step_can_be_kept_until_the_next_one(fleet, plan, at_s):
    steps = schedule_for(fleet, plan, (60, 120, 300), ALL)
    due = [step for step in steps if step.in_s <= at_s]
    if due:
        planned = [replicas for in_s, replicas in plan if in_s <= at_s]
        then = expected_capacity(fleet, at_s, planned[-1] if planned else None)
        assert due[-1].qps <= then + 1e-6


@given(fleets, plans)
def test_no_step_promises_more_than_all_pods_that_have_started(fleet, plan):
    started = len(fleet.ready_s) + sum(due > 0 for due in fleet.due_in_s)
    for step in schedule_for(fleet, plan, (60, 300), LimitPolicy()):
        assert step.qps <= started * fleet.capacity_qps


@pytest.mark.parametrize(
    ("now", "later", "floor", "expected"),
    [
        pytest.param(8, (9, 7), 7.5, SafeLimit(70.0, LimitReason.PLANNED), id="least step"),
        pytest.param(8, (9, 10), 8, SafeLimit(80.0, LimitReason.CAPACITY), id="now is least"),
        pytest.param(8, (9, 7), 2, SafeLimit(20.0, LimitReason.FLOOR), id="the floor is least"),
    ],
)
def test_the_safe_limit_is_the_least_of_now_the_steps_and_the_floor(now, later, floor, expected):
    limit, floor_limit = (limit_for(pods * 10.0, ALL) for pods in (now, floor))
    steps = [LimitStep(60.0 * n, pods * 10.0, LimitReason.PLANNED) for n, pods in enumerate(later)]
    assert safe_limit(limit, steps, floor_limit) == expected


def test_without_a_schedule_the_safe_limit_is_the_least_of_now_and_the_floor():
    now = Limit(80.0, 8, LimitReason.OVERLOAD)
    assert safe_limit(now, (), limit_for(90.0, ALL)) == SafeLimit(80.0, LimitReason.OVERLOAD)


@pytest.mark.parametrize(
    ("plan", "offsets_s"),
    [
        pytest.param([], (60, 60), id="two steps at once"),
        pytest.param([], (0, 60), id="a step that is now"),
        pytest.param([(60, 3), (30, 2)], (60,), id="a plan out of order"),
        pytest.param([(60, -1)], (60,), id="negative replicas"),
    ],
)
def test_an_impossible_schedule_is_refused(plan, offsets_s):
    with pytest.raises(ValueError, match="must ascend"):
        schedule_for(PAIR, plan, offsets_s, ALL)
