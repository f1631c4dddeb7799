"""The plan: how many replicas to run at least, and which rule bound that number.

A plan is a floor for the HorizontalPodAutoscaler, which may run more. Times are seconds since the
epoch.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from scaler.decision.demand import Demand

# A plan stands where the demand exceeds what it serves by no more than this share: about an exact
# multiple of what a replica serves, noise would else ask for two plans in turns. The HPA's own
# tolerance is ten times as much.
NOISE = 0.01

# (time, replicas wanted) at each tick, ascending in time.
WantedHistory = tuple[tuple[float, int], ...]


class PlanReason(enum.Enum):
    """What bound the plan."""

    WANTED = "wanted"  # the demand alone; see `replicas_wanted`
    NEEDED_AGAIN = "needed_again"  # a replica stopped now would be needed again too soon to pay off
    STABILIZED = "stabilized"  # more was wanted within the stabilization window
    STEP_UP = "step_up"
    STEP_DOWN = "step_down"
    MIN_REPLICAS = "min_replicas"
    MAX_REPLICAS = "max_replicas"
    HELD = "held"  # without data, the last plan holds for its lifetime
    DECAYED = "decayed"  # without data for longer, the plan decays towards min_replicas


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """The bounds of a plan.

    Attributes:
        min_replicas, max_replicas: bounds, both included.
        target_utilization: planned demand per replica as a share of its capacity.
        stabilization_s: window within which the highest number wanted holds back a scale-down.
        max_step_up, max_step_down: replicas per plan; None for no limit.
        lifetime_s: how long the last plan holds without data.
        half_life_s: after that, the time in which the plan's excess over ``min_replicas`` halves.
    """

    min_replicas: int = 1
    max_replicas: int = 100
    target_utilization: float = 0.8
    stabilization_s: float = 300.0
    max_step_up: int | None = None
    max_step_down: int | None = None
    lifetime_s: float = 900.0
    half_life_s: float = 900.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"min_replicas is {self.min_replicas} and max_replicas {self.max_replicas}, but "
                "1 <= min_replicas <= max_replicas must hold"
            )
        if not 0 < self.target_utilization < math.inf:
            raise ValueError(
                f"target_utilization is {self.target_utilization}, but must be above 0"
            )
        for name in ("max_step_up", "max_step_down"):
            step = getattr(self, name)
            if step is not None and step < 1:
                raise ValueError(f"{name} is {step}, but must be at least 1, or None for no limit")
        for name in ("stabilization_s", "lifetime_s", "half_life_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0")


@dataclass(frozen=True, slots=True)
class Plan:
    """The least number of replicas to run.

    Attributes:
        replicas: the number.
        reason: which rule bound it.
        wanted: what the demand alone asks for, see `replicas_wanted`; None where it is unknown.
    """

    replicas: int
    reason: PlanReason
    wanted: int | None


def replicas_for(qps: float, replica_qps: float) -> int:
    """Return the replicas that serve ``qps`` when each serves ``replica_qps``.

    >>> replicas_for(200.0, 50.0 * 0.8)  # 200 QPS / (50 QPS x 0.8)
    5
    """
    # An excess of a millionth of a replica is a rounding error, not demand.
    return math.ceil(qps / replica_qps - 1e-6)


def replicas_wanted(qps: float, replica_qps: float, previous: int) -> int:
    """Return the replicas that serve ``qps``, or ``previous`` where only `NOISE` asks for more.

    >>> [replicas_wanted(qps, 40.0, previous=10) for qps in (404.0, 405.0, 360.0, 359.0)]
    [10, 11, 9, 9]
    """
    wanted = replicas_for(qps, replica_qps)
    without_noise = replicas_for(qps / (1.0 + NOISE), replica_qps)
    return previous if without_noise <= previous < wanted else wanted


def make_plan(
    demand: Demand, capacity_qps: float, previous: int, recent: WantedHistory, policy: ScalePolicy
) -> Plan:
    """Return the plan for a known demand.

    Args:
        demand: the demand to be ready for.
        capacity_qps: QPS that one ready replica sustains.
        previous: replicas of the plan before.
        recent: replicas wanted within the stabilization window; see `within_window`.
        policy: bounds and step sizes.
    """
    replica_qps = capacity_qps * policy.target_utilization
    wanted = replicas = replicas_wanted(demand.qps, replica_qps, previous)
    reason = PlanReason.WANTED
    if wanted < previous:
        payback = min(replicas_for(demand.payback_qps, replica_qps), previous)
        if payback > replicas:
            replicas, reason = payback, PlanReason.NEEDED_AGAIN
        for _, earlier in recent:
            if replicas < earlier:
                replicas, reason = min(earlier, previous), PlanReason.STABILIZED
        if policy.max_step_down is not None and replicas < previous - policy.max_step_down:
            replicas, reason = previous - policy.max_step_down, PlanReason.STEP_DOWN
    elif policy.max_step_up is not None and wanted > previous + policy.max_step_up:
        replicas, reason = previous + policy.max_step_up, PlanReason.STEP_UP
    if replicas > policy.max_replicas:
        return Plan(policy.max_replicas, PlanReason.MAX_REPLICAS, wanted)
    if replicas < policy.min_replicas:
        return Plan(policy.min_replicas, PlanReason.MIN_REPLICAS, wanted)
    return Plan(replicas, reason, wanted)


def plan_without_data(previous: int, without_data_s: float, policy: ScalePolicy) -> Plan:
    """Return the plan when there has been no data for ``without_data_s`` seconds.

    It holds for the policy's lifetime and then decays exponentially towards ``min_replicas``.
    ``previous`` are the replicas of the last plan that was made from data.

    >>> policy = ScalePolicy(min_replicas=2, lifetime_s=900, half_life_s=900)
    >>> [plan_without_data(10, s, policy).replicas for s in (0, 900, 1800, 3600, 36000)]
    [10, 10, 6, 3, 2]
    """
    above = max(min(previous, policy.max_replicas) - policy.min_replicas, 0)
    overdue_s = without_data_s - policy.lifetime_s
    if overdue_s <= 0:
        return Plan(policy.min_replicas + above, PlanReason.HELD, None)
    left = above * 0.5 ** (overdue_s / policy.half_life_s) if policy.half_life_s else 0.0
    # Rounds half down, so that the last replica above the floor is removed in the end.
    kept = math.ceil(left - 0.5) if left < above else above
    return Plan(policy.min_replicas + kept, PlanReason.DECAYED, None)


def within_window(recent: WantedHistory, now: float, policy: ScalePolicy) -> WantedHistory:
    """Return the entries younger than the stabilization window."""
    since = now - policy.stabilization_s
    for place, (at, _) in enumerate(recent):
        if at > since:
            return recent[place:]
    return ()
