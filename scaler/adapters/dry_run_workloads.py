"""Without a cluster: what is planned is taken to be carried out, and nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scaler.control.observations import Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import Condition, ServiceView

# Long since ready: nobody warms up that does not exist.
WARM_S = 3600.0


class DryRunWorkloads:
    """The replicas that plans ask for."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}

    def seen(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:  # noqa: ARG002
        found: dict[str, Workload | str] = {}
        for one in watched:
            least = one.policy.scale.min_replicas
            replicas = self._planned.get(one.policy.item_id, least)
            found[one.policy.item_id] = Workload(replicas, (WARM_S,) * replicas, floor=replicas)
        return found

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:  # noqa: ARG002
        for view in views:
            if view.decision is not None:
                self._planned[view.item_id] = view.decision.plan.replicas
        return {}
