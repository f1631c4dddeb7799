"""How many replicas to plan, and which rule determined it."""

import math
from dataclasses import replace

import pytest

from scaler.decision.demand import Demand, DemandReason
from scaler.decision.replicas import (
    Plan,
    PlanReason,
    ScalePolicy,
    make_plan,
    plan_without_data,
    replicas_for,
    within_window,
)

# A replica serves 50 QPS x 0.8 = 40 QPS, so that demand in these tables is replicas x 40.
CAPACITY = 50.0
POLICY = ScalePolicy(min_replicas=2, max_replicas=20)


def demand(qps, payback_qps=None):
    return Demand(qps, qps if payback_qps is None else payback_qps, DemandReason.FORECAST)


@pytest.mark.parametrize(
    ("needed", "previous", "recent", "changes", "expected"),
    [
        pytest.param(
            demand(200.0),
            5,
            (),
            {},
            Plan(5, PlanReason.WANTED, 5),  # 200 / (50 x 0.8)
            id="demand divided by what a replica serves at the target",
        ),
        pytest.param(
            demand(205.0),
            5,
            (),
            {},
            Plan(6, PlanReason.WANTED, 6),  # 205 / 40 = 5.125, rounded up
            id="a fraction of a replica is rounded up",
        ),
        pytest.param(
            demand(404.0),
            10,
            (),
            {},
            Plan(10, PlanReason.WANTED, 10),  # 404 / 40 = 10.1, which is 10 and 1 %
            id="noise asks for no more replicas than there are",
        ),
        pytest.param(
            demand(404.0),
            9,
            (),
            {},
            Plan(11, PlanReason.WANTED, 11),
            id="where more are started, enough are started",
        ),
        pytest.param(
            demand(400.0),
            11,
            (),
            {},
            Plan(10, PlanReason.WANTED, 10),
            id="and none is kept for noise",
        ),
        pytest.param(
            demand(200.0),
            5,
            (),
            {"target_utilization": 0.5},
            Plan(8, PlanReason.WANTED, 8),  # 200 / (50 x 0.5)
            id="a lower target needs more",
        ),
        pytest.param(
            demand(400.0),
            3,
            ((0.0, 4),),
            {},
            Plan(10, PlanReason.WANTED, 10),  # 400 / 40
            id="up goes at once",
        ),
        pytest.param(
            demand(120.0, 280.0),
            10,
            (),
            {},
            Plan(7, PlanReason.NEEDED_AGAIN, 3),  # 120 / 40 = 3 now, 280 / 40 = 7 again soon
            id="what is needed again soon is kept",
        ),
        pytest.param(
            demand(120.0, 800.0),
            10,
            (),
            {},
            Plan(10, PlanReason.NEEDED_AGAIN, 3),  # 800 / 40 = 20, but only 10 can be kept
            id="what is needed only later is not started for it",
        ),
        pytest.param(
            demand(400.0, 800.0),
            10,
            (),
            {},
            Plan(10, PlanReason.WANTED, 10),
            id="what is enough now is not raised by what comes later",
        ),
        pytest.param(
            demand(120.0),
            10,
            ((0.0, 8), (15.0, 6)),
            {},
            Plan(8, PlanReason.STABILIZED, 3),
            id="the highest needed of late holds",
        ),
        pytest.param(
            demand(120.0),
            10,
            ((0.0, 18),),
            {},
            Plan(10, PlanReason.STABILIZED, 3),  # 18 was never reached
            id="but never raises the plan",
        ),
        pytest.param(
            demand(120.0, 280.0),
            10,
            ((0.0, 6),),
            {},
            Plan(7, PlanReason.NEEDED_AGAIN, 3),
            id="of two rules that hold replicas, the higher binds",
        ),
        pytest.param(
            demand(120.0),
            10,
            (),
            {"max_step_down": 2},
            Plan(8, PlanReason.STEP_DOWN, 3),  # 10 - 2
            id="down goes by steps",
        ),
        pytest.param(
            demand(320.0),
            10,
            (),
            {"max_step_down": 2},
            Plan(8, PlanReason.WANTED, 8),
            id="a whole step down is no clamp",
        ),
        pytest.param(
            demand(400.0),
            5,
            (),
            {"max_step_up": 3},
            Plan(8, PlanReason.STEP_UP, 10),  # 5 + 3
            id="up goes by steps",
        ),
        pytest.param(
            demand(4000.0),
            10,
            (),
            {},
            Plan(20, PlanReason.MAX_REPLICAS, 100),  # 4000 / 40
            id="never above the ceiling",
        ),
        pytest.param(
            demand(0.0),
            2,
            (),
            {},
            Plan(2, PlanReason.MIN_REPLICAS, 0),
            id="no traffic is the floor",
        ),
        pytest.param(
            demand(40.0),
            30,
            ((0.0, 30),),
            {},
            Plan(20, PlanReason.MAX_REPLICAS, 1),
            id="a ceiling that was lowered beats stabilization",
        ),
        pytest.param(
            demand(40.0),
            1,
            (),
            {"max_step_up": 1, "min_replicas": 5},
            Plan(5, PlanReason.MIN_REPLICAS, 1),
            id="a floor that was raised beats the step",
        ),
    ],
)
def test_a_plan_names_the_rule_that_bound_it(needed, previous, recent, changes, expected):
    assert make_plan(needed, CAPACITY, previous, recent, replace(POLICY, **changes)) == expected


