"""The workloads that HPAs scale, by their scale subresource."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.paths import object_path
from scaler.adapters.kube.recent_values import RecentValues
from scaler.clocks.steady import steady_seconds
from scaler.control.observations import Pod
from scaler.errors import (
    ClusterAbsentError,
    ClusterConflictError,
    ClusterForbiddenError,
    ClusterUnreachableError,
)

# A selector of these is immutable; one that is deleted and created anew with another shows by its
# pods. Other kinds may change theirs at any time (an Argo Rollout does at each blue-green
# promotion), so they are read at each look.
_SELECTOR_TTL_S = 60.0
# While the API server is away, what it said last counts for this long.
_REMEMBERED_S = 90.0
_PLURALS = {
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "ReplicaSet"): "replicasets",
}
# The rights on kinds beside these, which the base does not have, by group and kind.
_COMPONENTS = {("argoproj.io", "Rollout"): "deploy/components/argo-rollouts"}


@dataclass(frozen=True, slots=True)
class ScaleRef:
    """The reference of an HPA to the workload that it scales."""

    api_version: str
    kind: str
    namespace: str
    name: str


def scale_ref(found: Mapping[str, Any]) -> ScaleRef:
    """Return the scaleTargetRef of a HorizontalPodAutoscaler."""
    target = found["spec"]["scaleTargetRef"]
    version = target.get("apiVersion") or "apps/v1"
    return ScaleRef(version, target["kind"], found["metadata"]["namespace"], target["name"])


@dataclass(frozen=True, slots=True)
class SelectedPods:
    """What a scale subresource says, and the pods that its selector selects.

    Attributes:
        wanted: replicas that are asked for, ``spec.replicas``; counted: ``status.replicas``.
        fresh: whether that was read at this look, rather than remembered.
    """

    pods: tuple[Pod, ...]
    wanted: int
    counted: int
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class _Remembered:
    read_at: float
    selector: str
    selected: SelectedPods

    @property
    def uids(self) -> frozenset[str]:
        return frozenset(one.uid for one in self.selected.pods)


class ScaleClient:
    """The scale subresources of one API server.

    Args:
        api: of the server.
        select: returns the pods of a namespace that a label selector selects, from memory.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        api: KubernetesApi,
        select: Callable[[str, str], tuple[Pod, ...]],
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._api, self._select, self._clock = api, select, clock
        self._plurals: dict[tuple[str, str], str] = dict(_PLURALS)
        self._remembered: RecentValues[ScaleRef, _Remembered] = RecentValues(_REMEMBERED_S)
        self._lock = threading.Lock()

    def selected(self, ref: ScaleRef, counted: int) -> SelectedPods:
        """Return the pods of a workload.

        Args:
            ref: of the workload.
            counted: replicas that its autoscaler counts; 0 where it says nothing.

        Raises:
            ClusterError: what the workload selects is not known.
        """
        before = self._remembered.get(ref, self._clock())
        pods = () if before is None else self._select(ref.namespace, before.selector)
        if before is not None and not self._in_doubt(ref, before, pods, counted):
            return replace(before.selected, pods=pods, fresh=False)
        try:
            with self._naming_the_right("get", ref):
                scale = self._api.get(self._path(ref))
        except ClusterUnreachableError:
            if not pods or before is None:
                raise
            return replace(before.selected, pods=pods, fresh=False)
        spec, status = scale.get("spec") or {}, scale.get("status") or {}
        selector = status.get("selector") or ""
        found = SelectedPods(
            self._select(ref.namespace, selector),
            spec.get("replicas") or 0,
            status.get("replicas") or 0,
        )
        read_at = self._clock()
        self._remembered.put(ref, _Remembered(read_at, selector, found), read_at)
        return found

    def _in_doubt(
        self, ref: ScaleRef, before: _Remembered, pods: tuple[Pod, ...], counted: int
    ) -> bool:
        """Return whether a selector that is remembered may not be the workload's any more."""
        if (ref.api_version, ref.kind) not in _PLURALS:
            return True
        if self._clock() - before.read_at >= _SELECTOR_TTL_S:
            return True
        if not pods or counted not in (0, len(pods)):
            return True
        return before.uids != frozenset(one.uid for one in pods)

    def wake(self, ref: ScaleRef, replicas: int) -> bool:
        """Scale a workload up that is at 0 replicas; leave every other to its HPA."""
        path = self._path(ref)
        with self._naming_the_right("get", ref):
            scale = self._api.get(path)
        if (scale.get("spec") or {}).get("replicas", 0) != 0:
            return False
        version = scale["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": max(replicas, 1)}}
        try:
            with self._naming_the_right("patch", ref):
                self._api.patch(path, body)
        except ClusterConflictError:
            return False  # another client has changed it meanwhile
        return True

    @contextmanager
    def _naming_the_right(self, verb: str, ref: ScaleRef) -> Iterator[None]:
        """Have a refusal say which right is missing, and what grants it."""
        try:
            yield
        except ClusterForbiddenError as error:
            group = ref.api_version.rpartition("/")[0]
            resource = f"{self._plurals.get((ref.api_version, ref.kind), ref.kind)}/scale"
            component = _COMPONENTS.get((group, ref.kind))
            fix = (
                f"add {component} to your overlay"
                if component
                else f"add a rule as in {_COMPONENTS['argoproj.io', 'Rollout']} to your overlay"
            )
            raise ClusterForbiddenError(
                f"tidegate may not {verb} {resource} in the API group "
                f"{group!r}, by which the pods of {ref.kind} {ref.namespace}/{ref.name} are found "
                f"and started; {fix} ({error})"
            ) from error

    def _path(self, ref: ScaleRef) -> str:
        group = f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"
        return object_path(group, self._plural(ref, group), ref.namespace, ref.name, "scale")

    def _plural(self, ref: ScaleRef, group: str) -> str:
        kind = (ref.api_version, ref.kind)
        with self._lock:
            plural = self._plurals.get(kind)
        if plural is not None:
            return plural
        for resource in self._api.get(quote(group))["resources"]:
            if resource["kind"] == ref.kind and "/" not in resource["name"]:
                with self._lock:
                    self._plurals[kind] = resource["name"]
                return str(resource["name"])
        raise ClusterAbsentError(
            f"{ref.api_version} has no kind {ref.kind}, which is that of {ref.name}"
        )
