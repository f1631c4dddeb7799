"""What a service costs and breaks under tidegate's floor, and what under its autoscaler alone.

Both are paired tick by tick, on the demand that is observed. The autoscaler alone is simulated
always. While the floor is on trial, so is the service under it: its autoscaler as a net under the
floor, of which a replica is ready once the lead time has passed. Once trust is earned, what is
under the floor is what runs.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from scaler.control.observations import Workload
from scaler.control.simulated_hpa import SimulatedHPA, SimulatedHPAMemory
from scaler.decision.earned_trust import HOUR_S, AutoRules, FloorEvidence, PairedHour, after_hour
from scaler.hpa.controller import HPASpec
from scaler.hpa.net import net_under

# An hour is known where so many of its seconds are.
LEAST_S = 3000.0
# A longer time between two ticks counts for nothing: nobody knows what was meanwhile.
LONGEST_TICK_S = 120.0


@dataclass(frozen=True, slots=True)
class TrialTick:
    """What a tick knows of a service.

    Attributes:
        now: seconds since the epoch.
        rules: what the evidence is judged by.
        hpa: the user's autoscaler.
        observed: demand in QPS; NaN where it is not known.
        capacity_qps: of a replica.
        workload: the pods that there are.
        plan: replicas that the floor is to be.
        lead_s: from the request for a replica until it is ready.
    """

    now: float
    rules: AutoRules
    hpa: HPASpec
    observed: float
    capacity_qps: float
    workload: Workload
    plan: int
    lead_s: float


@dataclass(frozen=True, slots=True)
class TrialHour:
    """The sums of the hour that is not over yet; ``number`` counts hours since the epoch."""

    number: int = -1
    seconds: float = 0.0
    ours: float = 0.0
    hpa: float = 0.0
    real: float = 0.0
    broken: float = 0.0
    requests: float = 0.0

    def paired(self) -> PairedHour:
        """Return the hour's means; NaN where too little of it is known."""
        at = self.number * HOUR_S
        if self.seconds < LEAST_S:
            return PairedHour(at, math.nan, math.nan, math.nan, math.nan, math.nan)
        ours, hpa, real = (total / self.seconds for total in (self.ours, self.hpa, self.real))
        return PairedHour(at, ours, hpa, real, self.broken, self.requests)


@dataclass(frozen=True, slots=True)
class TrialMemory:
    """Of `Trial`; ``arms`` are the autoscaler alone and as a net, of which ``counts`` are."""

    evidence: FloorEvidence
    hour: TrialHour
    specs: tuple[HPASpec, ...]
    arms: tuple[SimulatedHPAMemory, ...]
    counts: tuple[tuple[float, int], ...]
    ticked_at: float
    set_by_s: float


class Trial:
    """One service in mode Auto. Confined to the loop's thread."""

    def __init__(self, evidence: FloorEvidence) -> None:
        self.evidence = evidence
        self._hour = TrialHour()
        self._specs: tuple[HPASpec, ...] = ()
        self._arms: tuple[SimulatedHPA, ...] = ()  # alone, and as a net under the floor
        self._counts: deque[tuple[float, int]] = deque()  # of the net's replicas
        self._ticked_at = -math.inf
        self._set_by_s = 0.0

    def memory(self) -> TrialMemory:
        return TrialMemory(
            self.evidence,
            self._hour,
            self._specs,
            tuple(arm.memory() for arm in self._arms),
            tuple(self._counts),
            self._ticked_at,
            self._set_by_s,
        )

    @classmethod
    def recalled(cls, memory: TrialMemory) -> Trial:
        """Return the trial that this was taken from."""
        trial = cls(memory.evidence)
        trial._hour, trial._specs = memory.hour, memory.specs
        trial._arms = tuple(SimulatedHPA(spec) for spec in memory.specs)
        for arm, one in zip(trial._arms, memory.arms, strict=True):
            arm.recall(one)
        trial._counts = deque(memory.counts)
        trial._ticked_at, trial._set_by_s = memory.ticked_at, memory.set_by_s
        return trial

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set by so much: the arms' clock never is."""
        self._set_by_s += set_by_s

    def tick(self, tick: TrialTick) -> None:
        """Take a tick in: its time since the tick before counts with what is there now."""
        self._turn_hour(tick)
        steady = tick.now - self._set_by_s
        hpa, net, ready = self._simulated(tick, steady)
        seconds = steady - self._ticked_at
        self._ticked_at = steady
        if math.isnan(tick.observed) or not 0 < seconds <= LONGEST_TICK_S:
            return
        real = tick.workload.replicas
        ours = net
        if self.evidence.is_earned:
            ours = real
            ready = sum(pod.ready_at is not None for pod in tick.workload.pods)
        requests, hour = tick.observed * seconds, self._hour
        self._hour = TrialHour(
            hour.number,
            hour.seconds + seconds,
            hour.ours + ours * seconds,
            hour.hpa + hpa * seconds,
            hour.real + real * seconds,
            hour.broken + requests * (tick.observed > ready * tick.capacity_qps),
            hour.requests + requests,
        )

    def _turn_hour(self, tick: TrialTick) -> None:
        number = int(tick.now // HOUR_S)
        if number == self._hour.number:
            return
        if self._hour.number >= 0:
            hour = self._hour.paired()
            if self.evidence.is_earned:
                hour = replace(hour, real=math.nan)
            self.evidence = after_hour(self.evidence, hour, tick.rules)
        self._hour = TrialHour(number)

    def _simulated(self, tick: TrialTick, steady: float) -> tuple[int, int, int]:
        """Return the replicas of the autoscaler alone, those under the floor, and its ready ones.

        A replica is removed before an older one, so those that were there for all of the lead time
        are as many as the fewest in it.
        """
        specs = (tick.hpa, net_under(tick.hpa, tick.capacity_qps))
        if not self._arms:
            replicas = tick.workload.replicas
            self._arms = tuple(SimulatedHPA(spec, replicas) for spec in specs)
        for arm, spec in zip(self._arms, specs, strict=True):
            arm.follow_spec(spec)
        self._specs = specs
        alone, under = self._arms
        hpa = alone.sync(steady, tick.observed, tick.capacity_qps)
        net = under.sync(steady, tick.observed, tick.capacity_qps, floor=tick.plan)
        counts = self._counts
        counts.append((steady, net))
        while len(counts) > 1 and counts[1][0] <= steady - tick.lead_s:
            counts.popleft()
        return hpa, net, min(count for _, count in counts)
