"""Carries the plan of one service out, by its policy's mode, and says what came of it.

Rules of this file:

* In mode Recommend nothing of ours is left in the cluster.
* The finalizer is there from just before a floor of ours until just after it.
* A floor that somebody reverts is left alone for a while, longer after each revert.
* A workload that somebody has scaled to 0 stays there, unless the policy says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from scaler.adapters.kube.claims import taken_message, target_of
from scaler.adapters.kube.floor_states import FloorState
from scaler.control.cluster_port import AtZero, Cluster, EventReason, FloorOutcome, Notice
from scaler.control.conditions import earned_text
from scaler.control.snapshot import ConditionReason, PlanOutcome, ServiceView, condition_for
from scaler.hpa.floor_ownership import (
    DesiredFloor,
    Refusal,
    Target,
    above_max_message,
    contested_remedy,
    standing_message,
)
from scaler.policy.policy import Mode


@dataclass(frozen=True, slots=True)
class Turn:
    """What one tick knows of the cluster.

    Attributes:
        now: when it began.
        owners: who owns the floor of each target that a policy asks for.
        raised: the targets with anything of ours in them.
        at_zero: why workloads are at 0 replicas, by item_id, where they are.
    """

    now: float
    owners: Mapping[Target, str]
    raised: Collection[Target]
    at_zero: Mapping[str, AtZero]


class FloorEnforcer:
    """Carries plans out on a cluster; safe for several services at once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def act(self, view: ServiceView, state: FloorState, turn: Turn) -> PlanOutcome | None:
        """Act on a service; return what came of it, None if there was nothing to do."""
        target = target_of(view.policy)
        seen = self._cluster.autoscaler(target)
        if seen is not None:
            state.follow(seen.uid)
        self._tell_turned(view, state, turn)
        if view.policy.mode is not Mode.ENFORCE:
            return self._recommend(view, turn)
        owner = turn.owners.get(target)
        if owner is None:
            return self._told(target, ConditionReason.POLICY_GONE, "the policy was deleted")
        if owner != view.item_id:
            message = taken_message(target, owner)
            self._tell(view, state, Notice(EventReason.TARGET_TAKEN, message, warning=True), turn)
            return self._told(target, ConditionReason.TARGET_TAKEN, message)
        stored = self._cluster.policies().get(view.item_id)
        left_until = 0.0 if stored is None else stored.left_until
        if turn.now < left_until:
            return self._leave_alone(view, state, left_until)
        state.left_alone = False
        if view.decision is None:  # the conditions of the view say why
            return self._standing(target)
        return self._with_fit(view, self._enforce_if_awake(view, state, turn))

    def _recommend(self, view: ServiceView, turn: Turn) -> PlanOutcome | None:
        target = target_of(view.policy)
        floor = None
        if target in turn.raised and target not in turn.owners:
            floor = self._cluster.restore(target, view.policy.scale.min_replicas).floor
            self._release(view.item_id)
        if view.decision is None:
            return self._standing(target) if floor is None else PlanOutcome(floor=floor)
        told = self._told(target, ConditionReason.RECOMMENDING)
        return told if floor is None else PlanOutcome(told.conditions, floor)

    def _leave_alone(self, view: ServiceView, state: FloorState, until: float) -> PlanOutcome:
        """Put the user's own floor back once, and say until when it stays."""
        target = target_of(view.policy)
        if not state.left_alone:
            self._cluster.restore(target, view.policy.scale.min_replicas)
            self._release(view.item_id)
            state.left_alone = True
        moment = datetime.fromtimestamp(until, UTC).isoformat()
        message = f"somebody has put its floor back, so it is left alone until {moment}"
        return self._told(target, ConditionReason.RESTORED_BY_USER, message)

    def _with_fit(self, view: ServiceView, outcome: PlanOutcome) -> PlanOutcome:
        """Return an outcome that also says where the autoscaler allows less than is asked for."""
        assert view.decision is not None
        seen, wanted = self._cluster.autoscaler(target_of(view.policy)), view.decision.plan.replicas
        if seen is None or wanted <= seen.max_replicas:
            return outcome
        message = above_max_message(seen, wanted)
        told = condition_for(ConditionReason.ABOVE_MAX_REPLICAS, message)
        return PlanOutcome((*outcome.conditions, told), outcome.floor)

    def _enforce_if_awake(self, view: ServiceView, state: FloorState, turn: Turn) -> PlanOutcome:
        target = target_of(view.policy)
        at_zero = turn.at_zero.get(view.item_id)
        if at_zero is AtZero.STOPPED and not view.policy.wake:
            message = stopped_message(target)
            self._tell(view, state, Notice(EventReason.SCALED_TO_ZERO_BY_USER, message), turn)
            return self._told(target, ConditionReason.SCALED_TO_ZERO_BY_USER, message)
        if state.backs_off(turn.now):
            return self._contested(view, state, None)
        if state.pauses(turn.now):
            return self._told(target, ConditionReason.AUTOSCALER_INVALID, state.refusal)
        if at_zero is not None:
            assert view.decision is not None
            self._cluster.wake(target, view.decision.plan.replicas)
        return self._enforce(view, state, turn)

    def _enforce(self, view: ServiceView, state: FloorState, turn: Turn) -> PlanOutcome:
        assert view.decision is not None
        target, least = target_of(view.policy), view.policy.scale.min_replicas
        wish = DesiredFloor(target, view.decision.plan.replicas, least, reclaim=state.reverts > 0)
        outcome = self._cluster.set_floor(wish, lambda: self._guard(view.item_id))
        self._follow_floor(view, outcome)
        if outcome.refusal is Refusal.CONTESTED:
            state.contested(outcome.manager, turn.now)
            contested = self._contested(view, state, outcome.floor)
            message = contested.conditions[0].message
            told = Notice(EventReason.FLOOR_CONTESTED, message, warning=True)
            self._tell(view, state, told, turn)
            return contested
        if outcome.refusal is Refusal.GONE:
            return self._told(target, ConditionReason.POLICY_GONE, "the policy was deleted")
        if outcome.refusal is not None:
            return self._refused(view, state, outcome, turn)
        if outcome.moved:
            self._tell_moved(view, state, outcome, turn)
        seen = self._cluster.autoscaler(target)
        message = "" if seen is None else standing_message(seen, view.item_id)
        return PlanOutcome((condition_for(ConditionReason.ENFORCING, message),), outcome.floor)

    def _refused(
        self, view: ServiceView, state: FloorState, outcome: FloorOutcome, turn: Turn
    ) -> PlanOutcome:
        assert outcome.refusal is not None
        target = target_of(view.policy)
        if outcome.refusal is Refusal.INVALID and not self._stands(target):
            state.was_refused(outcome.message, turn.now)
        told = EventReason(outcome.refusal.value)
        self._tell(view, state, Notice(told, outcome.message, warning=True), turn)
        condition = condition_for(ConditionReason(outcome.refusal.value), outcome.message)
        return PlanOutcome((condition,), outcome.floor)

    def _follow_floor(self, view: ServiceView, outcome: FloorOutcome) -> None:
        """Have the finalizer exactly where a floor of ours stands."""
        target = target_of(view.policy)
        stands = self._stands(target)
        if stands and outcome.refusal is Refusal.KEDA:  # it was ours before KEDA took it over
            self._cluster.restore(target, view.policy.scale.min_replicas)
            stands = False
        if stands:
            self._guard(view.item_id)
        else:
            self._release(view.item_id)

    def _stands(self, target: Target) -> bool:
        seen = self._cluster.autoscaler(target)
        return seen is not None and seen.touched

    def _guard(self, item_id: str) -> bool:
        """Keep a policy from going away before its floor; return whether it is still there."""
        stored = self._cluster.policies().get(item_id)  # a policy from a file has none
        return stored is None or stored.guarded or self._cluster.guard(item_id)

    def _release(self, item_id: str) -> None:
        stored = self._cluster.policies().get(item_id)
        if stored is not None and stored.guarded:
            self._cluster.release(item_id)

    def _standing(self, target: Target) -> PlanOutcome | None:
        seen = self._cluster.autoscaler(target)
        return None if seen is None else PlanOutcome(floor=seen.min_replicas)

    def _told(self, target: Target, reason: ConditionReason, message: str = "") -> PlanOutcome:
        seen = self._cluster.autoscaler(target)
        floor = None if seen is None else seen.min_replicas
        return PlanOutcome((condition_for(reason, message),), floor)

    def _contested(self, view: ServiceView, state: FloorState, floor: int | None) -> PlanOutcome:
        target = target_of(view.policy)
        message = contested_remedy(target, state.manager)
        if state.reverts > 1:
            message = f"reverted {state.reverts} times. {message}"
        told = self._told(target, ConditionReason.CONTESTED, message)
        conditions = (*told.conditions, condition_for(ConditionReason.REVERTED, message))
        return PlanOutcome(conditions, told.floor if floor is None else floor)

    def _tell_moved(
        self, view: ServiceView, state: FloorState, outcome: FloorOutcome, turn: Turn
    ) -> None:
        assert view.decision is not None
        why = view.decision.plan.reason.value.replace("_", " ")
        qps = view.decision.demand.qps
        message = f"floor {outcome.floor}: {why}, for {qps:,.4g} requests per second"
        state.last_message = ""
        self._tell(view, state, Notice(EventReason.FLOOR_MOVED, message), turn)

    def _tell_turned(self, view: ServiceView, state: FloorState, turn: Turn) -> None:
        """Tell that mode Auto has come to act by another mode."""
        if view.evidence is None or not view.turned:
            return
        earned = view.evidence.is_earned
        reason = EventReason.FLOOR_EARNED if earned else EventReason.FLOOR_TAKEN_BACK
        notice = Notice(reason, earned_text(view.evidence), warning=not earned)
        self._tell(view, state, notice, turn)

    def _tell(self, view: ServiceView, state: FloorState, notice: Notice, turn: Turn) -> None:
        if state.last_message != notice.message:
            state.last_message = notice.message
            self._cluster.tell(view.item_id, notice, now=turn.now)


def stopped_message(target: Target) -> str:
    """Return what is said of a workload that somebody has scaled to 0."""
    return (
        f"somebody has scaled the workload of HorizontalPodAutoscaler {target} to 0 replicas, "
        "which stops its autoscaler, too; scale it up when it is to run again, or set "
        "spec.replicas.wake to have that done"
    )
