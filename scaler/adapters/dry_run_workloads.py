"""Workloads without a cluster: plans are taken to be carried out, and nothing is written.

Where a policy has a query for its ready replicas, they are counted by it. Otherwise those that are
planned are assumed, which is said of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaler.control.clock_offset import apart_text, is_apart
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.ports import TrafficQuery, TrafficSource, WatchedPolicy
from scaler.control.snapshot import PlanOutcome, ServiceView

# A query that counts more counts something else.
MOST_READY = 10_000


class DryRunWorkloads:
    """Replicas that a query counts, or that plans ask for; all of them warm.

    Args:
        metrics: where ready replicas are asked for.
    """

    def __init__(self, metrics: TrafficSource) -> None:
        self._metrics = metrics
        self._planned: dict[str, int] = {}

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        counted = self._counted(watched, now)
        return {one.policy.item_id: self._workload(one, counted) for one in watched}

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:  # noqa: ARG002
        planned = {
            view.item_id: view.decision.plan.replicas for view in views if view.decision is not None
        }
        named = {view.item_id for view in views}
        kept = {item: count for item, count in self._planned.items() if item in named}
        self._planned = kept | planned
        return {item_id: PlanOutcome(floor=floor) for item_id, floor in planned.items()}

    def _counted(
        self, watched: Sequence[WatchedPolicy], now: float
    ) -> Mapping[str, ServiceMetrics]:
        queries = [
            TrafficQuery(one.policy.item_id, one.policy.replicas_query, None, now)
            for one in watched
            if one.policy.replicas_query is not None
        ]
        found = self._metrics.measure(queries, now) if queries else []
        return {query.item_id: one for query, one in zip(queries, found, strict=True)}

    def _workload(
        self, one: WatchedPolicy, counted: Mapping[str, ServiceMetrics]
    ) -> Workload | str:
        item, least = one.policy.item_id, one.policy.scale.min_replicas
        if item not in counted:
            replicas = self._planned.get(item, least)
            return Workload(_pods(replicas), replicas, assumed=True)
        said = counted[item].of_now()
        if not said.observed_qps <= MOST_READY:
            return f"its ready replicas are not known: {_why_not(said)}"
        ready = math.floor(said.observed_qps + 1e-6)
        # What runs when this process starts is what the last one has asked for, as far as we know.
        return Workload(_pods(ready), self._planned.get(item, max(ready, least)))


def _why_not(said: ServiceMetrics) -> str:
    if said.clock_offset_s is not None and is_apart(said.clock_offset_s):
        return apart_text(said.clock_offset_s)
    return said.fault or said.partial or f"the query answers {said.observed_qps:g}"


def _pods(replicas: int) -> tuple[Pod, ...]:
    """Return pods that have always been there: none of them is seen to start."""
    return tuple(Pod(f"replica-{i}", -math.inf, -math.inf) for i in range(replicas))
