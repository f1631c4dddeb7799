"""One service while it is watched: what it remembers, and what follows at each tick.

The shell around it asks and acts; this file has neither network nor clock. Moments are seconds
since the epoch; demand is in requests per second (QPS); unknown is NaN or None.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from scaler.control.checkpoint import EMPTY_CHECKPOINT, ServiceCheckpoint
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.snapshot import CostLedger, RecentTicks
from scaler.control.tick_history import TickHistory
from scaler.decision.capacity import Capacity
from scaler.decision.decide import (
    Decision,
    DecisionSettings,
    DecisionState,
    Observation,
    decide,
    initial_state,
)
from scaler.decision.demand import NO_FORECAST, unforeseeable
from scaler.decision.lead_demand import LeadForecast, LeadQuery
from scaler.decision.lead_time import lead_time_s
from scaler.decision.limit import Ramp, ready_capacity
from scaler.decision.quantiles import surprisals
from scaler.decision.trust import ForecastOutcome, Standing, Trust, initial_trust, updated_trust
from scaler.hpa.controller import HPA, HPASpec, MetricKind, Reading
from scaler.limits.published_limit import PublishedLimit, published_limit
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Policy

# A rate that reaches back into an outage is falsely low until its window is whole again.
SILENCE_S, DISTRUST_S = 120.0, 300.0


@dataclass(frozen=True, eq=False, slots=True)
class _PendingForecast:
    """What a forecast said, until its lead time is over: its last step ends at ``due``."""

    due: float
    origin: float
    lead_forecast: LeadForecast
    levels: tuple[float, ...]
    last_qps: float


@dataclass(frozen=True, eq=False, slots=True)
class TickResult:
    """What one tick came to for a service."""

    decision: Decision
    published_limit: PublishedLimit
    trust: Trust
    hpa_replicas: int
    ledger: CostLedger


class ServiceState:
    """One service's memory. Confined to the loop's thread."""

    def __init__(self, policy: Policy, hpa: HPASpec, step_s: float) -> None:
        self.policy, self._step_s = policy, step_s
        self._hpa, self._hpa_replicas = HPA(hpa), 0
        self._trust: Trust | None = None
        self._remembered = EMPTY_CHECKPOINT  # until the first decision
        self._said: deque[_PendingForecast] = deque()
        self._samples: deque[tuple[float, float]] = deque(maxlen=240)
        self._state: DecisionState | None = None
        self._ledger = CostLedger()
        self._known: tuple[float, float] | None = None  # when demand was last known, and what
        self._distrusted_until = -math.inf
        self._ticked_at: float | None = None
        self._start_ups: deque[float] = deque(maxlen=100)
        self._recent = TickHistory()

    def follow_policy(self, policy: Policy, hpa: HPASpec) -> None:
        """Go on under a policy that may have changed, without forgetting."""
        self.policy = policy
        if hpa != self._hpa.spec:
            self._hpa = HPA(hpa)

    def remember(self, checkpoint: ServiceCheckpoint) -> None:
        """Start where another process has stopped."""
        self._remembered, self._trust = checkpoint, checkpoint.trust

    def checkpoint(self, learned: Capacity | None) -> ServiceCheckpoint:
        """Return what is to outlive this process; ``learned`` is the capacity, if it is that."""
        assert self._state is not None, "follow() comes first"
        return ServiceCheckpoint(
            learned, self._state.capacity_factor, self._state.event_baselines, self._trust
        )

    def need(self, row: int) -> LeadQuery:
        """Return how the forecast is to be read for this service."""
        rules, trust = self.policy.trust, self._trust
        lead = self._lead_s
        if trust is None:
            steps = max(round(lead / self._step_s), 1)
            trust = self._trust = initial_trust(rules, steps)
        return LeadQuery(
            row,
            lead,
            self.policy.payback_s,
            trust.level,
            trust.theta,
            rules.judged_level,
            trust.margin,
            trust.standing is not Standing.BENCHED,
        )

    def hear(self, heard: ServiceMetrics, now: float) -> float:
        """Take in what the metrics say; return the observed demand that may be acted on.

        After an outage rates are falsely low until their window is whole again: until then the
        demand known before it is not gone below.
        """
        self._samples.extend(heard.samples)
        self._judge()
        observed = heard.observed_qps
        if math.isnan(observed):
            return observed
        if self._known is not None and now - self._known[0] > SILENCE_S:
            self._distrusted_until = now + DISTRUST_S
        before = self._known[1] if self._known is not None else observed
        if now < self._distrusted_until:
            observed = max(observed, before)
        self._known = now, observed
        return observed

    def told(self, lead_forecast: LeadForecast, origin: float, levels: tuple[float, ...]) -> None:
        """Remember what a new forecast says, to judge it when its lead time is over."""
        if self._said and self._said[-1].origin == origin:
            return
        last = self._samples[-1][1] if self._samples else math.nan
        due = origin + (lead_forecast.step_range.last + 1) * self._step_s
        self._said.append(_PendingForecast(due, origin, lead_forecast, levels, last))

    def _judge(self) -> None:
        """Hold what was said against what has happened since."""
        newest = self._samples[-1][0] if self._samples else -math.inf
        while self._said and self._said[0].due <= newest:
            said = self._said.popleft()
            outcome = self._outcome(said)
            if self._trust is not None:
                self._trust = updated_trust(self._trust, outcome, self.policy.trust, self._step_s)

    def _outcome(self, said: _PendingForecast) -> ForecastOutcome:
        lead_forecast, span = said.lead_forecast, said.lead_forecast.step_range
        begin = said.origin + span.first * self._step_s
        known = dict(self._samples)
        stamps = [begin + (h + 1) * self._step_s for h in range(span.steps)]
        seen = [known.get(stamp, math.nan) for stamp in stamps]
        happened = np.where(unforeseeable(self.policy.events, stamps), math.nan, seen)[None]
        surprise = surprisals(lead_forecast.step_quantiles[None], said.levels, happened)
        return ForecastOutcome(
            span.steps,
            float(surprise[0]),
            lead_forecast.lead_demand.lead_qps,
            lead_forecast.judged_qps,
            said.last_qps,
            float(happened.max()),
        )

    def follow(
        self,
        now: float,
        observed: float,
        heard: ServiceMetrics,
        workload: Workload,
        capacity: Capacity,
        lead_forecast: LeadForecast | None,
    ) -> TickResult:
        """Return what follows from what is known at this tick, and remember it."""
        self._start_ups.extend(workload.start_ups[-1:])
        policy, ramp = self._core(capacity), Ramp()
        state = self._state or self._first_state(workload, now)
        warm = ready_capacity(workload.ready_s, 1.0, ramp)
        over = None
        if heard.latency_s is not None:
            over = heard.latency_s > self.policy.slo.latency_s
        observation = Observation(
            now,
            observed,
            lead_forecast.lead_demand if lead_forecast is not None else NO_FORECAST,
            warm,
            over,
            observed / warm if warm > 0 and not math.isnan(observed) else 0.0,
        )
        decision = decide(observation, state, policy)
        self._state = decision.state
        fleet = Fleet(workload.ready_s, capacity.qps, ramp, workload.due_in_s)
        published = published_limit(
            decision, fleet, workload.floor, policy.limit, self.policy.classes
        )
        hpa = self._plain_hpa(now, observed, capacity.qps)
        self._count(now, workload, observed / capacity.qps, hpa)
        self._recent.append(
            now, (observed, workload.replicas, decision.plan.replicas, hpa, published.limit.qps)
        )
        assert self._trust is not None or lead_forecast is None
        trust = self._trust or initial_trust(self.policy.trust, 1)
        return TickResult(decision, published, trust, hpa, self._ledger)

    def recent(self) -> RecentTicks:
        """Return what was observed and decided of late."""
        return self._recent.shown()

    def _first_state(self, workload: Workload, now: float) -> DecisionState:
        first = initial_state(max(workload.floor, 1), now)
        return replace(
            first,
            capacity_factor=self._remembered.factor,
            event_baselines=self._remembered.usual,
        )

    def _core(self, capacity: Capacity) -> DecisionSettings:
        policy = self.policy
        return DecisionSettings(capacity, policy.scale, policy.limit, self._lead_s, policy.events)

    @property
    def _lead_s(self) -> float:
        """Until a replica that is asked for now is warm: as the policy says, else as learned."""
        if self.policy.lead_s is not None:
            return self.policy.lead_s
        return lead_time_s(tuple(self._start_ups))

    def _plain_hpa(self, now: float, observed: float, capacity_qps: float) -> int:
        """Return what the autoscaler alone would have: the counterfactual."""
        current = self._hpa_replicas or self._hpa.spec.min_replicas
        reading = None
        if not math.isnan(observed):
            utilization = self._hpa.spec.metric is MetricKind.UTILIZATION
            unit = capacity_qps if utilization else 1.0
            reading = Reading(observed / unit, current)
        self._hpa_replicas = self._hpa.sync(now, current, reading).replicas
        return self._hpa_replicas

    def _count(self, now: float, workload: Workload, need: float, hpa: int) -> None:
        """Add the time since the tick before to the ledger; ``need`` is in replicas at capacity."""
        if self._ticked_at is not None:
            seconds = max(now - self._ticked_at, 0.0)
            hours, ledger = seconds / 3600, self._ledger
            self._ledger = CostLedger(
                ledger.seconds + seconds,
                ledger.replica_hours + workload.replicas * hours,
                ledger.hpa_replica_hours + hpa * hours,
                ledger.short_s + seconds * (need > len(workload.ready_s)),
                ledger.hpa_short_s + seconds * (need > hpa),
            )
        self._ticked_at = now
