"""The workloads port on a cluster: observes replicas, and applies plans as floors of HPAs.

Rules of this file:

* Only the leader writes.
* In mode Recommend nothing of ours is left in the cluster.
* A floor that somebody reverts is left alone for a while, longer after each revert.
* A call that fails changes nothing but a condition.
* An API server that does not reply does not delay a tick for long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scaler.adapters.call_budget import CallBudget
from scaler.adapters.kube.budgeted_calls import BudgetExhaustedError, calling
from scaler.adapters.kube.status import policy_status
from scaler.control.cluster_port import (
    Cluster,
    EventReason,
    FloorOutcome,
    Leadership,
    Notice,
    PolicyStatus,
)
from scaler.control.conditions import not_applied, policy_invalid, spec_incomplete
from scaler.control.observations import Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import Condition, ConditionReason, ServiceView, condition_for
from scaler.control.unfailing_log import UnfailingLogger
from scaler.errors import ClusterError
from scaler.hpa.floor_ownership import (
    DesiredFloor,
    Refusal,
    Target,
    contested_remedy,
    revert_backoff_s,
)
from scaler.policy.policy import Mode, Policy

LOGGER = UnfailingLogger(__name__)

# Time that one tick may spend on observing, and on acting. Services that were left out come first
# in the next tick.
OBSERVE_BUDGET_S, ACT_BUDGET_S = 5.0, 10.0


def target_of(policy: Policy) -> Target:
    """Return the HPA whose floor a policy moves."""
    return Target(policy.item_id.partition("/")[0], policy.target)


@dataclass(slots=True)
class _FloorState:
    """The state of one floor.

    Attributes:
        reverts: how often another writer has reverted it.
        backoff: from when until when it is left alone; a clock that was set back is before it.
        manager: field manager of the last revert.
        last_message: of the last Event, which is not repeated.
        acted_in: the round in which it was last acted on.
    """

    reverts: int = 0
    backoff: tuple[float, float] = (0.0, 0.0)
    manager: str = "somebody"
    last_message: str = ""
    acted_in: int = 0


class ClusterWorkloads:
    """The workloads of a cluster; see `Workloads`.

    Args:
        cluster: that is read and written.
        leadership: whether this replica may write.
        workers: concurrent calls.
        stopping: set when the process is to end; no call is made after that.
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
        self._rounds = 0  # of applying plans

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def observe(
        self,
        watched: Sequence[WatchedPolicy],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        """Return the pods of each service, or why they are not known."""
        budget = self._budget(OBSERVE_BUDGET_S)
        results = self._pool.map(lambda one: self._observe(one.policy, budget), watched)
        return {one.policy.item_id: result for one, result in zip(watched, results, strict=True)}

    def _observe(self, policy: Policy, budget: CallBudget) -> Workload | str:
        try:
            with calling(budget):
                scaled = self._cluster.observe(target_of(policy))
        except ClusterError as error:
            return str(error)
        except Exception as error:  # one service's fault leaves the others known
            LOGGER.exception("%s: its workload could not be observed", policy.item_id)
            return f"its workload could not be observed: {error!r}"
        return Workload(scaled.pods, scaled.autoscaler.min_replicas)

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        """Apply every plan by its mode; return the condition of each service."""
        if not self._leadership.leads():
            return {}
        budget = self._budget(ACT_BUDGET_S)
        self._rounds += 1
        self._maintain_policies({view.item_id for view in views}, budget, now)
        self._restore_unclaimed({target_of(view.policy) for view in views}, budget)
        raised = {one.target for one in self._cluster.raised()}
        item_ids = {view.item_id for view in views}
        self._floors = {
            item_id: one for item_id, one in self._floors.items() if item_id in item_ids
        }
        order = sorted(views, key=lambda view: self._floor_state(view.item_id).acted_in)
        results = self._pool.map(lambda view: self._apply(view, raised, budget, now), order)
        return {
            view.item_id: condition
            for view, condition in zip(order, results, strict=True)
            if condition is not None
        }

    def _maintain_policies(self, watched: set[str], budget: CallBudget, now: float) -> None:
        """Restore and release deleted policies, and publish the faults of invalid ones."""
        for item_id, stored in self._cluster.policies().items():
            try:
                if stored.deleting and stored.guarded:
                    with calling(budget):
                        if stored.policy is not None:
                            self._cluster.restore(
                                target_of(stored.policy), stored.policy.scale.min_replicas
                            )
                        self._cluster.release(item_id)
                elif stored.policy is None and item_id not in watched:
                    conditions = policy_invalid(stored.faults), *spec_incomplete(stored.warnings)
                    status = PolicyStatus(generation=stored.generation, conditions=conditions)
                    with calling(budget):
                        self._cluster.publish(item_id, status, now=now)
            except Exception as error:  # noqa: BLE001 - it is logged; the others are maintained
                _warn(item_id, error)

    def _restore_unclaimed(self, targets: set[Target], budget: CallBudget) -> None:
        """Restore floors that no policy claims, after a change of the target or a crash."""
        stored = self._cluster.policies().values()
        claimed = targets | {target_of(one.policy) for one in stored if one.policy is not None}
        for autoscaler in self._cluster.raised():
            if autoscaler.target not in claimed:
                try:
                    with calling(budget):
                        self._cluster.restore(autoscaler.target)
                except Exception as error:  # noqa: BLE001 - logged; the next tick tries again
                    _warn(str(autoscaler.target), error)
                else:
                    LOGGER.info(
                        "%s: its floor is restored, for no policy claims it", autoscaler.target
                    )

    def _apply(
        self, view: ServiceView, raised: Collection[Target], budget: CallBudget, now: float
    ) -> Condition | None:
        if not self._leadership.leads():  # leadership was lost during the tick
            return None
        state = self._floor_state(view.item_id)
        try:
            with calling(budget):
                condition = self._apply_mode(view, state, raised, now)
                stored = self._cluster.policies().get(view.item_id)
                if stored is not None and stored.policy is None:  # the last valid one acts
                    condition = policy_invalid(stored.faults)
                self._publish(view, condition, now)
                state.acted_in = self._rounds
        except ClusterError as error:
            _warn(view.item_id, error)
            return condition_for(ConditionReason.CLUSTER_FAILED, str(error))
        except Exception as error:  # one service's fault leaves the plans of the others applied
            LOGGER.exception("%s: its plan could not be carried out", view.item_id)
            return not_applied(error)
        return condition

    def _apply_mode(
        self, view: ServiceView, state: _FloorState, raised: Collection[Target], now: float
    ) -> Condition | None:
        """Act by the policy's mode; return the condition, None if there was nothing to do."""
        recommend, target = view.policy.mode is Mode.RECOMMEND, target_of(view.policy)
        if recommend and target in raised:
            self._cluster.restore(target, view.policy.scale.min_replicas)
        if view.decision is None:  # the conditions of the view say why
            return None
        if recommend:
            return condition_for(ConditionReason.RECOMMENDING)
        if state.backoff[0] <= now < state.backoff[1]:
            return self._contested_condition(view, state)
        return self._enforce(view, state, now)

    def _budget(self, budget_s: float) -> CallBudget:
        return CallBudget(self._workers, budget_s, self._stopping)

    def _floor_state(self, item_id: str) -> _FloorState:
        return self._floors.setdefault(item_id, _FloorState())

    def _enforce(self, view: ServiceView, state: _FloorState, now: float) -> Condition:
        assert view.decision is not None
        plan = view.decision.plan
        target = target_of(view.policy)
        # The finalizer precedes the floor: a policy must not be deleted and leave its floor behind.
        stored = self._cluster.policies().get(view.item_id)
        if stored is not None and not stored.guarded and not self._cluster.guard(view.item_id):
            return condition_for(ConditionReason.POLICY_GONE, "the policy was deleted")
        if view.replicas == 0:
            self._cluster.wake(target, plan.replicas)
        wish = DesiredFloor(
            target, plan.replicas, view.policy.scale.min_replicas, reclaim=state.reverts > 0
        )
        outcome = self._cluster.set_floor(wish)
        if outcome.refusal is Refusal.CONTESTED:
            state.reverts += 1
            state.backoff = now, now + revert_backoff_s(state.reverts)
            state.manager = outcome.manager or "somebody"
            contested = self._contested_condition(view, state)
            self._tell(
                view, state, EventReason.FLOOR_CONTESTED, contested.message, now, warning=True
            )
            return contested
        if outcome.refusal is not None:
            told = EventReason(outcome.refusal.value)
            self._tell(view, state, told, outcome.message, now, warning=True)
            reason = ConditionReason(outcome.refusal.value)
            return condition_for(reason, outcome.message)
        if outcome.moved:
            self._tell_moved(view, state, outcome, now)
        return condition_for(ConditionReason.ENFORCING)

    def _tell_moved(
        self, view: ServiceView, state: _FloorState, outcome: FloorOutcome, now: float
    ) -> None:
        assert view.decision is not None
        why = view.decision.plan.reason.value.replace("_", " ")
        qps = view.decision.demand.qps
        message = f"floor {outcome.floor}: {why}, for {qps:,.4g} requests per second"
        state.last_message = ""
        self._tell(view, state, EventReason.FLOOR_MOVED, message, now)

    def _contested_condition(self, view: ServiceView, state: _FloorState) -> Condition:
        message = contested_remedy(target_of(view.policy), state.manager)
        if state.reverts > 1:
            message = f"reverted {state.reverts} times. {message}"
        return condition_for(ConditionReason.REVERTED, message)

    def _tell(
        self,
        view: ServiceView,
        state: _FloorState,
        reason: EventReason,
        message: str,
        now: float,
        *,
        warning: bool = False,
    ) -> None:
        if state.last_message == message:
            return
        state.last_message = message
        self._cluster.tell(view.item_id, Notice(reason, message, warning=warning), now=now)

    def _publish(self, view: ServiceView, condition: Condition | None, now: float) -> None:
        stored = self._cluster.policies().get(view.item_id)
        if stored is not None:  # a policy from a file has no status
            status = policy_status(view, stored, condition)
            self._cluster.publish(view.item_id, status, now=now)


def _warn(subject: str, error: Exception) -> None:
    if not isinstance(error, ClusterError):
        LOGGER.log(logging.ERROR, "%s: a fault of our own: %r", subject, error)
        return
    # The log names the calls that failed. A call that was not made shows in a condition.
    level = logging.DEBUG if isinstance(error, BudgetExhaustedError) else logging.WARNING
    LOGGER.log(level, "%s: %s", subject, error)
