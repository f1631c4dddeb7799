"""The floors of HPAs: applied with the user's own floor in an annotation, and restored.

Rules of this file:

* Every write names the resource version that was read for it, so that no other change is lost.
* The floor and the annotation are always changed in one write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from scaler.adapters.kube.client import APPLY, KubernetesApi, Object
from scaler.adapters.kube.objects import autoscaler
from scaler.adapters.kube.paths import AUTOSCALING, autoscaler_path, list_path
from scaler.control.cluster_port import FloorOutcome
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterRefusedError
from scaler.hpa.floor_ownership import (
    MANAGER,
    ORIGINAL,
    RAISED,
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

# The HPA controller writes the status every 15 s: that may conflict once, not five times in a row.
_CONFLICT_TRIES = 5


class FloorWriter:
    """Writes floors on one API server.

    ``update_cache`` is called with each object that was written, ahead of its watch event.
    """

    def __init__(self, api: KubernetesApi, update_cache: Callable[[Object], None]) -> None:
        self._api, self._update_cache = api, update_cache
        # The HPAs raised by this process: a revert is detected even if it removes our annotation.
        self._raised: dict[Target, str] = {}  # with the UID
        self._lock = threading.Lock()

    def set(self, wish: DesiredFloor, guard: Callable[[], bool] = lambda: True) -> FloorOutcome:
        try:
            return self._retry_conflicts(lambda: self._set(wish, guard))
        except ClusterAbsentError as error:
            self.forget(wish.target)
            return FloorOutcome(None, refusal=Refusal.MISSING, message=_missing(wish.target, error))
        except ClusterRefusedError as error:
            return FloorOutcome(None, refusal=Refusal.INVALID, message=str(error))

    def restore(self, target: Target, policy_min: int | None) -> FloorOutcome:
        try:
            outcome = self._retry_conflicts(lambda: self._restore(target, policy_min))
        except ClusterAbsentError:
            outcome = FloorOutcome(None)  # the HPA is deleted, and our floor with it
        self.forget(target)
        return outcome

    def settled(self, wish: DesiredFloor, current: Autoscaler) -> bool:
        """Return whether, by the cached HPA, a wish needs no write and no refusal."""
        if current.scaled_object is not None or self._reverted_by(current) is not None:
            return False
        return is_applied(write_for(wish, current), current)

    def read(self, target: Target) -> Autoscaler:
        return autoscaler(self._read(target))

    def touched(self, namespace: str | None) -> Iterator[Autoscaler]:
        """Yield the HPAs that carry our annotation."""
        for page in self._api.pages(list_path(AUTOSCALING, "horizontalpodautoscalers", namespace)):
            for found in page["items"]:
                current = autoscaler(found)
                if current.original_min_replicas is not None:
                    yield current

    def _retry_conflicts(self, attempt: Callable[[], FloorOutcome]) -> FloorOutcome:
        """Try again if the object has changed between the read and the write."""
        for _ in range(_CONFLICT_TRIES - 1):
            try:
                return attempt()
            except ClusterConflictError as conflict:
                if conflict.managers:
                    raise
        return attempt()

    def _set(self, wish: DesiredFloor, guard: Callable[[], bool]) -> FloorOutcome:
        current = self.read(wish.target)
        if current.scaled_object is not None:
            return FloorOutcome(
                current.min_replicas, refusal=Refusal.KEDA, message=keda_remedy(current)
            )
        manager = self._reverted_by(current)
        if manager is not None and not wish.reclaim:
            return _contested(current, manager)
        write = write_for(wish, current)
        if is_applied(write, current):
            return FloorOutcome(current.min_replicas)
        if not guard():
            return FloorOutcome(current.min_replicas, refusal=Refusal.GONE)
        try:
            written = self._apply(current, write)
        except ClusterConflictError as conflict:
            if not conflict.managers:
                raise
            return _contested(current, ", ".join(conflict.managers))
        self._update_cache(written)
        with self._lock:
            self._raised[wish.target] = current.uid
        return FloorOutcome(autoscaler(written).min_replicas, moved=True)

    def _apply(self, current: Autoscaler, write: FloorWrite) -> Object:
        target = current.target
        body: Object = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "namespace": target.namespace,
                "name": target.name,
                "resourceVersion": current.version,
                "annotations": {
                    ORIGINAL: str(write.original_min_replicas),
                    RAISED: f"{current.uid}/{write.min_replicas}",
                },
            },
            "spec": {"minReplicas": write.min_replicas},
        }
        force = "true" if write.force else "false"
        return self._api.patch(autoscaler_path(target), body, APPLY, force=force)

    def _restore(self, target: Target, policy_min: int | None) -> FloorOutcome:
        found = self._read(target)
        current = autoscaler(found)
        floor = current.min_replicas
        if current.touched:
            floor = restored_floor(current, policy_min)
            found = self._write_released(
                found,
                {"annotations": {ORIGINAL: None, RAISED: None}},
                {"minReplicas": floor},
            )
        if _foreign_entries(found) is not None:  # the write above made us an owner again
            self._write_released(found, {}, {})
        return FloorOutcome(floor, moved=floor != current.min_replicas)

    def _write_released(self, found: Object, meta: Object, spec: Object) -> Object:
        """Write a change and give up the ownership of our fields in the same request.

        Applying an empty object would remove minReplicas, which then defaults to 1. So our entries
        are removed from managedFields instead. Source: kubernetes.io, "Server-Side Apply",
        clearing managedFields.
        """
        meta = {"resourceVersion": found["metadata"]["resourceVersion"], **meta}
        foreign = _foreign_entries(found)
        if foreign is not None:
            meta["managedFields"] = foreign
        body: Object = {"metadata": meta, "spec": spec} if spec else {"metadata": meta}
        written = self._api.patch(autoscaler_path(autoscaler(found).target), body)
        self._update_cache(written)
        return written

    def _read(self, target: Target) -> Object:
        return self._api.get(autoscaler_path(target))

    def _reverted_by(self, current: Autoscaler) -> str | None:
        """Return who has written over our floor; another HPA of the same name never had one."""
        with self._lock:
            held = self._raised.get(current.target) == current.uid
        return current.reverted_by(held=held)

    def forget(self, target: Target) -> None:
        """Forget that this process has raised a floor."""
        with self._lock:
            self._raised.pop(target, None)


def _foreign_entries(found: Object) -> list[Object] | None:
    """Return the managedFields entries of other managers; None if none is ours.

    If all are ours, the result is one empty entry, which clears the list.
    """
    entries = found["metadata"].get("managedFields") or []
    others = [entry for entry in entries if entry.get("manager") != MANAGER]
    return None if len(others) == len(entries) else others or [{}]


def _contested(current: Autoscaler, manager: str) -> FloorOutcome:
    message = contested_remedy(current.target, manager)
    return FloorOutcome(
        current.min_replicas, refusal=Refusal.CONTESTED, manager=manager, message=message
    )


def _missing(target: Target, error: Exception) -> str:
    return (
        f"there is no HorizontalPodAutoscaler {target} ({error}); create it, or name another in "
        "spec.targetRef.name"
    )
