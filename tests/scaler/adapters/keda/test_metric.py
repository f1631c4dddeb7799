"""Targets and values of the metric, and the replicas that the HPA computes from them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from scaler.adapters.keda.metric import (
    MAX_MILLI,
    NotKnownError,
    is_active,
    shown_replicas,
    target_milli,
    value_milli,
    wire_float,
    wire_int,
)
from scaler.adapters.keda.trigger import Trigger, TriggerError, TriggerMetric
from scaler.decision.capacity import Capacity, CapacityReason
from scaler.decision.demand import Demand, DemandReason
from scaler.decision.replicas import Plan, PlanReason, replicas_for
from scaler.hpa.controller import (
    HPA,
    HPASpec,
    MetricKind,
    PolicyKind,
    Reading,
    ScalingPolicy,
    ScalingRules,
)
from tests.scaler.adapters.keda.caller import milli
from tests.scaler.adapters.keda.views import CAPACITY, SHOP, demanding, planned, unknown_for

REPLICAS = Trigger(service="prod/shop")
EXACT = Trigger(service="prod/shop", tolerance=0.0)
QPS = Trigger(service="prod/shop", metric=TriggerMetric.QPS)
# Without a limit of steps, for only the metric's arithmetic matters here.
FREE = (ScalingPolicy(PolicyKind.PODS, 10**6, 15),)


def autoscaled(trigger: Trigger, view, current: int, tolerance: float) -> int:
    """Return the replicas that an HPA at ``current`` wants, with the values that KEDA reads."""
    target, value = target_milli(trigger, view), value_milli(trigger, view)
    rules = ScalingRules(FREE, tolerance=tolerance)
    read = milli(wire_float(target), wire_int(target)) / 1000
    spec = HPASpec(1, 10**6, MetricKind.EXTERNAL_AVERAGE, read, rules, rules)
    reading = Reading(milli(wire_float(value), wire_int(value)) / 1000, current)
    return HPA(spec).sync(0.0, current, reading).replicas


@pytest.mark.parametrize(
    ("current", "plan", "comes_to"),
    [
        pytest.param(20, 40, 40, id="far up: exact"),
        pytest.param(20, 23, 23, id="just outside: exact"),
        pytest.param(20, 22, 23, id="a tenth more is within, so the next one"),
        pytest.param(20, 21, 23, id="20 -> 21, which a value of 21 would miss"),
        pytest.param(10, 11, 12, id="1.1 is within, though 10 * 1.1 is more than 11"),
        pytest.param(9, 10, 10, id="below ten a step of one is always outside"),
        pytest.param(23, 21, 23, id="down by less than a tenth: stays"),
        pytest.param(30, 21, 21, id="far down: exact"),
        pytest.param(1, 1, 1, id="as it is"),
    ],
)
def test_an_hpa_with_default_tolerance_never_stays_below_the_plan(current, plan, comes_to):
    assert autoscaled(REPLICAS, planned(plan, current), current, 0.1) == comes_to


def test_the_plan_itself_would_be_missed():
    """Why the smallest count outside the tolerance is shown; checks the simulation, too."""
    assert autoscaled(EXACT, planned(21, 20), 20, 0.1) == 20


def test_all_counts_up_to_300_arrive_at_the_plan_or_just_above_it():
    """The arithmetic of `HPA`, written out, for ninety thousand pairs would take long there."""
    for current in range(1, 301):
        for plan in range(1, 301):
            ratio = shown_replicas(plan, current, 0.1) * 1000 / (1000 * current)
            after = current if 0.9 <= ratio <= 1.1 else math.ceil(ratio * current - 1e-9)
            if plan <= current:
                assert after == plan or (after == current and plan >= 0.9 * current)
            else:
                assert after == max(plan, 11 * current // 10 + 1)


COUNTS = st.integers(1, 3000)


@given(plan=COUNTS, current=COUNTS)
def test_without_a_tolerance_the_plan_is_exact(plan, current):
    assert autoscaled(EXACT, planned(plan, current), current, 0.0) == plan


@given(
    plan=COUNTS,
    current=COUNTS,
    tolerance=st.sampled_from([0.01, 0.05, 0.1, 0.13, 0.15, 0.2, 0.25, 0.5]),
)
@example(plan=21, current=20, tolerance=0.1)
@example(plan=11, current=10, tolerance=0.1)
@example(plan=101, current=100, tolerance=0.13)  # 100 * 1.13 is less than 113 in floats
def test_with_a_tolerance_it_is_exact_except_for_the_documented_cases(plan, current, tolerance):
    trigger = replace(REPLICAS, tolerance=tolerance)
    after = autoscaled(trigger, planned(plan, current), current, tolerance)
    if current < plan:
        assert plan <= after
        if plan > math.floor(current * (1 + tolerance) + 1e-9):
            assert after == plan
        assert after <= math.floor((plan - 1) * (1 + tolerance) + 1e-9) + 1
    else:
        # The HPA's tolerance: the replicas stay, or fall to the plan.
        assert after == (current if plan / current >= 1 - tolerance else plan)
    # It does not change again while the plan is the same.
    assert autoscaled(trigger, planned(plan, after), after, tolerance) == after


@given(plan=COUNTS, current=COUNTS, before=st.none() | COUNTS)
def test_an_old_or_unknown_count_never_exceeds_the_documented_bound(plan, current, before):
    """The snapshot may be a tick old, so the HPA may have other replicas by now."""
    after = autoscaled(REPLICAS, planned(plan, before), current, 0.1)
    assert after <= max(current, math.floor((plan - 1) * 1.1 + 1e-9) + 1, plan)
    if before is None:
        assert after >= plan


@given(
    qps=st.floats(0.0, 1e6),
    capacity=st.floats(0.01, 1e4),
    target=st.none() | st.floats(0.001, 1e4).map(lambda x: round(x, 3)),
    current=COUNTS,
)
@example(qps=620.0, capacity=155.0, target=None, current=1)  # 620 / (155 x 0.8) is 5 to the dot
def test_the_demand_leads_to_the_replicas_that_the_planner_wants(qps, capacity, target, current):
    wanted = replicas_for(qps, capacity * 0.8)
    assume(wanted < 10**5)
    trigger = replace(QPS, target_qps=target)
    assert autoscaled(trigger, demanding(qps, capacity), current, 0.0) == max(wanted, 1)


@pytest.mark.parametrize(
    ("trigger", "view", "target", "value"),
    [
        pytest.param(REPLICAS, planned(12, 4), 1000, 12_000, id="the plan, one for each"),
        pytest.param(QPS, demanding(620.0), 124_000, 620_000, id="the demand as it is"),
        pytest.param(QPS, demanding(620.5), 124_000, 620_500, id="to the thousandth"),
        pytest.param(
            QPS, demanding(620.0, CAPACITY / 2), 124_000, 1_240_000,
            id="replicas that sustain half are shown twice the demand, for the target stays",
        ),
        pytest.param(
            replace(QPS, target_qps=50.0), demanding(620.0), 50_000, 250_000,
            id="a target of the trigger's own: 620 / 124 replicas of 50",
        ),
        pytest.param(QPS, demanding(0.0), 124_000, 1, id="no demand is not nothing known"),
    ],
)  # fmt: skip
def test_targets_and_values(trigger, view, target, value):
    assert (target_milli(trigger, view), value_milli(trigger, view)) == (target, value)


LEARNED = replace(
    SHOP, policy=replace(SHOP.policy, capacity_qps=None, slo=replace(SHOP.policy.slo, query="p99"))
)


@pytest.mark.parametrize(
    ("trigger", "view", "error", "message"),
    [
        pytest.param(
            REPLICAS, replace(SHOP, decision=None, error="no such HPA"), NotKnownError,
            "prod/shop: no such HPA", id="no decision, and why",
        ),
        pytest.param(
            REPLICAS, replace(SHOP, decision=None), NotKnownError, "nothing is decided yet",
            id="no decision yet",
        ),
        pytest.param(
            REPLICAS, unknown_for(0.0, known_before=False), NotKnownError,
            "no demand has been known since the start",
            id="started without a known demand: the replicas that run are no plan",
        ),
        pytest.param(
            REPLICAS, unknown_for(3000.0, known_before=True), NotKnownError,
            "no demand has been known for longer than a plan holds", id="a plan that decays",
        ),
        pytest.param(
            QPS, unknown_for(60.0, known_before=True), NotKnownError, "the demand is not known",
            id="a plan is held, but there is no demand",
        ),
        pytest.param(QPS, demanding(math.inf), NotKnownError, "absurd: inf", id="endless demand"),
        pytest.param(QPS, demanding(-1.0), NotKnownError, "absurd: -1", id="demand below 0"),
        pytest.param(
            QPS, demanding(1e9, 1e-300), NotKnownError, "is absurd", id="a capacity of nothing"
        ),
        pytest.param(
            REPLICAS, planned(0, 5), NotKnownError, "the value of 0 is absurd", id="a plan of none"
        ),
        pytest.param(
            QPS, LEARNED, TriggerError, "targetQps is missing", id="a target that would move"
        ),
    ],
)  # fmt: skip
def test_an_unknown_demand_has_no_value(trigger, view, error, message):
    with pytest.raises(error) as raised:
        value_milli(trigger, view)
    assert message in str(raised.value)


def test_a_plan_holds_for_its_lifetime():
    """The demand is unknown for a minute: the HPA gets the last plan."""
    held = unknown_for(60.0, known_before=True)
    assert held.decision.plan.reason is PlanReason.HELD
    assert value_milli(EXACT, held) == 1000 * SHOP.decision.plan.replicas


def test_before_the_first_tick_only_a_target_that_depends_on_the_policy_is_unknown():
    assert target_milli(REPLICAS, None) == 1000
    assert target_milli(replace(QPS, target_qps=50.0), None) == 50_000
    with pytest.raises(NotKnownError):
        target_milli(QPS, None)


ANY = st.floats(allow_nan=True, allow_infinity=True)
CAPACITIES = st.floats(0.0, exclude_min=True, allow_infinity=False, allow_nan=False)


@given(
    demand=ANY,
    capacity=CAPACITIES,
    plan=st.builds(
        Plan,
        st.integers(-5, 10**18),
        st.sampled_from(PlanReason),
        st.none() | st.integers(-5, 10**18),
    ),
    current=st.none() | st.integers(-5, 10**18),
    trigger=st.sampled_from([REPLICAS, EXACT, QPS, replace(QPS, target_qps=0.001)]),
)
def test_every_snapshot_gives_a_value_above_0_or_an_error(demand, capacity, plan, current, trigger):
    decision = replace(
        SHOP.decision,
        demand=Demand(demand, demand, DemandReason.FORECAST),
        capacity=Capacity(capacity, CapacityReason.GIVEN, capacity, capacity),
        plan=plan,
        state=replace(SHOP.decision.state, plan=plan),
    )
    try:
        value = value_milli(trigger, replace(SHOP, decision=decision, replicas=current))
    except NotKnownError:
        return
    real, whole = wire_float(value), wire_int(value)
    assert 0 < real < math.inf
    assert 0 < whole < 2**63
    assert milli(real, whole) == value
    # The integer is never less.
    assert whole * 1000 >= value


@given(st.integers(1, MAX_MILLI))
@example(1001)  # 1.001 * 1000 is truncated to 1000
def test_keda_reads_the_intended_thousandths(value):
    assert milli(wire_float(value), wire_int(value)) == value


@given(plan=COUNTS, more=st.integers(0, 500), current=st.none() | COUNTS)
def test_a_higher_plan_never_shows_fewer_replicas(plan, more, current):
    assert shown_replicas(plan + more, current, 0.1) >= shown_replicas(plan, current, 0.1)


SLEEPER = replace(REPLICAS, activation_qps=0.5)


@pytest.mark.parametrize(
    ("trigger", "view", "fresh", "active"),
    [
        pytest.param(REPLICAS, demanding(0.0), True, True, id="never idle without activationQps"),
        pytest.param(REPLICAS, demanding(0.0), False, True, id="not idle when stale"),
        pytest.param(SLEEPER, demanding(0.5), True, False, id="known and no more: idle"),
        pytest.param(SLEEPER, demanding(0.51), True, True, id="more is foreseen: awake"),
        pytest.param(SLEEPER, demanding(0.0), False, True, id="idle by a stale snapshot: awake"),
        pytest.param(SLEEPER, demanding(math.nan), True, True, id="unknown: awake"),
        pytest.param(SLEEPER, replace(SHOP, decision=None), True, True, id="undecided: awake"),
        pytest.param(
            SLEEPER,
            unknown_for(3000.0, known_before=True),
            True,
            True,
            id="unknown for long: active",
        ),
    ],
)
def test_only_known_and_fresh_demand_makes_a_service_inactive(trigger, view, fresh, active):
    assert is_active(trigger, view, fresh=fresh) is active
