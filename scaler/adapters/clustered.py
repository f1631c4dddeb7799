"""From plans to floors: what is seen of workloads in a cluster, and what is done to them.

Rules of this file: only the leader writes; in Recommend nothing of ours stands in the cluster; a
floor that somebody reverts is left alone for a while, longer each time; a call that fails changes
nothing but a condition.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scaler.autoscaler import FloorWish, Refusal, Target, contested_remedy, patience_s
from scaler.errors import ClusterError
from scaler.live import Workload
from scaler.planner import lead_time_s
from scaler.ports import Cluster, FloorOutcome, Leadership, Notice, PolicyStatus
from scaler.published import Condition, ConditionKind, ServiceView
from scaler.service_policy import Mode, ServicePolicy
from scaler.trust import Standing
from scaler.world import Watched

LOGGER = logging.getLogger(__name__)


def target_of(policy: ServicePolicy) -> Target:
    """Return the autoscaler whose floor a policy moves."""
    return Target(policy.item_id.partition("/")[0], policy.target)


@dataclass(slots=True)
class _Standing:
    """What is known of one floor of ours."""

    reverts: int = 0
    patient_until: float = 0.0
    told: str = ""


class Clustered:
    """Workloads in a cluster; see `loop.Workloads`.

    Args:
        cluster: what is asked and written.
        leadership: whether we may write.
        workers: calls at once.
    """

    def __init__(self, cluster: Cluster, leadership: Leadership, workers: int = 8) -> None:
        self._cluster, self._leadership = cluster, leadership
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="cluster")
        self._floors: dict[str, _Standing] = {}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def seen(self, watched: Sequence[Watched], now: float) -> Mapping[str, Workload | str]:
        """Return each service's replicas, or why they are not known."""
        found = self._pool.map(lambda one: self._seen(one.policy, now), watched)
        return {one.policy.item_id: was for one, was in zip(watched, found, strict=True)}

    def _seen(self, policy: ServicePolicy, now: float) -> Workload | str:
        try:
            seen = self._cluster.observe(target_of(policy))
        except ClusterError as error:
            return str(error)
        start_ups = tuple(
            max(pod.ready_at - pod.created_at, 0.0) for pod in seen.pods if pod.ready_at is not None
        )
        usual = lead_time_s(start_ups)
        return Workload(
            replicas=len(seen.pods),
            ready_s=tuple(max(now - ready, 0.0) for ready in seen.ready_at),
            due_in_s=tuple(created + usual - now for created in seen.starting_at),
            floor=seen.autoscaler.min_replicas,
            start_ups=start_ups,
        )

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        """Let every plan stand that is to be enforced; return what became of each."""
        if not self._leadership.leads():
            return {}
        self._keep(now)
        self._let_go({target_of(v.policy) for v in views if v.policy.mode is Mode.ENFORCE})
        found = self._pool.map(lambda view: self._act(view, now), views)
        return {
            view.item_id: condition
            for view, condition in zip(views, found, strict=True)
            if condition is not None
        }

    def _keep(self, now: float) -> None:
        """Let policies go that are deleted, and say what is wrong with others."""
        for item_id, kept in self._cluster.policies().items():
            try:
                if kept.deleting and kept.guarded:
                    if kept.policy is not None:
                        self._cluster.restore(
                            target_of(kept.policy), kept.policy.scale.min_replicas
                        )
                    self._cluster.release(item_id)
                    self._floors.pop(item_id, None)
                elif kept.policy is None:
                    fault = Condition(
                        ConditionKind.READY, False, "PolicyInvalid", "; ".join(kept.faults)
                    )
                    status = PolicyStatus(generation=kept.generation, conditions=(fault,))
                    self._cluster.publish(item_id, status, now=now)
            except ClusterError as error:
                LOGGER.warning("%s: %s", item_id, error)

    def _let_go(self, enforced: set[Target]) -> None:
        """Put back floors that no policy holds: one that was retargeted, or left by a crash."""
        kept = self._cluster.policies().values()
        held = enforced | {target_of(one.policy) for one in kept if one.policy is not None}
        for seen in self._cluster.raised():
            if seen.target not in held:
                with contextlib.suppress(ClusterError):  # the next tick tries again
                    self._cluster.restore(seen.target)
                    LOGGER.info("%s: its floor is put back, for no policy holds it", seen.target)

    def _act(self, view: ServiceView, now: float) -> Condition | None:
        try:
            condition = self._acted(view, self._floors.setdefault(view.item_id, _Standing()), now)
            self._publish(view, condition, now)
        except ClusterError as error:
            LOGGER.warning("%s: %s", view.item_id, error)
            return Condition(ConditionKind.READY, False, "ClusterFailed", str(error))
        return condition

    def _acted(self, view: ServiceView, standing: _Standing, now: float) -> Condition | None:
        """Do what the mode says; return what came of it, None where there was nothing to do."""
        if view.policy.mode is Mode.RECOMMEND:
            self._cluster.restore(target_of(view.policy), view.policy.scale.min_replicas)
        if view.decision is None:  # its own conditions say why
            return None
        if view.policy.mode is Mode.RECOMMEND:
            return Condition(ConditionKind.READY, status=True, reason="Recommending")
        if now < standing.patient_until:
            return self._contested(view, standing, "somebody")
        return self._enforced(view, standing, now)

    def _enforced(self, view: ServiceView, standing: _Standing, now: float) -> Condition:
        assert view.decision is not None
        plan = view.decision.plan
        target = target_of(view.policy)
        # First the finalizer, then the floor: a policy must not go and leave its floor behind.
        kept = self._cluster.policies().get(view.item_id)
        if kept is not None and not kept.guarded and not self._cluster.guard(view.item_id):
            return Condition(ConditionKind.READY, False, "PolicyGone", "the policy was deleted")
        if view.replicas == 0:
            self._cluster.wake(target, plan.replicas)
        wish = FloorWish(
            target, plan.replicas, view.policy.scale.min_replicas, reclaim=standing.reverts > 0
        )
        outcome = self._cluster.set_floor(wish)
        if outcome.refusal is Refusal.CONTESTED:
            standing.reverts += 1
            standing.patient_until = now + patience_s(standing.reverts)
            return self._contested(view, standing, outcome.manager or "somebody")
        if outcome.refusal is not None:
            self._tell(view, standing, outcome.refusal.value, outcome.message, now, warning=True)
            return Condition(ConditionKind.READY, False, outcome.refusal.value, outcome.message)
        if outcome.moved:
            self._moved(view, standing, outcome, now)
        return Condition(ConditionKind.READY, status=True, reason="Enforcing")

    def _moved(
        self, view: ServiceView, standing: _Standing, outcome: FloorOutcome, now: float
    ) -> None:
        assert view.decision is not None
        why = view.decision.plan.reason.value.replace("_", " ")
        qps = view.decision.demand.qps
        message = f"floor {outcome.floor}: {why}, for {qps:,.4g} requests per second"
        standing.told = ""
        self._tell(view, standing, "FloorMoved", message, now)

    def _contested(self, view: ServiceView, standing: _Standing, manager: str) -> Condition:
        message = contested_remedy(target_of(view.policy), manager)
        if standing.reverts > 1:
            message = f"reverted {standing.reverts} times. {message}"
        return Condition(ConditionKind.FLOOR_CONTESTED, True, "Reverted", message)

    def _tell(
        self,
        view: ServiceView,
        standing: _Standing,
        reason: str,
        message: str,
        now: float,
        *,
        warning: bool = False,
    ) -> None:
        if standing.told == message:
            return
        standing.told = message
        self._cluster.tell(view.item_id, Notice(reason, message, warning=warning), now=now)

    def _publish(self, view: ServiceView, condition: Condition | None, now: float) -> None:
        kept = self._cluster.policies().get(view.item_id)
        if kept is None:  # a policy from a file has no status
            return
        decision, trust = view.decision, view.trust
        status = PolicyStatus(
            generation=kept.generation,
            floor=decision.plan.replicas if decision is not None else None,
            demand_qps=decision.demand.qps if decision is not None else None,
            limit_qps=decision.limit.qps if decision is not None else None,
            trusted=trust.standing is not Standing.BENCHED if trust is not None else None,
            conditions=view.conditions if condition is None else (*view.conditions, condition),
            published=view.memory if decision is not None else kept.published,
        )
        self._cluster.publish(view.item_id, status, now=now)
