"""One decision after another: what is known, in; the plan and the limit with their reasons, out."""

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
    first_state,
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


def ahead(qps, **changes):
    return replace(LeadDemand(qps, qps, qps, margin_qps=0.1 * qps), **changes)


def observation(now, qps, foreseen=None, **changes):
    """What is known where ``qps`` is observed, of 10 warm replicas, and as much is foreseen."""
    said = ahead(qps) if foreseen is None else foreseen
    return replace(Observation(now, qps, said, warm=10.0, replica_qps=qps / 10), **changes)


def dark(now):
    return observation(now, NAN, NO_FORECAST)


def after(*sights, policy=POLICY, state=None) -> list[Decision]:
    """Return the decisions on one sight after another."""
    state = state or first_state(10, now=0.0)
    decisions = []
    for each in sights:
        decisions.append(decide(each, state, policy))
        state = decisions[-1].state
    return decisions


def floor(decision):
    return decision.plan.replicas, decision.plan.reason


def test_a_decision_follows_demand_capacity_plan_and_limit():
    decision = decide(observation(0.0, 700.0, ahead(880.0)), first_state(10, now=0.0), POLICY)
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
        "limit_qps": 950.0,  # 10 warm x 100 x 0.95: what is planned serves nothing yet
    }


def test_a_lost_forecast_leaves_a_reactive_scaler():
    seen, lost, back = after(
        observation(0.0, 800.0, ahead(960.0)),
        observation(15.0, 800.0, ahead(NAN, margin_qps=80.0)),
        observation(30.0, 800.0, ahead(960.0)),
    )
    assert [d.demand.reason for d in (seen, lost, back)] == [
        DemandReason.FORECAST,
        DemandReason.REACTIVE,
        DemandReason.FORECAST,
    ]
    assert lost.demand.qps == 880.0  # 800 + 80
    assert floor(lost) == (12, PlanReason.STABILIZED)  # 11 wanted, 12 a moment ago
    assert floor(back) == (12, PlanReason.WANTED)  # 960 / 80


def test_a_benched_model_is_not_listened_to():
    (decision,) = after(observation(0.0, 800.0, ahead(5000.0, trusted=False, margin_qps=0.0)))
    assert decision.demand.reason is DemandReason.REACTIVE
    assert floor(decision) == (10, PlanReason.WANTED)  # 800 / 80


def test_when_all_is_lost_the_plan_holds_then_decays_and_is_never_zero():
    decisions = after(observation(0.0, 1440.0), *map(dark, (15.0, 900.0, 1800.0, 2700.0, 1e6)))
    assert [floor(decision) for decision in decisions] == [
        (18, PlanReason.WANTED),  # 1440 / 80
        (18, PlanReason.HELD),
        (18, PlanReason.HELD),  # its lifetime is 900 s
        (10, PlanReason.DECAYED),  # 2 + 16 / 2
        (6, PlanReason.DECAYED),  # 2 + 16 / 4
        (2, PlanReason.DECAYED),  # the user's own floor
    ]
    assert decisions[-1].demand.reason is DemandReason.UNKNOWN


def test_when_data_are_back_the_plan_follows_them_at_once():
    *_, up = after(observation(0.0, 1440.0), dark(15.0), dark(3600.0), observation(3615.0, 1600.0))
    assert floor(up) == (20, PlanReason.WANTED)  # 1600 / 80
    *_, down = after(observation(0.0, 1440.0), dark(15.0), dark(915.0), observation(930.0, 400.0))
    assert floor(down) == (5, PlanReason.WANTED)  # 400 / 80; what was wanted long ago is forgotten


def test_steps_count_from_what_silence_has_left_not_from_the_plan_before_it():
    policy = replace(POLICY, scale=replace(POLICY.scale, max_step_up=3, max_step_down=1))
    start = first_state(18, now=0.0)
    *_, left, low = after(
        dark(15.0), dark(2700.0), observation(2715.0, 240.0), policy=policy, state=start
    )
    assert floor(left) == (6, PlanReason.DECAYED)
    assert floor(low) == (5, PlanReason.STEP_DOWN)  # 6 - 1, not 18 - 1
    *_, high = after(
        dark(15.0), dark(2700.0), observation(2715.0, 1440.0), policy=policy, state=start
    )
    assert floor(high) == (9, PlanReason.STEP_UP)  # 6 + 3


def test_a_plan_without_a_lifetime_is_stabilized_all_the_same():
    policy = replace(POLICY, scale=replace(POLICY.scale, lifetime_s=0.0, half_life_s=0.0))
    *_, low = after(observation(0.0, 1440.0), observation(15.0, 400.0), policy=policy)
    assert floor(low) == (18, PlanReason.STABILIZED)


