"""Decisions follow from observations and state, and carry the reasons of plan and limit."""

import json
import math
from dataclasses import replace

import pytest

from scaler.decision.capacity import CapacityReason, given_capacity
from scaler.decision.decide import (
    Decision,
    DecisionSettings,
    DecisionState,
    Observation,
    decide,
    initial_state,
)
from scaler.decision.demand import NO_FORECAST, AnnouncedEvent, DemandReason, LeadDemand
from scaler.decision.limit import LimitPolicy, LimitReason
from scaler.decision.replicas import Plan, PlanReason, ScalePolicy

NAN = math.nan
TICK_S = 15.0
# A replica takes 100 QPS x 0.8 = 80 QPS at the target.
POLICY = DecisionSettings(
    given_capacity(100.0),
    ScalePolicy(min_replicas=2, max_replicas=50, stabilization_s=60.0),
    LimitPolicy(headroom=0.95),
    lead_s=120.0,
)


def forecast(qps, **changes):
    return replace(LeadDemand(qps, qps, qps, margin_qps=0.1 * qps), **changes)


def observation(now, qps, lead_demand=None, **changes):
    """Observe ``qps`` on 10 warm replicas, with a forecast of as much unless another is given."""
    lead_demand = forecast(qps) if lead_demand is None else lead_demand
    return replace(Observation(now, qps, lead_demand, warm=10.0, replica_qps=qps / 10), **changes)


def no_data(now):
    return observation(now, NAN, NO_FORECAST)


def after(*observations, policy=POLICY, state=None) -> list[Decision]:
    """Return the decisions on one observation after another."""
    state = state or initial_state(10, now=0.0)
    decisions = []
    for each in observations:
        decisions.append(decide(each, state, policy))
        state = decisions[-1].state
    return decisions


def floor(decision):
    return decision.plan.replicas, decision.plan.reason


def test_a_decision_follows_demand_capacity_plan_and_limit():
    decision = decide(observation(0.0, 700.0, forecast(880.0)), initial_state(10, now=0.0), POLICY)
    assert decision.why() == {
        "demand": "forecast",
        "demand_qps": 880.0,
        "event": None,
        "capacity": "given",
        "capacity_qps": 100.0,
        "plan": "wanted",
        "replicas": 11,  # 880 / (100 x 0.8)
        "wanted": 11,
        "limit": "capacity",
        "limit_qps": 950.0,  # 10 warm x 100 x 0.95: planned replicas do not count
    }


def test_without_a_forecast_the_scaler_is_reactive():
    seen, lost, back = after(
        observation(0.0, 800.0, forecast(960.0)),
        observation(15.0, 800.0, forecast(NAN, margin_qps=80.0)),
        observation(30.0, 800.0, forecast(960.0)),
    )
    assert [d.demand.reason for d in (seen, lost, back)] == [
        DemandReason.FORECAST,
        DemandReason.REACTIVE,
        DemandReason.FORECAST,
    ]
    assert lost.demand.qps == 880.0  # 800 + 80
    assert floor(lost) == (12, PlanReason.STABILIZED)  # 11 wanted, 12 a moment ago
    assert floor(back) == (12, PlanReason.WANTED)  # 960 / 80


def test_the_forecast_of_a_benched_model_is_not_used():
    (decision,) = after(observation(0.0, 800.0, forecast(5000.0, trusted=False, margin_qps=0.0)))
    assert decision.demand.reason is DemandReason.REACTIVE
    assert floor(decision) == (10, PlanReason.WANTED)  # 800 / 80


def test_without_data_the_plan_holds_then_decays_and_is_never_zero():
    decisions = after(observation(0.0, 1440.0), *map(no_data, (15.0, 900.0, 1800.0, 2700.0, 1e6)))
    assert [floor(decision) for decision in decisions] == [
        (18, PlanReason.WANTED),  # 1440 / 80
        (18, PlanReason.HELD),
        (18, PlanReason.HELD),  # its lifetime is 900 s
        (10, PlanReason.DECAYED),  # 2 + 16 / 2
        (6, PlanReason.DECAYED),  # 2 + 16 / 4
        (2, PlanReason.DECAYED),  # min_replicas
    ]
    assert decisions[-1].demand.reason is DemandReason.UNKNOWN