@pytest.mark.parametrize(
    ("qps", "replica_qps", "expected"),
    [
        pytest.param(0.0, 40.0, 0, id="nothing needs nothing"),
        pytest.param(0.1, 40.0, 1, id="little needs one"),
        pytest.param(3 * 0.1 * 400, 40.0, 3, id="rounding is not demand"),  # 120.00000000000001
        pytest.param(120.01, 40.0, 4, id="but a hundredth of a request per second is"),
    ],
)
def test_replicas_serve_what_is_asked_of_them(qps, replica_qps, expected):
    assert replicas_for(qps, replica_qps) == expected


@pytest.mark.parametrize(
    ("age_s", "kept"),
    [
        pytest.param(0.0, True, id="now"),
        pytest.param(59.9, True, id="just within"),
        pytest.param(60.0, False, id="the window is half-open"),
        pytest.param(3600.0, False, id="long ago"),
    ],
)
def test_a_wish_is_remembered_for_the_stabilization_window(age_s, kept):
    policy = ScalePolicy(stabilization_s=60.0)
    assert within_window(((1000.0 - age_s, 7),), 1000.0, policy) == (
        ((1000.0 - age_s, 7),) if kept else ()
    )


def test_without_a_window_nothing_is_remembered():
    assert within_window(((1000.0, 7),), 1000.0, ScalePolicy(stabilization_s=0.0)) == ()


@pytest.mark.parametrize(
    ("previous", "without_data_s", "expected"),
    [
        # min 2, lifetime 900 s, half-life 900 s.
        pytest.param(10, 0.0, Plan(10, PlanReason.HELD, None), id="the last plan holds"),
        pytest.param(10, 900.0, Plan(10, PlanReason.HELD, None), id="for its lifetime, included"),
        pytest.param(
            10,
            1800.0,
            Plan(6, PlanReason.DECAYED, None),  # 2 + 8 / 2
            id="a half-life later half of what is above the floor is left",
        ),
        pytest.param(
            10, 2700.0, Plan(4, PlanReason.DECAYED, None), id="then half of that"
        ),  # 2 + 8 / 4
        pytest.param(10, 1e9, Plan(2, PlanReason.DECAYED, None), id="in the end the user's floor"),
        pytest.param(2, 1e9, Plan(2, PlanReason.DECAYED, None), id="never below it"),
        pytest.param(0, 0.0, Plan(2, PlanReason.HELD, None), id="not even if it was below"),
        pytest.param(90, 0.0, Plan(20, PlanReason.HELD, None), id="nor above the ceiling"),
        pytest.param(10, -30.0, Plan(10, PlanReason.HELD, None), id="a clock set back holds"),
    ],
)
def test_when_nothing_is_known_the_plan_holds_then_decays(previous, without_data_s, expected):
    assert plan_without_data(previous, without_data_s, POLICY) == expected


def test_without_a_half_life_the_plan_falls_to_the_floor_at_once():
    policy = replace(POLICY, half_life_s=0.0)
    assert plan_without_data(10, 901.0, policy).replicas == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"min_replicas": 0}, "min_replicas is 0", id="a floor of zero"),
        pytest.param({"min_replicas": 9, "max_replicas": 8}, "max_replicas 8", id="min > max"),
        pytest.param({"target_utilization": 0.0}, "target_utilization is 0", id="no target"),
        pytest.param({"target_utilization": math.nan}, "target_utilization", id="unknown target"),
        pytest.param({"max_step_up": 0}, "max_step_up is 0", id="a step up of none"),
        pytest.param({"max_step_down": 0}, "max_step_down is 0", id="a step down of none"),
        pytest.param({"max_step_down": -1}, "max_step_down is -1", id="a step the other way"),
        pytest.param({"lifetime_s": -1.0}, "lifetime_s is -1", id="a plan that never holds"),
        pytest.param({"stabilization_s": math.nan}, "stabilization_s", id="an unknown window"),
    ],
)
def test_impossible_policies_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ScalePolicy(**wrong)
