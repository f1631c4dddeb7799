"""The workloads of a dry run without a cluster: every plan counts as carried out at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scaler.control.observations import Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import Condition, ServiceView

# Planned replicas do not exist, so none of them is ever starting.
READY_FOR_S = 3600.0


class DryRunWorkloads:
    """Workloads with the replicas that the last plan asks for; nothing is written."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}

    def seen(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:  # noqa: ARG002
        workloads: dict[str, Workload | str] = {}
        for one in watched:
            min_replicas = one.policy.scale.min_replicas
            replicas = self._planned.get(one.policy.item_id, min_replicas)
            workloads[one.policy.item_id] = Workload(
                replicas, (READY_FOR_S,) * replicas, floor=replicas
            )
        return workloads

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:  # noqa: ARG002
        for view in views:
            if view.decision is not None:
                self._planned[view.item_id] = view.decision.plan.replicas
        return {}