def test_when_data_return_the_plan_follows_them_at_once():
    *_, up = after(
        observation(0.0, 1440.0), no_data(15.0), no_data(3600.0), observation(3615.0, 1600.0)
    )
    assert floor(up) == (20, PlanReason.WANTED)  # 1600 / 80
    *_, down = after(
        observation(0.0, 1440.0), no_data(15.0), no_data(915.0), observation(930.0, 400.0)
    )
    assert floor(down) == (5, PlanReason.WANTED)  # 400 / 80; older entries have left the window


def test_after_a_time_without_data_steps_count_from_the_decayed_plan():
    policy = replace(POLICY, scale=replace(POLICY.scale, max_step_up=3, max_step_down=1))
    start = initial_state(18, now=0.0)
    *_, left, low = after(
        no_data(15.0), no_data(2700.0), observation(2715.0, 240.0), policy=policy, state=start
    )
    assert floor(left) == (6, PlanReason.DECAYED)
    assert floor(low) == (5, PlanReason.STEP_DOWN)  # 6 - 1, not 18 - 1
    *_, high = after(
        no_data(15.0), no_data(2700.0), observation(2715.0, 1440.0), policy=policy, state=start
    )
    assert floor(high) == (9, PlanReason.STEP_UP)  # 6 + 3


def test_a_plan_with_a_lifetime_of_zero_is_still_stabilized():
    policy = replace(POLICY, scale=replace(POLICY.scale, lifetime_s=0.0, half_life_s=0.0))
    *_, low = after(observation(0.0, 1440.0), observation(15.0, 400.0), policy=policy)
    assert floor(low) == (18, PlanReason.STABILIZED)


def test_the_stabilization_window_has_the_length_that_is_set():
    lows = after(observation(0.0, 1440.0), *[observation(15.0 * i, 800.0) for i in (1, 2, 3, 4)])[
        1:
    ]
    assert [floor(low) for low in lows] == [(18, PlanReason.STABILIZED)] * 3 + [
        (10, PlanReason.WANTED)
    ]


def test_replicas_that_the_forecast_needs_again_soon_are_kept():
    *_, dip = after(
        observation(0.0, 960.0), observation(100.0, 400.0, forecast(400.0, payback_qps=880.0))
    )
    assert floor(dip) == (11, PlanReason.NEEDED_AGAIN)  # 880 / 80; 400 / 80 = 5 now


def test_overload_lowers_capacity_raises_replicas_and_recovers_slowly():
    calm = observation(0.0, 800.0, over_slo=False)
    late = replace(calm, now=15.0, over_slo=True)
    first, hit, again = after(calm, late, replace(late, now=30.0, replica_qps=70.0))
    assert [d.capacity.reason for d in (first, hit)] == [
        CapacityReason.GIVEN,
        CapacityReason.LOWERED,
    ]
    assert floor(hit) == (12, PlanReason.WANTED)  # 800 / (100 x 0.9 x 0.8) = 11.1
    assert hit.limit.reason is LimitReason.OVERLOAD
    assert hit.limit.qps == pytest.approx(855.0)  # 10 x 100 x 0.95 x 0.9
    assert again.capacity.qps == pytest.approx(81.0)  # 100 x 0.9 x 0.9
    calm_again = [replace(calm, now=30.0 + TICK_S * i) for i in range(1, 24)]
    *_, well = after(*calm_again, state=again.state)
    assert well.capacity == given_capacity(100.0)  # 0.81 + 19 x 0.01
    assert floor(well) == (10, PlanReason.WANTED)
    assert well.limit.reason is LimitReason.CAPACITY