def test_the_stabilization_window_ends_when_it_says():
    lows = after(observation(0.0, 1440.0), *[observation(15.0 * i, 800.0) for i in (1, 2, 3, 4)])[
        1:
    ]
    assert [floor(low) for low in lows] == [(18, PlanReason.STABILIZED)] * 3 + [
        (10, PlanReason.WANTED)
    ]


def test_what_the_forecast_needs_again_soon_is_kept():
    *_, dip = after(
        observation(0.0, 960.0), observation(100.0, 400.0, ahead(400.0, hold_qps=880.0))
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


def test_replicas_that_are_short_are_not_taken_for_weak():
    (decision,) = after(observation(0.0, 1500.0, over_slo=True))  # 150 each, and 100 are believed
    assert decision.capacity.reason is CapacityReason.GIVEN
    assert floor(decision) == (19, PlanReason.WANTED)  # 1500 / 80


SALE = AnnouncedEvent("sale", starts=1000.0, ends=3000.0, multiplier=3.0)


def test_an_announced_event_is_ready_for_at_its_start_and_not_counted_twice():
    policy = replace(POLICY, events=(SALE,))
    nows = (865.0, 880.0, 1000.0, 1200.0, 3000.0)
    before, *_ = sights = [observation(now, 400.0) for now in nows]
    assert before.now + policy.lead_s < SALE.starts
    # While it runs it is seen, and foreseen, at its height.
    sights[3] = observation(1200.0, 1200.0)
    decisions = after(*sights, policy=policy)
    assert [d.demand.event for d in decisions] == [None, "sale", "sale", None, None]
    assert [d.demand.qps for d in decisions] == [400.0, 1200.0, 1200.0, 1200.0, 400.0]
    assert floor(decisions[1]) == (15, PlanReason.WANTED)  # 3 x 400 / 80, 120 s before its start


def test_in_the_dark_an_event_still_raises_but_never_lowers():
    gala = replace(POLICY, events=(AnnouncedEvent("gala", 500.0, 5000.0, qps=800.0),))
    *_, raised = after(observation(0.0, 400.0), dark(395.0), policy=gala)
    assert (raised.demand.reason, floor(raised)) == (
        DemandReason.EVENT,
        (10, PlanReason.WANTED),  # 800 / 80
    )
    *_, kept = after(observation(0.0, 1440.0), dark(395.0), policy=gala)
    assert (kept.demand.reason, floor(kept)) == (DemandReason.EVENT, (18, PlanReason.HELD))
    *_, decayed = after(observation(0.0, 1440.0), dark(395.0), dark(4000.0), policy=gala)
    assert floor(decayed) == (10, PlanReason.WANTED)  # 18 have decayed below what the event needs


def test_in_the_dark_an_event_is_reached_by_steps():
    scale = replace(POLICY.scale, max_step_up=2)
    policy = replace(POLICY, scale=scale, events=(AnnouncedEvent("gala", 10.0, 5000.0, qps=800.0),))
    decisions = after(*map(dark, (0.0, 15.0, 30.0)), policy=policy, state=first_state(5, now=0.0))
    assert [d.plan.replicas for d in decisions] == [7, 9, 10]


def test_nothing_ready_admits_nothing_whatever_is_planned():
    (decision,) = after(observation(0.0, 800.0, warm=0.0))
    assert (decision.limit.qps, decision.limit.reason) == (0.0, LimitReason.NOTHING_READY)
    assert decision.plan.replicas == 10


def test_a_limit_counts_a_warming_replica_by_what_it_serves():
    (decision,) = after(observation(0.0, 800.0, warm=7.2))
    assert decision.limit.qps == pytest.approx(684.0)  # 7.2 x 100 x 0.95


def test_what_a_service_starts_from_is_held_until_something_is_known():
    (decision,) = after(dark(15.0), state=first_state(7, now=0.0))
    assert floor(decision) == (7, PlanReason.HELD)


@pytest.mark.parametrize(
    "what", [observation(0.0, 800.0), dark(0.0)], ids=["all is known", "nothing is known"]
)
def test_why_is_json_in_which_unknown_is_null(what):
    why = decide(what, DecisionState(Plan(9, PlanReason.WANTED, 9), 0.0), POLICY).why()
    assert json.loads(json.dumps(why, allow_nan=False)) == why
    assert (why["demand_qps"] is None) == (why["demand"] == "unknown")
    assert (why["wanted"] is None) == (why["plan"] == "held")
