"""What holds of every plan, whatever is asked and whatever was planned before."""

import math
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from scaler.decision.demand import Demand, DemandReason
from scaler.decision.replicas import (
    NOISE,
    PlanReason,
    ScalePolicy,
    make_plan,
    plan_without_data,
    replicas_for,
    within_window,
)


def demand(qps, payback_qps):
    return Demand(qps, payback_qps, DemandReason.FORECAST)


@st.composite
def policies(draw):
    low = draw(st.integers(1, 50))
    steps = st.none() | st.integers(1, 20)
    return ScalePolicy(
        min_replicas=low,
        max_replicas=low + draw(st.integers(0, 100)),
        target_utilization=draw(st.floats(0.1, 1.5)),
        max_step_up=draw(steps),
        max_step_down=draw(steps),
    )


qps = st.floats(0, 1e5)
demands = st.builds(lambda low, high: demand(low, low + high), qps, qps)
replicas = st.integers(0, 200)
recents = st.lists(st.tuples(st.floats(0, 60), replicas), max_size=5).map(tuple)
capacities = st.floats(0.1, 1e4)


@given(demands, capacities, replicas, recents, policies())
def test_bounds_always_hold(needed, capacity, previous, recent, policy):
    plan = make_plan(needed, capacity, previous, recent, policy)
    assert policy.min_replicas <= plan.replicas <= policy.max_replicas


@given(demands, st.tuples(qps, qps), capacities, replicas, recents, policies())
def test_more_demand_never_gives_fewer_replicas(needed, more, capacity, previous, recent, policy):
    higher_qps = needed.qps + more[0]
    higher = demand(higher_qps, max(higher_qps, needed.payback_qps + more[1]))
    plans = [make_plan(each, capacity, previous, recent, policy) for each in (needed, higher)]
    assert plans[0].replicas <= plans[1].replicas


@given(demands, capacities, capacities, replicas, recents, policies())
def test_stronger_replicas_are_never_more(needed, one, other, previous, recent, policy):
    weak, strong = (
        make_plan(needed, c, previous, recent, policy).replicas for c in sorted((one, other))
    )
    assert strong <= weak


@given(demands, capacities, replicas, recents, policies())
def test_without_step_limits_the_same_demand_again_changes_nothing(
    needed, capacity, previous, recent, policy
):
    policy = replace(policy, max_step_up=None, max_step_down=None)
    once = make_plan(needed, capacity, previous, recent, policy).replicas
    assert make_plan(needed, capacity, once, recent, policy).replicas == once


@given(demands, capacities, replicas, recents, policies())
def test_no_replica_is_stopped_that_is_needed_before_it_would_have_paid(
    needed, capacity, previous, recent, policy
):
    plan = make_plan(needed, capacity, previous, recent, policy)
    needed = replicas_for(needed.payback_qps, capacity * policy.target_utilization)
    assert plan.replicas >= min(previous, needed, policy.max_replicas)


@given(demands, capacities, replicas, recents, policies())
def test_no_plan_exceeds_its_step_size_unless_a_bound_requires_it(
    needed, capacity, previous, recent, policy
):
    plan = make_plan(needed, capacity, previous, recent, policy)
    if plan.reason not in (PlanReason.MIN_REPLICAS, PlanReason.MAX_REPLICAS):
        assert plan.replicas - previous <= (policy.max_step_up or math.inf)
        assert previous - plan.replicas <= (policy.max_step_down or math.inf)


@given(demands, capacities, replicas, recents, policies())
def test_a_plan_never_moves_away_from_what_is_wanted(needed, capacity, previous, recent, policy):
    plan = make_plan(needed, capacity, previous, recent, policy)
    if policy.min_replicas <= previous <= policy.max_replicas:
        wanted = min(max(plan.wanted, policy.min_replicas), policy.max_replicas)
        assert min(wanted, previous) <= plan.replicas <= max(wanted, previous)


@given(
    st.integers(1, 99),
    st.lists(st.floats(-NOISE / 2, NOISE / 2), min_size=2, max_size=40),
    st.integers(1, 100),
    st.floats(0.1, 1e4),
    st.sampled_from([0.0, 300.0]),
)
@example(10, [-0.005, 0.005] * 20, 10, 40.0, 0.0)
def test_noise_about_a_multiple_of_what_a_replica_serves_never_moves_the_plan_up_and_down(
    multiple, noise, previous, replica_qps, stabilization_s
):
    """Wherever it comes from, it never falls and rises again."""
    policy = ScalePolicy(target_utilization=1.0, stabilization_s=stabilization_s)
    recent, plans = (), []
    for tick, share in enumerate(noise):
        qps = multiple * replica_qps * (1 + share)
        recent = within_window(recent, 15.0 * tick, policy)
        plan = make_plan(demand(qps, qps), replica_qps, previous, recent, policy)
        recent, previous = (*recent, (15.0 * tick, plan.wanted)), plan.replicas
        assert plan.replicas >= qps / replica_qps / (1 + NOISE) - 1e-6
        plans.append(plan.replicas)
    assert plans == sorted(plans, reverse=True)
    assert plans[-1] in (multiple, multiple + 1)
    if plans[0] == multiple:
        assert set(plans) == {multiple}


@given(replicas, st.floats(0, 1e6), st.floats(0, 1e6), policies())
def test_a_time_without_data_only_lowers_the_plan_and_never_below_the_floor(
    previous, one, other, policy
):
    sooner, later = (plan_without_data(previous, s, policy).replicas for s in sorted((one, other)))
    assert 1 <= policy.min_replicas <= later <= sooner <= policy.max_replicas
