"""One decision: from one observation to the plan, the limit, and the reason for each.

This module is the table of contents of the algorithm: demand -> capacity -> plan -> limit. All that
it remembers is in `DecisionState`; the same state and the same observation give the same decision.
Times are seconds since the epoch; an unknown value is NaN or None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scaler.decision.capacity import Capacity, corrected_factor, lowered_capacity
from scaler.decision.demand import (
    UNKNOWN_DEMAND,
    AnnouncedEvent,
    Demand,
    DemandReason,
    LeadDemand,
    event_demand,
    expected_demand,
    updated_event_baselines,
)
from scaler.decision.event_levels import NO_LESSONS, EventLessons
from scaler.decision.hold import HoldRules, LowSpell, held_qps, rebased_spell, updated_spell
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
    """The settings of one service that do not change between decisions.

    Attributes:
        capacity: of one ready replica, as given or learned.
        scale: bounds and step sizes of the plan.
        limit: headroom and ceiling of the limit.
        lead_s: lead time, from the request for a replica until it is warm.
        events: announced events that raise demand.
        hold: what is held while demand is implausibly low.
        risk: accepted share of learned events that bring more than is planned for.
    """

    capacity: Capacity
    scale: ScalePolicy = field(default_factory=ScalePolicy)
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    lead_s: float = 120.0
    events: tuple[AnnouncedEvent, ...] = ()
    hold: HoldRules = field(default_factory=HoldRules)
    risk: float = 0.05


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at one tick.

    Attributes:
        observed_qps: offered demand, admitted and rejected requests; NaN where unknown.
        lead_demand: the forecast over the lead time.
        warm: ready replicas; one that is still warming up counts as the share that it can serve.
        over_slo: whether latency or errors have exceeded the SLO recently; None where unknown.
        replica_qps: demand per warm replica over the same time.
        least_qps: where ``observed_qps`` is unknown: at least so much is offered; NaN if nothing
            is known at all. It may raise a plan, never lower one.
        low_qps: the seasonal low; see `seasonal_low`.
        doubted: whether ``least_qps`` stands for demand that was measured in whole, but is doubted.
    """

    now: float
    observed_qps: float
    lead_demand: LeadDemand
    warm: float
    over_slo: bool | None = None
    replica_qps: float = 0.0
    least_qps: float = math.nan
    low_qps: float = math.nan
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class DecisionState:
    """What one decision remembers for the next.

    Attributes:
        plan: the last plan that was made from data.
        known_at: when that plan was made.
        recent: replicas wanted at each tick within the stabilization window.
        capacity_factor: the overload factor that lowers the capacity; see `corrected_factor`.
        event_baselines: demand expected at the start of each event, by the event's name.
        replicas_without_data: what the plan has decayed to since the data stopped; None while
            there is data.
        founded: whether a plan has rested on demand that was measured in whole: until then no limit
            is known.
        low_spell: the time of implausibly low demand that it is.
        event_lessons: what events have brought.
    """

    plan: Plan
    known_at: float
    recent: WantedHistory = ()
    capacity_factor: float = 1.0
    event_baselines: Mapping[str, float] = field(default_factory=dict)
    replicas_without_data: int | None = None
    founded: bool = False
    low_spell: LowSpell | None = None
    event_lessons: EventLessons = NO_LESSONS


@dataclass(frozen=True, slots=True)
class Decision:
    """The plan and the limit, what they were computed from, and the state for the next decision."""

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


def initial_state(replicas: int, now: float) -> DecisionState:
    """Return the state before the first decision on a service that runs ``replicas``."""
    return DecisionState(Plan(replicas, PlanReason.HELD, None), now)


def rebased_state(state: DecisionState, set_by_s: float) -> DecisionState:
    """Return the state as old as it was, by a wall clock that has been set by so much."""
    recent = tuple((at + set_by_s, wanted) for at, wanted in state.recent)
    spell = rebased_spell(state.low_spell, set_by_s)
    lessons = state.event_lessons.rebased(set_by_s)
    known_at = state.known_at + set_by_s
    return replace(state, known_at=known_at, recent=recent, low_spell=spell, event_lessons=lessons)


def decide(observation: Observation, state: DecisionState, settings: DecisionSettings) -> Decision:
    """Return the decision that follows from the observation and the state before it."""
    now, observed = observation.now, observation.observed_qps
    event, baselines, lessons = None, state.event_baselines, state.event_lessons
    if settings.events or lessons.watches:
        lessons = lessons.after(settings.events, now, observed)
        events = [lessons.applied(one, settings.risk) for one in settings.events]
        baselines = updated_event_baselines(
            events, dict(baselines), observation.lead_demand, observed, now
        )
        baselines |= lessons.baselines(events, now)
        event = event_demand(events, baselines, now, now + settings.lead_s)
    offered = observation.least_qps if math.isnan(observed) else observed
    spell = updated_spell(state.low_spell, observed, observation.low_qps, now)
    held = held_qps(spell, observation.low_qps, settings.hold, now)
    demand = expected_demand(observation.lead_demand, offered, event, held)
    factor = state.capacity_factor
    if observation.over_slo is not None:
        load = observation.replica_qps / (settings.capacity.qps * factor)
        factor = corrected_factor(factor, over_slo=observation.over_slo, load=load)
    capacity = lowered_capacity(settings.capacity, factor)
    plan, after = _plan(observation, state, settings.scale, demand, capacity.qps)
    if after.replicas_without_data is not None and demand.reason is not DemandReason.EVENT:
        demand = UNKNOWN_DEMAND  # what is known of it asks for less than is held
    after = DecisionState(
        after.plan,
        after.known_at,
        after.recent,
        factor,
        baselines,
        after.replicas_without_data,
        after.founded,
        spell,
        lessons,
    )
    # The limit counts ready replicas, not planned ones: a replica that is starting serves nothing.
    ready_qps = settings.capacity.qps * observation.warm
    limit = limit_for(ready_qps, settings.limit, capacity_factor=factor)
    return Decision(plan, limit, demand, capacity, after)


def _plan(
    observation: Observation,
    state: DecisionState,
    scale: ScalePolicy,
    demand: Demand,
    capacity_qps: float,
) -> tuple[Plan, DecisionState]:
    """Return the plan and the next state; a plan made without data leaves ``state.plan`` as is."""
    # What is doubted is no less than what was measured. Without a limit no gateway could report.
    founded = state.founded or observation.doubted
    if demand.reason is not DemandReason.UNKNOWN:
        is_observed = not math.isnan(observation.observed_qps)
        held, now = state.replicas_without_data, observation.now
        previous = state.plan.replicas if held is None else held
        recent = within_window(state.recent, now, scale)
        plan = make_plan(demand, capacity_qps, previous, recent, scale)
        wanted = plan.wanted if plan.wanted is not None else plan.replicas
        # Where the demand is not observed, a forecast, an event or a part of the demand may raise
        # the plan, not lower it.
        if is_observed or wanted > _held(observation, state, scale).replicas:
            recent = (*recent, (now, wanted))
            return plan, DecisionState(plan, now, recent, founded=founded or is_observed)
    fallback = _held(observation, state, scale)
    return fallback, replace(state, founded=founded, replicas_without_data=fallback.replicas)


def _held(observation: Observation, state: DecisionState, scale: ScalePolicy) -> Plan:
    """Return the plan where there are no data."""
    return plan_without_data(state.plan.replicas, observation.now - state.known_at, scale)
