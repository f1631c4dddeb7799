"""From plans to floors: what is seen of workloads in a cluster, and what is done to them.

Rules of this file: only the leader writes; in Recommend nothing of ours stands in the cluster; a
floor that somebody reverts is left alone for a while, longer each time; a call that fails changes
nothing but a condition; an API server that does not answer delays no tick for long.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from scaler.adapters.call_budget import CallBudget
from scaler.control.checkpoint import to_plain
from scaler.control.cluster_port import (
    Cluster,
    FloorOutcome,
    Leadership,
    Notice,
    PolicyStatus,
)
from scaler.control.conditions import policy_invalid, spec_incomplete
from scaler.control.observations import Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import Condition, ConditionKind, ServiceView, with_condition
from scaler.decision.trust import Standing
from scaler.errors import ClusterError, ClusterUnreachableError
from scaler.hpa.floor_ownership import (
    FloorWish,
    Refusal,
    Target,
    contested_remedy,
    revert_backoff_s,
)
from scaler.policy.policy import Mode, Policy

LOGGER = logging.getLogger(__name__)

# All that one tick may spend on looking, and on acting; what is left over is first the next time.
SEEN_S, ACT_S = 5.0, 10.0


def target_of(policy: Policy) -> Target:
    """Return the autoscaler whose floor a policy moves."""
    return Target(policy.item_id.partition("/")[0], policy.target)


@dataclass(slots=True)
class _FloorState:
    """What is known of one floor of ours."""

    reverts: int = 0
    patient_until: float = 0.0
    manager: str = "somebody"  # who reverted it last
    told: str = ""
    acted_at: float = -math.inf


class ClusterWorkloads:
    """Workloads in a cluster; see `loop.Workloads`.

    Args:
        cluster: what is asked and written.
        leadership: whether we may write.
        workers: calls at once.
        stopping: is set when the process is to end; nothing is begun after that.
    """

    def __init__(
        self,
        cluster: Cluster,
        leadership: Leadership,
        workers: int = 8,
        stopping: threading.Event | None = None,
    ) -> None:
        self._cluster, self._leadership = cluster, leadership
        self._workers, self._stopping = workers, stopping or threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="cluster")
        self._floors: dict[str, _FloorState] = {}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def observe(
        self,
        watched: Sequence[WatchedPolicy],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        """Return each service's replicas, or why they are not known."""
        this = self._round(SEEN_S)
        found = self._pool.map(lambda one: self._seen(one.policy, this), watched)
        return {one.policy.item_id: was for one, was in zip(watched, found, strict=True)}

    def _seen(self, policy: Policy, this: CallBudget) -> Workload | str:
        try:
            with _asking(this):
                seen = self._cluster.observe(target_of(policy))
        except ClusterError as error:
            return str(error)
        return Workload(seen.pods, seen.autoscaler.min_replicas)

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        """Let every plan stand that is to be enforced; return what became of each."""
        if not self._leadership.leads():
            return {}
        this = self._round(ACT_S)
        self._keep({view.item_id for view in views}, this, now)
        self._let_go({target_of(view.policy) for view in views}, this)
        raised = {one.target for one in self._cluster.raised()}
        items = {view.item_id for view in views}
        self._floors = {item: one for item, one in self._floors.items() if item in items}
        turns = sorted(views, key=lambda view: self._standing(view.item_id).acted_at)
        found = self._pool.map(lambda view: self._act(view, raised, this, now), turns)
        return {
            view.item_id: condition
            for view, condition in zip(turns, found, strict=True)
            if condition is not None
        }

    def _keep(self, watched: set[str], this: CallBudget, now: float) -> None:
        """Let policies go that are deleted, and say what is wrong with others."""
        for item_id, kept in self._cluster.policies().items():
            try:
                if kept.deleting and kept.guarded:
                    with _asking(this):
                        if kept.policy is not None:
                            self._cluster.restore(
                                target_of(kept.policy), kept.policy.scale.min_replicas
                            )
                        self._cluster.release(item_id)
                elif kept.policy is None and item_id not in watched:
                    status = PolicyStatus(
                        generation=kept.generation,
                        conditions=(policy_invalid(kept.faults), *spec_incomplete(kept.warnings)),
                    )
                    with _asking(this):
                        self._cluster.publish(item_id, status, now=now)
            except ClusterError as error:
                _warn(item_id, error)

    def _let_go(self, named: set[Target], this: CallBudget) -> None:
        """Put back floors that no policy holds: one that was retargeted, or left by a crash."""
        kept = self._cluster.policies().values()
        held = named | {target_of(one.policy) for one in kept if one.policy is not None}
        for seen in self._cluster.raised():
            if seen.target not in held:
                try:
                    with _asking(this):
                        self._cluster.restore(seen.target)
                except ClusterError as error:  # the next tick tries again
                    _warn(str(seen.target), error)
                else:
                    LOGGER.info("%s: its floor is put back, for no policy holds it", seen.target)

    def _act(
        self, view: ServiceView, raised: Collection[Target], this: CallBudget, now: float
    ) -> Condition | None:
        if not self._leadership.leads():  # lost since the tick began
            return None
        standing = self._standing(view.item_id)
        try:
            with _asking(this):
                condition = self._acted(view, standing, raised, now)
                kept = self._cluster.policies().get(view.item_id)
                if kept is not None and kept.policy is None:  # it acts as it was before
                    condition = policy_invalid(kept.faults)
                self._publish(view, condition, now)
                standing.acted_at = now
        except ClusterError as error:
            _warn(view.item_id, error)
            return Condition(ConditionKind.READY, False, "ClusterFailed", str(error))
        return condition

    def _acted(
        self, view: ServiceView, standing: _FloorState, raised: Collection[Target], now: float
    ) -> Condition | None:
        """Do what the mode says; return what came of it, None where there was nothing to do."""
        recommends, target = view.policy.mode is Mode.RECOMMEND, target_of(view.policy)
        if recommends and target in raised:
            self._cluster.restore(target, view.policy.scale.min_replicas)
        if view.decision is None:  # its own conditions say why
            return None
        if recommends:
            return Condition(ConditionKind.READY, status=True, reason="Recommending")
        if now < standing.patient_until:
            return self._contested(view, standing)
        return self._enforced(view, standing, now)

    def _round(self, budget_s: float) -> CallBudget:
        return CallBudget(self._workers, budget_s, self._stopping)

    def _standing(self, item_id: str) -> _FloorState:
        return self._floors.setdefault(item_id, _FloorState())

    def _enforced(self, view: ServiceView, standing: _FloorState, now: float) -> Condition:
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
            standing.patient_until = now + revert_backoff_s(standing.reverts)
            standing.manager = outcome.manager or "somebody"
            contested = self._contested(view, standing)
            self._tell(view, standing, "FloorContested", contested.message, now, warning=True)
            return contested
        if outcome.refusal is not None:
            self._tell(view, standing, outcome.refusal.value, outcome.message, now, warning=True)
            return Condition(ConditionKind.READY, False, outcome.refusal.value, outcome.message)
        if outcome.moved:
            self._moved(view, standing, outcome, now)
        return Condition(ConditionKind.READY, status=True, reason="Enforcing")

    def _moved(
        self, view: ServiceView, standing: _FloorState, outcome: FloorOutcome, now: float
    ) -> None:
        assert view.decision is not None
        why = view.decision.plan.reason.value.replace("_", " ")
        qps = view.decision.demand.qps
        message = f"floor {outcome.floor}: {why}, for {qps:,.4g} requests per second"
        standing.told = ""
        self._tell(view, standing, "FloorMoved", message, now)

    def _contested(self, view: ServiceView, standing: _FloorState) -> Condition:
        message = contested_remedy(target_of(view.policy), standing.manager)
        if standing.reverts > 1:
            message = f"reverted {standing.reverts} times. {message}"
        return Condition(ConditionKind.FLOOR_CONTESTED, True, "Reverted", message)

    def _tell(
        self,
        view: ServiceView,
        standing: _FloorState,
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
            conditions=(
                *with_condition(view.conditions, condition),
                *spec_incomplete(kept.warnings),
            ),
            published=to_plain(view.checkpoint) if view.checkpoint is not None else kept.published,
        )
        self._cluster.publish(view.item_id, status, now=now)


class _NotAskedError(ClusterUnreachableError):
    """Others had no answer: it would be in vain."""


def _warn(whom: str, error: ClusterError) -> None:
    # Of those that were not asked each has its condition; the log names who was.
    level = logging.DEBUG if isinstance(error, _NotAskedError) else logging.WARNING
    LOGGER.log(level, "%s: %s", whom, error)


@contextmanager
def _asking(this: CallBudget) -> Iterator[None]:
    """Ask the API server if that is not in vain, and note whether it was."""
    over = this.over()
    if over is not None:
        raise _NotAskedError(over)
    try:
        yield
    except ClusterUnreachableError as error:
        this.in_vain(str(error))
        raise
    this.answered()