def test_a_missed_slo_with_too_few_replicas_does_not_lower_the_capacity():
    (decision,) = after(
        observation(0.0, 1500.0, over_slo=True)
    )  # 150 QPS each, and the capacity is 100
    assert decision.capacity.reason is CapacityReason.GIVEN
    assert floor(decision) == (19, PlanReason.WANTED)  # 1500 / 80


SALE = AnnouncedEvent("sale", starts=1000.0, ends=3000.0, multiplier=3.0)


def test_an_announced_event_has_its_replicas_at_its_start_and_is_not_counted_twice():
    policy = replace(POLICY, events=(SALE,))
    nows = (865.0, 880.0, 1000.0, 1200.0, 3000.0)
    before, *_ = observations = [observation(now, 400.0) for now in nows]
    assert before.now + policy.lead_s < SALE.starts
    # While it runs, it is observed and forecast at its full height.
    observations[3] = observation(1200.0, 1200.0)
    decisions = after(*observations, policy=policy)
    assert [d.demand.event for d in decisions] == [None, "sale", "sale", None, None]
    assert [d.demand.qps for d in decisions] == [400.0, 1200.0, 1200.0, 1200.0, 400.0]
    assert floor(decisions[1]) == (15, PlanReason.WANTED)  # 3 x 400 / 80, 120 s before its start


def test_without_data_an_event_raises_the_plan_but_never_lowers_it():
    gala = replace(POLICY, events=(AnnouncedEvent("gala", 500.0, 5000.0, qps=800.0),))
    *_, raised = after(observation(0.0, 400.0), no_data(395.0), policy=gala)
    assert (raised.demand.reason, floor(raised)) == (
        DemandReason.EVENT,
        (10, PlanReason.WANTED),  # 800 / 80
    )
    *_, kept = after(observation(0.0, 1440.0), no_data(395.0), policy=gala)
    assert (kept.demand.reason, floor(kept)) == (DemandReason.EVENT, (18, PlanReason.HELD))
    *_, decayed = after(observation(0.0, 1440.0), no_data(395.0), no_data(4000.0), policy=gala)
    assert floor(decayed) == (10, PlanReason.WANTED)  # 18 have decayed below what the event needs


def test_without_data_the_plan_reaches_an_event_by_steps():
    scale = replace(POLICY.scale, max_step_up=2)
    policy = replace(POLICY, scale=scale, events=(AnnouncedEvent("gala", 10.0, 5000.0, qps=800.0),))
    decisions = after(
        *map(no_data, (0.0, 15.0, 30.0)), policy=policy, state=initial_state(5, now=0.0)
    )
    assert [d.plan.replicas for d in decisions] == [7, 9, 10]


def test_nothing_ready_admits_nothing_whatever_is_planned():
    (decision,) = after(observation(0.0, 800.0, warm=0.0))
    assert (decision.limit.qps, decision.limit.reason) == (0.0, LimitReason.NOTHING_READY)
    assert decision.plan.replicas == 10


def test_a_limit_counts_a_warming_replica_by_the_share_that_it_serves():
    (decision,) = after(observation(0.0, 800.0, warm=7.2))
    assert decision.limit.qps == pytest.approx(684.0)  # 7.2 x 100 x 0.95


def test_a_new_service_keeps_its_replicas_until_there_is_data():
    (decision,) = after(no_data(15.0), state=initial_state(7, now=0.0))
    assert floor(decision) == (7, PlanReason.HELD)


@pytest.mark.parametrize(
    "what", [observation(0.0, 800.0), no_data(0.0)], ids=["with data", "without data"]
)
def test_why_is_json_in_which_unknown_is_null(what):
    why = decide(what, DecisionState(Plan(9, PlanReason.WANTED, 9), 0.0), POLICY).why()
    assert json.loads(json.dumps(why, allow_nan=False)) == why
    assert (why["demand_qps"] is None) == (why["demand"] == "unknown")
    assert (why["wanted"] is None) == (why["plan"] == "held")
