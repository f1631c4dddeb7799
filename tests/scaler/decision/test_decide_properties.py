"""Properties of every decision, for any observation and any state before it."""

import json
import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import AnnouncedEvent, DemandReason, LeadDemand
from scaler.decision.limit import LimitPolicy, LimitReason
from scaler.decision.replicas import PlanReason, ScalePolicy

TICK_S = 15.0
qps = st.floats(0, 1e5)
maybe = qps | st.just(math.nan)
# By thousandths of a replica: a subnormal share of one rounds beyond any tolerance.
warm = st.integers(0, 200_000).map(lambda thousandths: thousandths / 1000)
lead_demands = st.builds(LeadDemand, maybe, maybe, maybe, qps, st.booleans())


@st.composite
def events(draw, name):
    """One event, with a multiplier or a rate, somewhere in the first hour."""
    starts = draw(st.floats(0, 3600))
    given_ = draw(st.sampled_from(["multiplier", "qps"]))
    height = draw(st.floats(0.1, 10) if given_ == "multiplier" else st.floats(1, 1e5))
    return AnnouncedEvent(name, starts, starts + draw(st.floats(1, 3600)), **{given_: height})


@st.composite
def policies(draw):
    low = draw(st.integers(1, 20))
    steps = st.none() | st.integers(1, 20)
    scale = ScalePolicy(
        low,
        low + draw(st.integers(0, 100)),
        draw(st.floats(0.1, 1)),
        draw(st.floats(0, 600)),
        draw(steps),
        draw(steps),
        draw(st.floats(0, 1800)),
        draw(st.floats(0, 1800)),
    )
    announced = [draw(events(name)) for name in ("sale", "gala")[: draw(st.integers(0, 2))]]
    return DecisionSettings(
        given_capacity(draw(st.floats(0.5, 1e4))),
        scale,
        LimitPolicy(draw(st.floats(0.1, 1)), draw(qps | st.just(math.inf))),
        draw(st.floats(0, 600)),
        tuple(announced),
    )


@st.composite
def histories(draw):
    """Return some observations of a service, a tick or a long time without data apart."""
    now, observations = 0.0, []
    for _ in range(draw(st.integers(1, 8))):
        now += draw(st.sampled_from([TICK_S, TICK_S, TICK_S, 600.0, 7200.0]))
        observations.append(
            Observation(
                now,
                draw(maybe),
                draw(lead_demands),
                draw(warm),
                draw(st.sampled_from([True, False, None])),
                draw(qps),
            )
        )
    return observations


def decisions_on(observations, policy, replicas):
    """Return each decision together with the state before it."""
    state, result = initial_state(replicas, now=0.0), []
    for observation in observations:
        result.append((observation, state, decide(observation, state, policy)))
        state = result[-1][-1].state
    return result


replicas = st.integers(0, 200)


@given(histories(), policies(), replicas)
def test_the_same_state_and_observation_give_the_same_decision(observations, policy, start):
    for observation, state, decision in decisions_on(observations, policy, start):
        assert decide(observation, state, policy).why() == decision.why()
        assert decide(observation, state, policy).state == decision.state


@given(histories(), policies(), replicas)
def test_bounds_always_hold(observations, policy, start):
    for _, _, decision in decisions_on(observations, policy, start):
        assert policy.scale.min_replicas <= decision.plan.replicas <= policy.scale.max_replicas


@given(histories(), policies(), replicas)
def test_a_limit_never_exceeds_what_is_ready(observations, policy, start):
    for observation, _, decision in decisions_on(observations, policy, start):
        ready_qps = observation.warm * policy.capacity.qps * decision.state.capacity_factor
        assert decision.limit.qps <= ready_qps * policy.limit.headroom * (1 + 1e-12)
        assert decision.limit.qps <= policy.limit.ceiling_qps


@given(histories(), policies(), replicas)
def test_every_decision_says_why_in_plain_values(observations, policy, start):
    for _, _, decision in decisions_on(observations, policy, start):
        assert isinstance(decision.plan.reason, PlanReason)
        assert isinstance(decision.limit.reason, LimitReason)
        why = decision.why()
        assert json.loads(json.dumps(why, allow_nan=False)) == why


@given(histories(), policies(), replicas, qps)
def test_a_higher_observed_rate_never_gives_fewer_replicas(observations, policy, start, more):
    # Once what a multiplier announced is observed, the event has come and asks for nothing more:
    # what is observed then counts as it is. So only events with a rate of their own are here.
    policy = replace(policy, events=tuple(event for event in policy.events if event.qps))
    for observation, state, decision in decisions_on(observations, policy, start):
        higher = replace(observation, observed_qps=observation.observed_qps + more)
        assert decide(higher, state, policy).plan.replicas >= decision.plan.replicas


@given(histories(), policies(), replicas, qps)
def test_a_part_of_the_demand_may_raise_a_plan_and_never_lowers_one(
    observations, policy, start, least
):
    for observation, state, _ in decisions_on(observations, policy, start):
        unknown = replace(observation, observed_qps=math.nan)
        without = decide(unknown, state, policy)
        part = decide(replace(unknown, least_qps=least), state, policy)
        assert part.plan.replicas >= without.plan.replicas
        assert part.limit == without.limit
        # What is told on, e.g. to an HPA by way of KEDA, lowers nothing either.
        known = part.demand.reason not in {DemandReason.UNKNOWN, DemandReason.EVENT}
        assert not (known and part.plan.reason in {PlanReason.HELD, PlanReason.DECAYED})


@given(histories(), policies(), replicas, qps)
def test_a_higher_forecast_never_gives_fewer_replicas(observations, policy, start, more):
    for observation, state, decision in decisions_on(observations, policy, start):
        lead_demand = observation.lead_demand
        higher = replace(
            lead_demand,
            lead_qps=lead_demand.lead_qps + more,
            payback_qps=lead_demand.payback_qps + more,
        )
        raised = decide(replace(observation, lead_demand=higher), state, policy)
        assert raised.plan.replicas >= decision.plan.replicas


@given(histories(), policies(), replicas)
def test_an_announced_event_only_raises(observations, policy, start):
    plain = replace(policy, events=())
    for observation, state, decision in decisions_on(observations, policy, start):
        assert decision.plan.replicas >= decide(observation, state, plain).plan.replicas


@given(histories(), policies(), replicas)
def test_a_time_without_data_never_raises_a_plan_and_keeps_the_last_one(
    observations, policy, start
):
    for _, state, decision in decisions_on(observations, policy, start):
        if decision.demand.reason is DemandReason.UNKNOWN:
            bounded = max(state.plan.replicas, policy.scale.min_replicas)
            assert decision.plan.replicas <= bounded
            assert (decision.state.plan, decision.state.known_at) == (state.plan, state.known_at)
            assert decision.plan.reason in (PlanReason.HELD, PlanReason.DECAYED)


@given(histories(), policies(), replicas, st.floats(0, 100))
def test_more_warm_replicas_never_lower_a_limit(observations, policy, start, more):
    for observation, state, decision in decisions_on(observations, policy, start):
        warmer = replace(observation, warm=observation.warm + more)
        assert decide(warmer, state, policy).limit.qps >= decision.limit.qps
