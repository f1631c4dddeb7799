"""One decision: what is known now, in; the plan and the limit, with their reasons, out.

This file is the algorithm's table of contents: demand -> capacity -> plan -> limit. Everything it
remembers is in `DecisionState`; the same state and the same sight give the same decision.
Moments are seconds since the epoch; unknown is NaN or None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scaler.decision.capacity import Capacity, Feedback, corrected_factor, lowered
from scaler.decision.demand import (
    AnnouncedEvent,
    Demand,
    DemandReason,
    LeadDemand,
    event_demand,
    expected_demand,
    usual_before,
)
from scaler.decision.limit import Limit, LimitPolicy, limit_for
from scaler.decision.replicas import (
    Plan,
    PlanReason,
    ScalePolicy,
    WantedHistory,
    make_plan,
    plan_without_data,
    within_window,
)


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """What an operator asks for one service.

    Attributes:
        capacity: of one ready replica, as given or learned.
        scale: bounds and steps of the replicas.
        limit: headroom and ceiling of what may be admitted.
        lead_s: until a replica that is asked for now is warm.
        events: announced beforehand.
        feedback: how a missed SLO lowers the capacity that is believed.
    """

    capacity: Capacity
    scale: ScalePolicy = field(default_factory=ScalePolicy)
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    lead_s: float = 120.0
    events: tuple[AnnouncedEvent, ...] = ()
    feedback: Feedback = field(default_factory=Feedback)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at one tick.

    Attributes:
        observed_qps: offered demand, admitted and rejected; NaN where unknown.
        ahead: what the forecast says.
        warm: ready replicas, each that still warms up counted by what it serves already.
        over_slo: whether latency or errors have been over the SLO of late; None where unknown.
        replica_qps: demand per warm replica over that same time.
    """

    now: float
    observed_qps: float
    ahead: LeadDemand
    warm: float
    over_slo: bool | None = None
    replica_qps: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionState:
    """What one decision leaves to the next.

    Attributes:
        plan: the last one that rested on something known.
        known_at: when that was.
        recent: what was wanted within the stabilization window.
        factor: by which overload has lowered the capacity.
        usual: demand expected for the start of each event, by name.
        held: replicas that silence since then has left of the plan; None where there was none.
    """

    plan: Plan
    known_at: float
    recent: WantedHistory = ()
    factor: float = 1.0
    usual: Mapping[str, float] = field(default_factory=dict)
    held: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, what bound it, and what to remember."""

    plan: Plan
    limit: Limit
    demand: Demand
    capacity: Capacity
    state: DecisionState

    def why(self) -> dict[str, object]:
        """Return the reasons as plain values, for a log line or a status; unknown is None."""
        qps = self.demand.qps
        return {
            "demand": self.demand.reason.value,
            "demand_qps": None if math.isnan(qps) else qps,
            "event": self.demand.event,
            "capacity": self.capacity.reason.value,
            "capacity_qps": self.capacity.qps,
            "plan": self.plan.reason.value,
            "replicas": self.plan.replicas,
            "wanted": self.plan.wanted,
            "limit": self.limit.reason.value,
            "limit_qps": self.limit.qps,
        }


def first_state(replicas: int, now: float) -> DecisionState:
    """Return the state of a service that runs ``replicas`` and is seen for the first time."""
    return DecisionState(Plan(replicas, PlanReason.HELD, None), now)


def decide(observation: Observation, state: DecisionState, policy: DecisionSettings) -> Decision:
    """Return the decision that follows from what is known now and what was decided before."""
    now, observed = observation.now, observation.observed_qps
    event, usual = None, state.usual
    if policy.events:
        usual = usual_before(policy.events, dict(usual), observation.ahead, observed, now)
        event = event_demand(policy.events, usual, now, now + policy.lead_s)
    demand = expected_demand(observation.ahead, observed, event)
    factor = state.factor
    if observation.over_slo is not None:
        load = observation.replica_qps / (policy.capacity.qps * factor)
        factor = corrected_factor(
            factor, over_slo=observation.over_slo, load=load, feedback=policy.feedback
        )
    capacity = lowered(policy.capacity, factor)
    plan, after = _planned(observation, state, policy.scale, demand, capacity.qps)
    after = replace(after, factor=factor, usual=usual)
    # Ready, not planned: a replica that is still starting serves nothing.
    ready_qps = policy.capacity.qps * observation.warm
    limit = limit_for(ready_qps, policy.limit, feedback=factor)
    return Decision(plan, limit, demand, capacity, after)


def _planned(
    observation: Observation,
    state: DecisionState,
    scale: ScalePolicy,
    demand: Demand,
    capacity_qps: float,
) -> tuple[Plan, DecisionState]:
    """Return the plan, and the state with it where it rests on something known."""
    silent = plan_without_data(state.plan.replicas, observation.now - state.known_at, scale)
    in_the_dark = silent, replace(state, held=silent.replicas)
    if demand.reason is DemandReason.UNKNOWN:
        return in_the_dark
    previous = state.plan.replicas if state.held is None else state.held
    recent = within_window(state.recent, observation.now, scale)
    plan = make_plan(demand, capacity_qps, previous, recent, scale)
    wanted = plan.wanted if plan.wanted is not None else plan.replicas
    # An event raises what is held in the dark; to lower it, more must be known than the event.
    if (
        wanted < silent.replicas
        and math.isnan(observation.observed_qps)
        and not observation.ahead.speaks
    ):
        return in_the_dark
    return plan, DecisionState(plan, observation.now, (*recent, (observation.now, wanted)))
