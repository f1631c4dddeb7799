"""The workloads that HPAs scale, by their scale subresource."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.paths import object_path
from scaler.clocks.steady import steady_seconds
from scaler.errors import ClusterAbsentError, ClusterConflictError

_SELECTOR_TTL_S = (
    300.0  # a selector is immutable, but a workload may be deleted and created anew with another
)
_PLURALS = {
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "ReplicaSet"): "replicasets",
}


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


class ScaleClient:
    """The scale subresources of one API server."""

    def __init__(self, api: KubernetesApi, clock: Callable[[], float] = steady_seconds) -> None:
        self._api, self._clock = api, clock
        self._plurals: dict[tuple[str, str], str] = dict(_PLURALS)
        self._selectors: dict[ScaleRef, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def selector(self, ref: ScaleRef) -> str:
        """Return the selector of a workload's pods, cached for five minutes."""
        with self._lock:
            cached = self._selectors.get(ref)
        if cached is not None and self._clock() - cached[0] < _SELECTOR_TTL_S:
            return cached[1]
        scale = self._api.get(self._path(ref))
        selector = (scale.get("status") or {}).get("selector") or ""
        with self._lock:
            self._selectors[ref] = (self._clock(), selector)
        return selector

    def wake(self, ref: ScaleRef, replicas: int) -> bool:
        """Scale a workload up that is at 0 replicas; leave every other to its HPA."""
        path = self._path(ref)
        scale = self._api.get(path)
        if (scale.get("spec") or {}).get("replicas", 0) != 0:
            return False
        version = scale["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": max(replicas, 1)}}
        try:
            self._api.patch(path, body)
        except ClusterConflictError:
            return False  # another client has changed it meanwhile
        return True

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
