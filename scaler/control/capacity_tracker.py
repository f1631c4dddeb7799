"""The capacity of every service: as given, or learned from load and latency while the loop runs.

A moment is one step of the forecast's grid: requests per second per ready replica, and the latency
of the SLO's query. Where a policy says how to ask for ready replicas of the past, the moments of
the last days are there at once; else they are gathered from now on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from forecaster.data.series import Series
from scaler.control.demand_history import HISTORY, DemandHistory
from scaler.control.memory import LearnedMemory
from scaler.control.ports import TrafficSource
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.capacity import Capacity, given_capacity
from scaler.policy.policy import Policy

LOGGER = UnfailingLogger(__name__)

# At most a week and a day of minutes is learned from, anew each hour: replicas change by releases.
MOST_MOMENTS = 8 * 24 * 60
AGAIN_S = 3600.0
FIRST_TRY_S = 300.0
RESAMPLES = 30  # a bootstrap of a week's moments takes some 0.1 s, within a tick


@dataclass(slots=True)
class _Learned:
    moments: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_MOMENTS))
    capacity: Capacity | None = None
    why_not: str = "no moment with load and latency is known yet"
    taken_at: float = -math.inf
    tried_at: float = -math.inf


class CapacityTracker:
    """Confined to the loop's thread.

    Args:
        traffic: where latency and replicas of the past are asked for.
        pasts: of demand.
        step: between two moments.
    """

    def __init__(
        self, traffic: TrafficSource, demand_history: DemandHistory, step: timedelta
    ) -> None:
        self._traffic, self._demand_history, self._step_s = (
            traffic,
            demand_history,
            step.total_seconds(),
        )
        self._learned: dict[str, _Learned] = {}

    def keep(self, policies: Iterable[Policy]) -> None:
        """Forget all but these; what is given need not be learned."""
        learning = {policy.item_id for policy in policies if policy.capacity_qps is None}
        for gone in self._learned.keys() - learning:
            del self._learned[gone]

    def of(self, policy: Policy) -> Capacity | str:
        """Return what one ready replica sustains, or why that is not known."""
        if policy.capacity_qps is not None:
            return given_capacity(policy.capacity_qps)
        learned = self._of(policy.item_id)
        return learned.capacity or f"the capacity is not known yet: {learned.why_not}"

    def remember(self, item: str, capacity: Capacity) -> None:
        """Start with what was learned before this process started."""
        self._of(item).capacity = capacity

    def memory(self) -> dict[str, LearnedMemory]:
        return {
            item: LearnedMemory(
                np.array(one.moments).reshape(-1, 2),
                one.capacity,
                one.why_not,
                one.taken_at,
                one.tried_at,
            )
            for item, one in self._learned.items()
        }

    def recall(self, memory: Mapping[str, LearnedMemory]) -> None:
        for item, one in memory.items():
            learned = self._of(item)
            learned.moments.extend((load, latency) for load, latency in one.moments.tolist())
            learned.capacity, learned.why_not = one.capacity, one.why_not
            learned.taken_at, learned.tried_at = one.taken_at, one.tried_at

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set by so much."""
        for learned in self._learned.values():
            learned.taken_at += set_by_s
            learned.tried_at += set_by_s

    def add(self, item: str, load: float, latency_s: float | None, now: float) -> None:
        """Take in what is seen at a tick; one moment a step counts."""
        learned = self._of(item)
        known = latency_s is not None and math.isfinite(load) and load > 0
        if known and now - learned.taken_at >= self._step_s:
            assert latency_s is not None
            learned.taken_at = now
            learned.moments.append((load, latency_s))

    def look_back(self, policies: Sequence[Policy], now: float) -> None:
        """Take in the past of these policies, where they say how to ask for it."""
        due = [
            policy
            for policy in policies
            if policy.capacity_qps is None and policy.replicas_query and policy.slo.query
        ]
        asked = [(p.item_id, q) for p in due for q in (p.replicas_query, p.slo.query) if q]
        try:
            found = self._traffic.histories(asked, HISTORY, now)
        except Exception as error:  # what is seen from now on tells it, too
            LOGGER.exception("ready replicas of the past could not be read")
            found = [repr(error)] * len(asked)
        for policy, replicas, latency in zip(due, found[::2], found[1::2], strict=True):
            learned = self._of(policy.item_id)
            try:
                if isinstance(replicas, str) or isinstance(latency, str):
                    learned.why_not = replicas if isinstance(replicas, str) else str(latency)
                    LOGGER.warning("%s: %s", policy.item_id, learned.why_not)
                    continue
                demand = self._demand_history.series(policy)
                learned.moments.extend(_moments(demand, replicas, latency))
            except Exception as error:  # a past that fails must not fail another
                LOGGER.exception("%s: its past tells no capacity", policy.item_id)
                learned.why_not = f"its past could not be looked at: {error!r}"

    def learn(self, policies: Iterable[Policy], now: float) -> None:
        """Learn anew what has not been tried for longest: one service a tick, for it takes time."""
        due = [
            (learned.tried_at, policy.item_id, policy.slo.latency_s)
            for policy in policies
            if policy.capacity_qps is None and (learned := self._of(policy.item_id)).moments
            if now - learned.tried_at >= (AGAIN_S if learned.capacity else FIRST_TRY_S)
        ]
        if due:
            _, item, slo_s = min(due)
            self._learned[item].tried_at = now
            self._try(item, slo_s)

    def _try(self, item: str, slo_s: float) -> None:
        learned = self._learned[item]
        try:
            from scaler.decision.capacity_learning import learned_capacity  # noqa: PLC0415 - few policies need it
        except ModuleNotFoundError as missing:
            learned.why_not = (
                f"{missing.name} is not installed here, so no capacity is learned; give "
                "capacity.requestsPerReplica, or run the image that has all"
            )
            return
        loads, latencies = np.array(learned.moments).T
        rng = np.random.default_rng(0)
        try:
            found = learned_capacity(loads, latencies, slo_s, rng, resamples=RESAMPLES)
        except ValueError as error:
            learned.why_not = str(error)
            return
        except Exception as error:  # what was learned before serves on
            LOGGER.exception("%s: no capacity was learned", item)
            learned.why_not = repr(error)
            return
        learned.capacity = found
        LOGGER.info(
            "%s: capacity=%.4g low=%.4g high=%.4g reason=%s moments=%d",
            item, found.qps, found.low, found.high, found.reason.value, len(loads),
        )  # fmt: skip

    def _of(self, item: str) -> _Learned:
        return self._learned.setdefault(item, _Learned())


def _moments(demand: Series, replicas: Series, latency: Series) -> list[tuple[float, float]]:
    """Return the moments at which all three are known, oldest first."""
    start = max(one.start for one in (demand, replicas, latency))
    end = min(one.end for one in (demand, replicas, latency))
    if start >= end:
        return []
    qps, ready, seconds = (one.between(start, end).values for one in (demand, replicas, latency))
    with np.errstate(divide="ignore", invalid="ignore"):
        loads = np.where(ready > 0, qps / ready, np.nan)
    known = np.isfinite(loads) & np.isfinite(seconds) & (loads > 0)
    return list(zip(loads[known].tolist(), seconds[known].tolist(), strict=True))
