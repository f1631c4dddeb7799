"""Workloads without a cluster: plans are taken to be carried out, and nothing is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaler.control.observations import Pod, Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import PlanOutcome, ServiceView


class DryRunWorkloads:
    """The replicas that plans ask for, all of them warm."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}

    def observe(
        self,
        watched: Sequence[WatchedPolicy],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        found: dict[str, Workload | str] = {}
        for one in watched:
            replicas = self._planned.get(one.policy.item_id, one.policy.scale.min_replicas)
            found[one.policy.item_id] = Workload(_pods(replicas), floor=replicas)
        return found

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:  # noqa: ARG002
        planned = {
            view.item_id: view.decision.plan.replicas for view in views if view.decision is not None
        }
        named = {view.item_id for view in views}
        kept = {item: count for item, count in self._planned.items() if item in named}
        self._planned = kept | planned
        return {item_id: PlanOutcome(floor=floor) for item_id, floor in planned.items()}


def _pods(replicas: int) -> tuple[Pod, ...]:
    """Return pods that have always been there: none of them is seen to start."""
    return tuple(Pod(f"planned-{i}", -math.inf, -math.inf) for i in range(replicas))
