"""One service while it is watched: what it remembers, and what it decides at each tick.

The loop around it asks and acts; this file has neither network nor clock. `scaler run` and `scaler
replay` drive this class alike. Moments are seconds since the epoch; demand is in requests per
second (QPS); unknown is NaN or None.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scaler.control.checkpoint import EMPTY_CHECKPOINT, ServiceCheckpoint
from scaler.control.judgement import outcome_of
from scaler.control.memory import PendingForecast, ServiceMemory
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.start_ups import StartUps
from scaler.control.tick_result import TickResult
from scaler.decision.capacity import Capacity
from scaler.decision.decide import (
    DecisionSettings,
    DecisionState,
    Observation,
    decide,
    initial_state,
    rebased_state,
)
from scaler.decision.demand import NO_FORECAST
from scaler.decision.event_levels import EventLessons
from scaler.decision.hold import is_over
from scaler.decision.lead_demand import LeadForecast, LeadQuery
from scaler.decision.lead_time import LeadTime, lead_time
from scaler.decision.limit import ready_capacity
from scaler.decision.trust import Standing, Trust, initial_trust, updated_trust
from scaler.decision.wariness import KeptReports
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Policy

# A rate that reaches back into an outage is falsely low until its window is whole again.
SILENCE_S, DISTRUST_S = 120.0, 300.0
# Samples that a forecast is judged by: more than its horizon and its age.
MOST_SAMPLES = 240


class ServiceState:
    """What one service remembers from tick to tick. Confined to the loop's thread.

    Args:
        policy: of the service.
        step_s: between two samples of the forecast's grid.
        tick_s: between two ticks.
    """

    def __init__(self, policy: Policy, step_s: float, tick_s: float) -> None:
        self._step_s, self._tick_s = step_s, tick_s
        self._trust: Trust | None = None
        self._restored = EMPTY_CHECKPOINT  # until the first decision
        self._pending: deque[PendingForecast] = deque()
        self._samples: dict[float, float] = {}  # by stamp, the latest last
        self._newest = -math.inf  # stamp of the latest sample
        self._state: DecisionState | None = None
        self._last_known: tuple[float, float] | None = None  # when demand was known, and what
        self._distrusted_until = -math.inf
        self._start_ups = StartUps()
        self.policy = policy
        self.low_qps = math.nan  # the seasonal low, as it was found last
        self.lead_time = self._lead_time()

    def follow_policy(self, policy: Policy) -> None:
        """Go on under a policy that may have changed, without forgetting."""
        if policy is not self.policy:
            self.policy = policy
            self.lead_time = self._lead_time()

    def restore(self, checkpoint: ServiceCheckpoint) -> None:
        """Go on where another process has stopped."""
        self._restored, self._trust = checkpoint, checkpoint.trust
        self._start_ups = StartUps(checkpoint.start_ups)
        self.lead_time = self._lead_time()

    def look_back(self, ratios: Mapping[str, tuple[float, ...]]) -> None:
        """Learn from what events have brought in the past, if nothing is known of them."""
        known = {**ratios, **self._restored.event_ratios}
        self._restored = replace(self._restored, event_ratios=known)
        if self._state is not None:
            lessons = self._state.event_lessons
            lessons = replace(lessons, ratios={**ratios, **lessons.ratios})
            self._state = replace(self._state, event_lessons=lessons)

    def checkpoint(
        self, learned: Capacity | None, reports: KeptReports | None = None
    ) -> ServiceCheckpoint:
        """Return what is to outlive this process; ``learned`` is the capacity, if it is that."""
        assert self._state is not None, "decide() comes first"
        return ServiceCheckpoint(
            learned,
            self._state.capacity_factor,
            self._state.event_baselines,
            self._trust,
            self._start_ups.times,
            self._state.low_spell,
            reports,
            event_ratios=self._state.event_lessons.ratios,
        )

    def memory(self) -> ServiceMemory:
        """Return all that the next tick rests on."""
        return ServiceMemory(
            self.policy,
            self._trust,
            self._restored,
            tuple(self._pending),
            np.array(list(self._samples.items()), dtype=float).reshape(-1, 2),
            self._newest,
            self._state,
            self._last_known,
            self._distrusted_until,
            self._start_ups.memory(),
            self.low_qps,
        )

    def recall(self, memory: ServiceMemory) -> None:
        """Go on as the state that this was taken from, under its policy."""
        self._trust, self._restored = memory.trust, memory.restored
        self._pending = deque(memory.pending)
        self._samples = dict(memory.samples.tolist())
        self._newest = memory.newest
        self._state, self._last_known = memory.state, memory.last_known
        self._distrusted_until = memory.distrusted_until
        self._start_ups.recall(memory.start_ups)
        self.policy, self.low_qps = memory.policy, memory.low_qps
        self.lead_time = self._lead_time()

    def rebase(self, set_by_s: float, now: float) -> None:
        """Go on under a wall clock that has been set: what is remembered is as old as before."""
        if self._state is not None:
            self._state = rebased_state(self._state, set_by_s)
        if self._last_known is not None:
            at, observed = self._last_known
            self._last_known = at + set_by_s, observed
        self._distrusted_until += set_by_s
        self._start_ups.rebase(set_by_s)
        # What was stamped later than now is measured again.
        self._samples = {at: qps for at, qps in self._samples.items() if at <= now}
        self._newest = max(self._samples, default=-math.inf)

    def lead_query(self, row: int) -> LeadQuery:
        """Return how row ``row`` of the forecast is to be read for this service."""
        rules, trust, lead_s = self.policy.trust, self._trust, self.lead_time.seconds
        if trust is None:
            steps = max(round(lead_s / self._step_s), 1)
            trust = self._trust = initial_trust(rules, steps)
        return LeadQuery(
            row,
            lead_s,
            self.policy.payback_s,
            trust.level,
            trust.theta,
            rules.judged_level,
            trust.margin,
            trust.standing is not Standing.BENCHED,
        )

    def without_implausible(self, metrics: ServiceMetrics, now: float) -> ServiceMetrics:
        """Return what was measured; a forecast is not to rest on what is implausibly low.

        That is: low for the time of day, or falsely low after an outage of the metrics.
        """
        spell = None if self._state is None else self._state.low_spell
        if not is_over(spell, self.policy.hold, now):
            metrics = metrics.without_implausible(self.low_qps)
        if self._last_known is None or not self._distrusts(metrics, now):
            return metrics
        return metrics.without_falsely_low(self._last_known[1], self._step_s)

    def take_in(self, metrics: ServiceMetrics, now: float) -> float:
        """Take in what was measured; return the observed demand that may be acted on.

        After an outage rates are falsely low until their window is whole again. Until then the
        demand known before the outage is the least that is returned.
        """
        if metrics.samples:
            self._samples.update(metrics.samples)
            self._newest = metrics.samples[-1][0]
            while len(self._samples) > MOST_SAMPLES:
                del self._samples[next(iter(self._samples))]
            self._judge()
        observed = metrics.observed_qps
        if math.isnan(observed):
            return observed
        if self._last_known is not None and self._distrusts(metrics, now):
            observed = max(observed, self._last_known[1])
        self._last_known = now, observed
        return observed

    def _distrusts(self, metrics: ServiceMetrics, now: float) -> bool:
        """Whether an outage is over, now or so short a time ago that rates reach back into it."""
        known_at = now if self._last_known is None else self._last_known[0]
        if now - known_at > SILENCE_S and not math.isnan(metrics.observed_qps):
            self._distrusted_until = now + DISTRUST_S
        return now < self._distrusted_until

    def expect(self, lead_forecast: LeadForecast, origin: float) -> None:
        """Remember what a new forecast says, to judge it when its lead time is over."""
        if self._pending and self._pending[-1].origin == origin:
            return
        last = self._samples.get(self._newest, math.nan)
        due = origin + (lead_forecast.step_range.last + 1) * self._step_s
        self._pending.append(PendingForecast(due, origin, lead_forecast, last))

    def decide(
        self,
        now: float,
        observed: float,
        metrics: ServiceMetrics,
        workload: Workload,
        capacity: Capacity,
        lead_forecast: LeadForecast | None,
    ) -> TickResult:
        """Return what follows from what is known at this tick, and remember it.

        Args:
            now: seconds since the epoch.
            observed: what `take_in` returned.
            metrics: what else was measured: latency, and what is offered at least.
            workload: the pods, and the floor that stands.
            capacity: of one warm replica.
            lead_forecast: what the forecast says; None: there is none.
        """
        if self._start_ups.observe(workload.pods, now):
            self.lead_time = self._lead_time()
        policy, ramp = self.policy, self.policy.ramp
        settings = DecisionSettings(
            capacity,
            policy.scale,
            policy.limit,
            self.lead_time.seconds,
            policy.events_after(now),
            policy.hold,
            policy.trust.risk,
        )
        latest = metrics.latest(now)  # no pod is younger because our clock is behind
        ready_s = workload.ready_s(latest)
        warm = ready_capacity(ready_s, 1.0, ramp)
        observation = Observation(
            now,
            observed,
            NO_FORECAST if lead_forecast is None else lead_forecast.lead_demand,
            warm,
            None if metrics.latency_s is None else metrics.latency_s > policy.slo.latency_s,
            observed / warm if warm > 0 and not math.isnan(observed) else 0.0,
            metrics.least_qps,
            self.low_qps,
            metrics.doubted is not None,
        )
        decision = decide(observation, self._state or self._first_state(workload, now), settings)
        self._state = decision.state
        due_in_s = workload.due_in_s(latest, self.lead_time.start_up_s)
        fleet = Fleet(ready_s, capacity.qps, ramp, due_in_s, workload.assumed)
        trust = self._trust or initial_trust(policy.trust, 1)
        return TickResult(decision, trust, self.lead_time, policy, fleet, workload.floor)

    def _judge(self) -> None:
        """Judge what forecasts said of lead times that are over by what has happened."""
        while self._pending and self._pending[0].due <= self._newest:
            outcome = outcome_of(self._pending.popleft(), self._samples, self.policy, self._step_s)
            if self._trust is not None:
                self._trust = updated_trust(self._trust, outcome, self.policy.trust, self._step_s)

    def _first_state(self, workload: Workload, now: float) -> DecisionState:
        return replace(
            initial_state(max(workload.floor, 1), now),
            capacity_factor=self._restored.factor,
            event_baselines=self._restored.usual,
            low_spell=self._restored.low_spell,
            event_lessons=EventLessons({}, self._restored.event_ratios),
        )

    def _lead_time(self) -> LeadTime:
        return lead_time(
            self._start_ups.times,
            given_s=self.policy.lead_s,
            tick_s=self._tick_s,
            warm_up_s=self.policy.ramp.duration_s,
        )
