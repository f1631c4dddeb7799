"""The floor of an autoscaler: applied with the user's own beside it, and put back without a trace.

Rules of this file:

* Every write names the version that was read for it, so that nobody's change is overwritten unseen.
* The floor and the annotation travel in one write, in both directions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from scaler.adapters.kube.client import APPLY, KubernetesApi, Object
from scaler.adapters.kube.objects import autoscaler
from scaler.adapters.kube.paths import AUTOSCALING, autoscaler_path, listed
from scaler.control.cluster_port import FloorOutcome
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterRefusedError
from scaler.hpa.floor_ownership import (
    MANAGER,
    ORIGINAL,
    Autoscaler,
    DesiredFloor,
    FloorWrite,
    Refusal,
    Target,
    contested_remedy,
    is_applied,
    keda_remedy,
    restored_floor,
    write_for,
)

# Its controller writes an autoscaler's status every 15 s: a write may meet it, not five in a row.
_MEETINGS = 5


class FloorWriter:
    """Moves floors on one API server.

    ``keep`` is given each object that was read or written, so that a cache need not wait for it.
    """

    def __init__(self, api: KubernetesApi, keep: Callable[[Object], None]) -> None:
        self._api, self._keep = api, keep
        # Those that we raised: noticed even where a revert takes our annotation away as well.
        self._held: set[Target] = set()
        self._lock = threading.Lock()

    def set(self, wish: DesiredFloor) -> FloorOutcome:
        try:
            return self._met(lambda: self._set(wish))
        except ClusterAbsentError as error:
            self._holds(wish.target, held=False)
            return FloorOutcome(None, refusal=Refusal.MISSING, message=_missing(wish.target, error))
        except ClusterRefusedError as error:
            return FloorOutcome(None, refusal=Refusal.INVALID, message=str(error))

    def restore(self, target: Target, policy_min: int | None) -> FloorOutcome:
        try:
            outcome = self._met(lambda: self._restore(target, policy_min))
        except ClusterAbsentError:
            outcome = FloorOutcome(None)  # nothing is left of it, so nothing of ours either
        self._holds(target, held=False)
        return outcome

    def settled(self, wish: DesiredFloor, seen: Autoscaler) -> bool:
        """Return whether a wish needs neither a write nor a word, going by what is remembered."""
        with self._lock:
            held = wish.target in self._held
        if seen.scaled_object is not None or seen.reverted_by(held=held) is not None:
            return False
        return is_applied(write_for(wish, seen), seen)

    def read(self, target: Target) -> Autoscaler:
        return autoscaler(self._read(target))

    def touched(self, namespace: str | None) -> Iterator[Autoscaler]:
        """Yield the autoscalers that carry our annotation."""
        for page in self._api.pages(listed(AUTOSCALING, "horizontalpodautoscalers", namespace)):
            for found in page["items"]:
                seen = autoscaler(found)
                if seen.original_min_replicas is not None:
                    yield seen

    def _met(self, attempt: Callable[[], FloorOutcome]) -> FloorOutcome:
        """Try again while the object changes between a read and the write that follows."""
        for _ in range(_MEETINGS - 1):
            try:
                return attempt()
            except ClusterConflictError as conflict:
                if conflict.managers:
                    raise
        return attempt()

    def _set(self, wish: DesiredFloor) -> FloorOutcome:
        seen = self.read(wish.target)
        if seen.scaled_object is not None:
            return FloorOutcome(seen.min_replicas, refusal=Refusal.KEDA, message=keda_remedy(seen))
        with self._lock:
            held = wish.target in self._held
        manager = seen.reverted_by(held=held)
        if manager is not None and not wish.reclaim:
            return _contested(seen, manager)
        write = write_for(wish, seen)
        if is_applied(write, seen):
            return FloorOutcome(seen.min_replicas)
        try:
            written = self._apply(seen, write)
        except ClusterConflictError as conflict:
            if not conflict.managers:
                raise
            return _contested(seen, ", ".join(conflict.managers))
        self._keep(written)
        self._holds(wish.target, held=True)
        return FloorOutcome(autoscaler(written).min_replicas, moved=True)

    def _apply(self, seen: Autoscaler, write: FloorWrite) -> Object:
        target = seen.target
        body: Object = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "namespace": target.namespace,
                "name": target.name,
                "resourceVersion": seen.version,
                "annotations": {ORIGINAL: str(write.original_min_replicas)},
            },
            "spec": {"minReplicas": write.min_replicas},
        }
        force = "true" if write.force else "false"
        return self._api.patch(autoscaler_path(target), body, APPLY, force=force)

    def _restore(self, target: Target, policy_min: int | None) -> FloorOutcome:
        found = self._read(target)
        seen = autoscaler(found)
        floor = seen.min_replicas
        if seen.touched:
            floor = restored_floor(seen, policy_min)
            found = self._released(found, {"annotations": {ORIGINAL: None}}, {"minReplicas": floor})
        if _theirs(found) is not None:  # the write that put the floor back was ours, too
            self._released(found, {}, {})
        return FloorOutcome(floor, moved=floor != seen.min_replicas)

    def _released(self, found: Object, meta: Object, spec: Object) -> Object:
        """Write a change together with our fields being nobody's any more.

        To apply nothing would remove minReplicas, which then defaults to 1: ours are struck from
        the list instead. Source: kubernetes.io, "Server-Side Apply", clearing managedFields.
        """
        meta = {"resourceVersion": found["metadata"]["resourceVersion"], **meta}
        theirs = _theirs(found)
        if theirs is not None:
            meta["managedFields"] = theirs
        body: Object = {"metadata": meta, "spec": spec} if spec else {"metadata": meta}
        written = self._api.patch(autoscaler_path(autoscaler(found).target), body)
        self._keep(written)
        return written

    def _read(self, target: Target) -> Object:
        return self._api.get(autoscaler_path(target))

    def _holds(self, target: Target, *, held: bool) -> None:
        with self._lock:
            (self._held.add if held else self._held.discard)(target)


def _theirs(found: Object) -> list[Object] | None:
    """Return the entries of others, an empty one for none at all; None where all are of others."""
    entries = found["metadata"].get("managedFields") or []
    others = [entry for entry in entries if entry.get("manager") != MANAGER]
    return None if len(others) == len(entries) else others or [{}]


def _contested(seen: Autoscaler, manager: str) -> FloorOutcome:
    message = contested_remedy(seen.target, manager)
    return FloorOutcome(
        seen.min_replicas, refusal=Refusal.CONTESTED, manager=manager, message=message
    )


def _missing(target: Target, error: Exception) -> str:
    return (
        f"there is no HorizontalPodAutoscaler {target} ({error}); create it, or name another in "
        "spec.targetRef.name"
    )
