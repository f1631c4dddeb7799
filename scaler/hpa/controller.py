"""The HPA controller: bounds, stabilization and scaling policies, one sync at a time.

Source: kubernetes/kubernetes, `pkg/controller/podautoscaler/horizontal.go` as of v1.33
(`reconcileAutoscaler`, `stabilizeRecommendationWithBehaviors`,
`convertDesiredReplicasWithBehaviorRate`, `storeScaleEvent`); described on kubernetes.io,
"Horizontal Pod Autoscaling". An HPA without `behavior` takes a path of its own, which is not that
of the documented defaults (`normalizeDesiredReplicas`, `convertDesiredReplicasWithRules`).

Rules of this file: the caller owns the clock and applies the result of `sync` at once. A sync
without a change must be cheap, as a replay runs millions of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from scaler.hpa.calculator import calculators_of
from scaler.hpa.rules import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPASpec,
    MetricGoal,
    MetricKind,
    PolicyKind,
    Reading,
    Reason,
    Recommendation,
    ScalingPolicy,
    ScalingRules,
    Select,
)

__all__ = [
    "DEFAULT_SCALE_DOWN",
    "DEFAULT_SCALE_UP",
    "HPA",
    "HPAMemory",
    "HPASpec",
    "MetricGoal",
    "MetricKind",
    "PolicyKind",
    "Reading",
    "Reason",
    "Recommendation",
    "ScalingPolicy",
    "ScalingRules",
    "Select",
]

# (time, number of pods); the number is > 0 in either direction.
ScaleEvent = tuple[float, int]


@dataclass(frozen=True, slots=True)
class HPAMemory:
    """All that the next sync of an `HPA` rests on, beside its spec."""

    now: float
    lowest: tuple[tuple[float, int], ...]
    highest: tuple[tuple[float, int], ...]
    ups: tuple[ScaleEvent, ...]
    downs: tuple[ScaleEvent, ...]


class HPA:
    """One autoscaler's state: its recent recommendations and its recent scale events.

    >>> hpa = HPA(HPASpec(1, 40, MetricKind.PODS, target=50))
    >>> hpa.sync(0.0, 4, Reading(total=300, ready=4))  # 300 / 50 = 6
    Recommendation(replicas=6, wanted=6, reason=<Reason.DESIRED_WITHIN_RANGE: 'DesiredWithinRange'>)
    """

    def __init__(self, spec: HPASpec) -> None:
        self.spec = spec
        self._up, self._down = spec.up, spec.down
        self._normalized = self._behave if spec.has_behavior else self._without_behavior
        self._wanted, *self._more_wanted = calculators_of(spec)
        self._now = -math.inf
        # Recommendations that can still be the lowest (up) or highest (down) of their window.
        # Values ascend (descend) from the front, so the first one is the current extreme.
        self._lowest: deque[tuple[float, int]] = deque()
        self._highest: deque[tuple[float, int]] = deque()
        self._ups: list[ScaleEvent] = []
        self._downs: list[ScaleEvent] = []

    def memory(self) -> HPAMemory:
        """Return all that the next sync rests on."""
        lowest, highest = tuple(self._lowest), tuple(self._highest)
        return HPAMemory(self._now, lowest, highest, tuple(self._ups), tuple(self._downs))

    def recall(self, memory: HPAMemory) -> None:
        """Go on as the autoscaler that this was taken from, under its spec."""
        self._now = memory.now
        self._lowest, self._highest = deque(memory.lowest), deque(memory.highest)
        self._ups, self._downs = list(memory.ups), list(memory.downs)

    def sync(
        self,
        now: float,
        current: int,
        reading: Reading | None,
        *,
        floor: int | None = None,
        more: Sequence[Reading | None] = (),
    ) -> Recommendation:
        """Return the count to set now, and record it as set.

        A count outside the bounds is set to the bound at once, without metric, stabilization or
        policies. A count within them stays if there is no metric. A count of 0 stays 0 unless that
        is within the bounds: the workload is switched off. Source: `reconcileAutoscaler` in
        horizontal.go.

        Args:
            now: seconds; never earlier than at the previous sync.
            current: the workload's `spec.replicas`.
            reading: the first metric; None: it could not be read.
            floor: a raised `minReplicas` that applies now; it is bounded by the maximum.
            more: further metrics, in the order of the spec.
        """
        if now < self._now:
            raise ValueError(f"now is {now}, but the previous sync was at {self._now}")
        if self._now == -math.inf:
            self._lowest.append((now, current))
            self._highest.append((now, current))
        self._now = now
        low, high = self.spec.lowest, self.spec.max_replicas
        if floor is not None and floor > low:
            low = min(floor, high)
        if not low <= current <= high:
            return self._into_bounds(current, low, high)
        wanted = None if reading is None else self._wanted(current, reading)
        if self._more_wanted:
            wanted = self._highest_wish(current, wanted, more)
        if wanted is None:
            return Recommendation(current, current, Reason.FAILED_GET_METRIC)
        return self._normalized(current, wanted, low, high)

    def _highest_wish(
        self, current: int, first: int | None, more: Sequence[Reading | None]
    ) -> int | None:
        """Return what the metric asks for that asks for most; None: nothing is changed.

        Where one cannot be read, the others only raise. Source: `computeReplicasForMetrics`.
        """
        rest = zip(self._more_wanted, more, strict=True)
        wishes = [first, *(None if one is None else wanted(current, one) for wanted, one in rest)]
        known = [wish for wish in wishes if wish is not None]
        if not known or (len(known) < len(wishes) and max(known) < current):
            return None
        return max(known)

    def _into_bounds(self, current: int, low: int, high: int) -> Recommendation:
        if current <= 0:
            if current < 0:
                raise ValueError(f"current is {current}, but it must be >= 0")
            return Recommendation(0, 0, Reason.SCALING_DISABLED)
        replicas = high if current > high else low
        self._remember(current, replicas)
        reason = Reason.TOO_MANY_REPLICAS if current > high else Reason.TOO_FEW_REPLICAS
        return Recommendation(replicas, current, reason)

    def _without_behavior(self, current: int, wanted: int, low: int, high: int) -> Recommendation:
        """Return the recommendation where the spec has no `behavior`.

        The highest recommendation of the window stands, even above the current count. One that is
        exactly as old as the window still counts, unlike with `behavior`. At most twice the current
        count, or 4.
        Source: `normalizeDesiredReplicas` in horizontal.go, and what it calls.
        """
        highest, cutoff = self._highest, self._now - self._down.stabilization_s
        while highest and highest[0][0] < cutoff:
            highest.popleft()
        while highest and highest[-1][1] <= wanted:
            highest.pop()
        highest.append((self._now, wanted))
        stable, limit = highest[0][1], max(2 * current, 4)
        if stable < low:
            return Recommendation(low, wanted, Reason.TOO_FEW_REPLICAS)
        if stable > min(limit, high):
            bound = Reason.SCALE_UP_LIMIT if high > limit else Reason.TOO_MANY_REPLICAS
            return Recommendation(min(limit, high), wanted, bound)
        held = Reason.SCALE_DOWN_STABILIZED if stable > wanted else Reason.DESIRED_WITHIN_RANGE
        return Recommendation(stable, wanted, held)

    def _behave(self, current: int, wanted: int, low: int, high: int) -> Recommendation:
        """Return the recommendation after stabilization and policies, with the rule that bound.

        If both bound, the reason names the policies.
        """
        stable = self._stabilize(current, wanted)
        replicas, limit = current, None
        if stable > current:
            replicas, limit = self._limit_up(current, stable, high)
        elif stable < current:
            replicas, limit = self._limit_down(current, stable, low)
        if replicas != current:
            self._remember(current, replicas)
        if limit is not None:
            return Recommendation(replicas, wanted, limit)
        if stable == wanted:
            return Recommendation(replicas, wanted, Reason.DESIRED_WITHIN_RANGE)
        up = wanted >= current
        return Recommendation(
            replicas, wanted, Reason.SCALE_UP_STABILIZED if up else Reason.SCALE_DOWN_STABILIZED
        )

    def _stabilize(self, current: int, wanted: int) -> int:
        """Return the stabilized count, after adding ``wanted`` to the recent recommendations.

        It is the count nearest to the current one between the lowest recommendation of the scale-up
        window and the highest of the scale-down window, this one included. A recommendation exactly
        as old as the window does not count.
        Source: `stabilizeRecommendationWithBehaviors` in horizontal.go.
        """
        now = self._now
        lowest, cutoff = self._lowest, now - self._up.stabilization_s
        while lowest and lowest[0][0] <= cutoff:
            lowest.popleft()
        while lowest and lowest[-1][1] >= wanted:
            lowest.pop()
        lowest.append((now, wanted))
        highest, cutoff = self._highest, now - self._down.stabilization_s
        while highest and highest[0][0] <= cutoff:
            highest.popleft()
        while highest and highest[-1][1] <= wanted:
            highest.pop()
        highest.append((now, wanted))
        if current < lowest[0][1]:
            return lowest[0][1]
        return min(current, highest[0][1])

    def _limit_up(self, current: int, stable: int, high: int) -> tuple[int, Reason | None]:
        """Return the count that policies and maximum allow on a scale-up, and which bound it.

        Percentages are rounded up, so that one pod can become two.
        Source: `calculateScaleUpLimitWithScalingRules` in horizontal.go.
        """
        rules = self._up
        limit = current
        if rules.select is not Select.DISABLED:
            starts = ((p, self._count_at_start(current, p.period_s)) for p in rules.policies)
            proposals = (
                start + p.value
                if p.kind is PolicyKind.PODS
                else math.ceil(start * (1 + p.value / 100))
                for p, start in starts
            )
            limit = max(current, (max if rules.select is Select.MAX else min)(proposals))
        allowed = min(high, limit)
        if stable <= allowed:
            return stable, None
        return allowed, Reason.SCALE_UP_LIMIT if high > limit else Reason.TOO_MANY_REPLICAS

    def _limit_down(self, current: int, stable: int, low: int) -> tuple[int, Reason | None]:
        """Return the count that policies and minimum allow on a scale-down, and which bound it.

        The count that stays is truncated: 10 % of 72 pods removes 8.
        Source: `calculateScaleDownLimitWithBehaviors` in horizontal.go.
        """
        rules = self._down
        limit = current
        if rules.select is not Select.DISABLED:
            starts = ((p, self._count_at_start(current, p.period_s)) for p in rules.policies)
            proposals = (
                start - p.value if p.kind is PolicyKind.PODS else int(start * (1 - p.value / 100))
                for p, start in starts
            )
            limit = min(current, (min if rules.select is Select.MAX else max)(proposals))
        allowed = max(low, limit)
        if stable >= allowed:
            return stable, None
        return allowed, Reason.SCALE_DOWN_LIMIT if low < limit else Reason.TOO_FEW_REPLICAS

    def _count_at_start(self, current: int, period_s: float) -> int:
        """Return the count at the start of a period, from the scale events since."""
        cutoff = self._now - period_s
        added = sum(change for when, change in self._ups if when > cutoff)
        return current - added + sum(change for when, change in self._downs if when > cutoff)

    def _remember(self, current: int, replicas: int) -> None:
        """Store a scale event, in place of the last one older than its direction's periods.

        So a longer period of the other direction may miss the replaced event, as it does in the
        controller; without `behavior` none is stored. Source: `storeScaleEvent` in horizontal.go.
        """
        if not self.spec.has_behavior:
            return
        up = replicas > current
        events = self._ups if up else self._downs
        policies = (self._up if up else self._down).policies
        cutoff = self._now - max((p.period_s for p in policies), default=0.0)
        event = (self._now, abs(replicas - current))
        for i in range(len(events) - 1, -1, -1):
            if events[i][0] < cutoff:
                events[i] = event
                return
        events.append(event)
