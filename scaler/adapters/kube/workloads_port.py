"""The workloads port on a cluster: observes replicas, and applies plans as floors of HPAs.

Rules of this file:

* Only the leader writes.
* One policy owns a floor; see `claims`. What is done for one is in `enforcement`.
* A call that fails changes nothing but a condition.
* An API server that does not reply does not delay a tick for long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from scaler.adapters.call_budget import CallBudget
from scaler.adapters.kube.budgeted_calls import BudgetExhaustedError, calling
from scaler.adapters.kube.claims import floor_owners, target_of, unclaimed
from scaler.adapters.kube.enforcement import FloorEnforcer, Turn
from scaler.adapters.kube.floor_states import FloorState, state_from_plain
from scaler.adapters.kube.status import policy_status
from scaler.control.cluster_port import AtZero, Cluster, Leadership, PolicyObject, PolicyStatus
from scaler.control.conditions import not_applied, policy_invalid, spec_incomplete
from scaler.control.observations import Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import (
    Condition,
    ConditionReason,
    PlanOutcome,
    ServiceView,
    condition_for,
)
from scaler.control.unfailing_log import UnfailingLogger
from scaler.errors import ClusterError
from scaler.hpa.floor_ownership import Target
from scaler.policy.policy import Policy

LOGGER = UnfailingLogger(__name__)

# Time that one tick may spend on observing, and on acting. Services that were left out come first
# in the next tick.
OBSERVE_BUDGET_S, ACT_BUDGET_S = 5.0, 10.0


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
        self._enforcer = FloorEnforcer(cluster)
        self._floors: dict[str, FloorState] = {}
        self._rounds = 0
        self._at_zero: dict[str, AtZero] = {}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def observe(
        self,
        watched: Sequence[WatchedPolicy],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        """Return the pods of each service, or why they are not known."""
        budget = self._budget(OBSERVE_BUDGET_S)
        self._at_zero = {}
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
        if scaled.at_zero is not None:
            self._at_zero[policy.item_id] = scaled.at_zero
        return Workload(scaled.pods, scaled.autoscaler.min_replicas)

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:
        """Apply every plan by its mode; return what came of each."""
        if not self._leadership.leads():
            # Whoever leads now goes on; what it finds out is read anew when we lead again.
            self._floors = {}
            return {}
        budget = self._budget(ACT_BUDGET_S)
        stored, policies = self._cluster.policies(), [view.policy for view in views]
        self._floors = {
            view.item_id: self._floor_state(view.item_id, stored.get(view.item_id))
            for view in views
        }
        self._restore_unclaimed(policies, budget)
        turn = Turn(now, floor_owners(policies, stored), self._raised(), self._at_zero)
        self._maintain_policies({view.item_id for view in views}, turn, budget)
        self._rounds += 1
        order = sorted(views, key=lambda view: self._floors[view.item_id].acted_in)
        results = self._pool.map(lambda view: self._apply(view, turn, budget), order)
        return {
            view.item_id: outcome
            for view, outcome in zip(order, results, strict=True)
            if outcome is not None
        }

    def _restore_unclaimed(self, policies: Sequence[Policy], budget: CallBudget) -> None:
        """Restore floors that no policy claims, after a change of the target or a crash."""
        for target in unclaimed(self._raised(), policies, self._cluster.policies()):
            try:
                with calling(budget):
                    self._cluster.restore(target)
            except Exception as error:  # noqa: BLE001 - logged; the next tick tries again
                _warn(str(target), error)
            else:
                LOGGER.info("%s: its floor is restored, for no policy claims it", target)

    def _maintain_policies(self, watched: set[str], turn: Turn, budget: CallBudget) -> None:
        """Let policies go that own no floor, and publish the faults of invalid ones."""
        for item_id, stored in self._cluster.policies().items():
            try:
                if stored.guarded and not _owns(stored, turn):
                    with calling(budget):
                        self._let_go(stored, turn)
                if stored.policy is None and item_id not in watched and not stored.deleting:
                    conditions = policy_invalid(stored.faults), *spec_incomplete(stored.warnings)
                    status = PolicyStatus(
                        generation=stored.generation,
                        conditions=conditions,
                        published=stored.published,
                    )
                    with calling(budget):
                        self._cluster.publish(item_id, status, now=turn.now)
            except Exception as error:  # noqa: BLE001 - it is logged; the others are maintained
                _warn(item_id, error)

    def _let_go(self, stored: PolicyObject, turn: Turn) -> None:
        """Release a policy; a deleted one after its floor, unless another takes that over."""
        if stored.deleting and stored.policy is not None:
            target = target_of(stored.policy)
            if target not in turn.owners:
                self._cluster.restore(target, stored.policy.scale.min_replicas)
        self._cluster.release(stored.item_id)

    def _apply(self, view: ServiceView, turn: Turn, budget: CallBudget) -> PlanOutcome | None:
        if not self._leadership.leads():  # leadership was lost during the tick
            return None
        state, outcome = self._floors[view.item_id], None
        try:
            with calling(budget):
                outcome = self._enforcer.act(view, state, turn)
                stored = self._cluster.policies().get(view.item_id)
                if stored is not None:  # a policy from a file has no status
                    if stored.policy is None:  # the last valid version is acted on
                        outcome = _also(outcome, policy_invalid(stored.faults))
                    status = policy_status(view.told(outcome), stored, state)
                    self._cluster.publish(view.item_id, status, now=turn.now)
                state.acted_in = self._rounds
        except ClusterError as error:
            _warn(view.item_id, error)
            return _also(outcome, condition_for(ConditionReason.CLUSTER_FAILED, str(error)))
        except Exception as error:  # one service's fault leaves the plans of the others applied
            LOGGER.exception("%s: its plan could not be carried out", view.item_id)
            return _also(outcome, not_applied(error))
        return outcome

    def _raised(self) -> frozenset[Target]:
        return frozenset(one.target for one in self._cluster.raised())

    def _budget(self, budget_s: float) -> CallBudget:
        return CallBudget(self._workers, budget_s, self._stopping)

    def _floor_state(self, item_id: str, stored: PolicyObject | None) -> FloorState:
        known = self._floors.get(item_id)
        if known is not None:
            return known
        return state_from_plain(None if stored is None else stored.published)


def _owns(stored: PolicyObject, turn: Turn) -> bool:
    """Return whether a guarded policy has a floor to be guarded for, as far as that is known."""
    if stored.deleting:
        return False
    if stored.policy is None:  # which floor that is cannot be read
        return True
    target = target_of(stored.policy)
    return target in turn.raised and turn.owners.get(target, stored.item_id) == stored.item_id


def _also(outcome: PlanOutcome | None, condition: Condition) -> PlanOutcome:
    """Return an outcome of which this is to be said, too."""
    if outcome is None:
        return PlanOutcome((condition,))
    return PlanOutcome((*outcome.conditions, condition), outcome.floor)


def _warn(subject: str, error: Exception) -> None:
    if not isinstance(error, ClusterError):
        LOGGER.log(logging.ERROR, "%s: a fault of our own: %r", subject, error)
        return
    # The log names the calls that failed. A call that was not made shows in a condition.
    level = logging.DEBUG if isinstance(error, BudgetExhaustedError) else logging.WARNING
    LOGGER.log(level, "%s: %s", subject, error)
