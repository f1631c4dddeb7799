"""Fakes for tests of the loop: small classes in the place of what it reaches outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from scaler.control.cluster_port import (
    AtZero,
    FloorOutcome,
    Notice,
    PolicyObject,
    PolicyStatus,
    ScaledWorkload,
)
from scaler.control.observations import Pod
from scaler.errors import ClusterAbsentError, ClusterError
from scaler.hpa.floor_ownership import (
    MANAGER,
    Autoscaler,
    DesiredFloor,
    Refusal,
    Target,
    contested_remedy,
    is_applied,
    keda_remedy,
    restored_floor,
    write_for,
)
from scaler.policy.policy import Policy


class FakeCluster:
    """A `scaler.control.cluster_port.Cluster` in memory: the same rules without an API server.

    Attributes:
        kept, scaled, pods: what there is; tests change it as users and controllers do.
        statuses, notices: what was written, by item_id.
        fails: asked before each call with its name; raises or returns what it is to raise.
    """

    def __init__(self, fails: Callable[[str], ClusterError | None] = lambda _: None) -> None:
        self.kept: dict[str, PolicyObject] = {}
        self.scaled: dict[Target, Autoscaler] = {}
        self.pods: dict[Target, tuple[Pod, ...]] = {}
        self.statuses: dict[str, list[PolicyStatus]] = {}
        self.notices: dict[str, list[Notice]] = {}
        self.woken: dict[Target, int] = {}
        self.fails = fails
        self.at_zero: dict[Target, AtZero] = {}
        self._held: dict[Target, str] = {}  # with the UID
        self._lock = threading.RLock()

    # What a user does.

    def put(self, policy: Policy, generation: int = 1) -> Target:
        """Add or change a policy and, where there is none, its autoscaler with a floor of 1."""
        namespace = policy.item_id.partition("/")[0]
        target = Target(namespace, policy.target)
        with self._lock:
            before = self.kept.get(policy.item_id)
            kept = PolicyObject(
                item_id=policy.item_id, uid="1", generation=generation, policy=policy
            )
            if before is not None:
                known = {"uid": before.uid, "created": before.created, "guarded": before.guarded}
                kept = replace(kept, **known, published=before.published)
            self.kept[policy.item_id] = kept
            self.scaled.setdefault(
                target, Autoscaler(target=target, min_replicas=1, max_replicas=100)
            )
        return target

    def delete(self, item_id: str) -> None:
        with self._lock:
            if self.kept[item_id].guarded:
                self.kept[item_id] = replace(self.kept[item_id], deleting=True)
            else:
                del self.kept[item_id]

    def recreate(self, target: Target, uid: str, min_replicas: int) -> None:
        """Delete an autoscaler and create another one of the same name."""
        with self._lock:
            most = self.scaled[target].max_replicas
            self.scaled[target] = Autoscaler(
                target=target, min_replicas=min_replicas, max_replicas=most, uid=uid
            )

    def edit(self, target: Target, min_replicas: int, manager: str = "kubectl-edit") -> None:
        with self._lock:
            self.scaled[target] = replace(
                self.scaled[target], min_replicas=min_replicas, managers=(manager,)
            )

    # What the loop does: see `scaler.control.cluster_port.Cluster`.

    def policies(self) -> dict[str, PolicyObject]:
        with self._lock:
            return dict(self.kept)

    def observe(self, target: Target) -> ScaledWorkload:
        self._may("observe")
        seen, pods = self._seen(target), self.pods.get(target, ())
        return ScaledWorkload(seen, pods, self.at_zero.get(target))

    def autoscaler(self, target: Target) -> Autoscaler | None:
        with self._lock:
            return self.scaled.get(target)

    def set_floor(
        self, wish: DesiredFloor, guard: Callable[[], bool] = lambda: True
    ) -> FloorOutcome:
        self._may("set_floor")
        with self._lock:
            try:
                seen = self._seen(wish.target)
            except ClusterAbsentError as error:
                return FloorOutcome(None, refusal=Refusal.MISSING, message=str(error))
            if seen.scaled_object is not None:
                said = keda_remedy(seen)
                return FloorOutcome(seen.min_replicas, refusal=Refusal.KEDA, message=said)
            manager = seen.reverted_by(held=self._held.get(wish.target) == seen.uid)
            if manager is not None and not wish.reclaim:
                said = contested_remedy(wish.target, manager)
                return FloorOutcome(
                    seen.min_replicas, refusal=Refusal.CONTESTED, manager=manager, message=said
                )
            write = write_for(wish, seen)
            if is_applied(write, seen):
                return FloorOutcome(seen.min_replicas)
            if not guard():
                return FloorOutcome(seen.min_replicas, refusal=Refusal.GONE)
            self.scaled[wish.target] = replace(
                seen,
                min_replicas=write.min_replicas,
                original_min_replicas=write.original_min_replicas,
                raised_floor=None,
                managers=(MANAGER,),
            )
            self._held[wish.target] = seen.uid
            return FloorOutcome(write.min_replicas, moved=True)

    def restore(self, target: Target, policy_min: int | None = None) -> FloorOutcome:
        self._may("restore")
        with self._lock:
            self._held.pop(target, None)
            seen = self.scaled.get(target)
            if seen is None:
                return FloorOutcome(None)
            floor = restored_floor(seen, policy_min) if seen.touched else seen.min_replicas
            left = tuple(one for one in seen.managers if one != MANAGER)
            self.scaled[target] = replace(
                seen,
                min_replicas=floor,
                original_min_replicas=None,
                raised_floor=None,
                managers=left,
            )
            return FloorOutcome(floor, moved=floor != seen.min_replicas)

    def raised(self) -> tuple[Autoscaler, ...]:
        with self._lock:
            return tuple(seen for seen in self.scaled.values() if seen.touched)

    def wake(self, target: Target, replicas: int) -> bool:
        self._may("wake")
        with self._lock:
            seen = self._seen(target)
            if target not in self.at_zero:
                return False
            del self.at_zero[target]
            self.woken[target] = min(replicas, seen.max_replicas)
            return True

    def guard(self, item_id: str) -> bool:
        self._may("guard")
        with self._lock:
            kept = self.kept.get(item_id)
            if kept is None or (kept.deleting and not kept.guarded):
                return False
            self.kept[item_id] = replace(kept, guarded=True)
            return True

    def release(self, item_id: str) -> bool:
        self._may("release")
        with self._lock:
            kept = self.kept.get(item_id)
            if kept is None:
                return False
            self.kept[item_id] = replace(kept, guarded=False)
            if kept.deleting:
                del self.kept[item_id]
            return True

    def publish(self, item_id: str, status: PolicyStatus, *, now: float) -> bool:
        self._may("publish")
        with self._lock:
            kept = self.kept.get(item_id)
            if kept is None:
                return False
            self.statuses.setdefault(item_id, []).append(status)
            self.kept[item_id] = replace(kept, published=status.published)
            return True

    def tell(self, item_id: str, notice: Notice, *, now: float) -> bool:
        if self.fails("tell") is not None:
            return False
        with self._lock:
            self.notices.setdefault(item_id, []).append(notice)
        return True

    def _may(self, call: str) -> None:
        error = self.fails(call)
        if error is not None:
            raise error

    def _seen(self, target: Target) -> Autoscaler:
        with self._lock:
            if target not in self.scaled:
                raise ClusterAbsentError(f"there is no HorizontalPodAutoscaler {target}")
            return self.scaled[target]


class FakeLeadership:
    """A `scaler.control.cluster_port.Leadership` that a test decides on."""

    def __init__(self, leading: bool = True) -> None:
        self.leading, self.closed = leading, False

    def leads(self) -> bool:
        return self.leading and not self.closed

    def reign(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True
