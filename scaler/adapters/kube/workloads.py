"""What an autoscaler scales: its pods, and its scale subresource."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.paths import one
from scaler.errors import ClusterAbsentError, ClusterConflictError

_REREAD_S = 300.0  # a workload's selector never changes; one that is created anew may have another
_PLURALS = {
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "ReplicaSet"): "replicasets",
}


@dataclass(frozen=True, slots=True)
class ScaleRef:
    """What an autoscaler names as its workload."""

    api_version: str
    kind: str
    namespace: str
    name: str


def scale_ref(found: Mapping[str, Any]) -> ScaleRef:
    """Return what a HorizontalPodAutoscaler names."""
    named = found["spec"]["scaleTargetRef"]
    version = named.get("apiVersion") or "apps/v1"
    return ScaleRef(version, named["kind"], found["metadata"]["namespace"], named["name"])


class ScaleClient:
    """The scale subresources of one API server."""

    def __init__(self, api: KubernetesApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = api, clock
        self._plurals: dict[tuple[str, str], str] = dict(_PLURALS)
        self._selectors: dict[ScaleRef, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def selector(self, ref: ScaleRef) -> str:
        """Return the selector of a workload's pods, as it was at most five minutes ago."""
        with self._lock:
            kept = self._selectors.get(ref)
        if kept is not None and self._clock() - kept[0] < _REREAD_S:
            return kept[1]
        scale = self._api.get(self._path(ref))
        selector = (scale.get("status") or {}).get("selector") or ""
        with self._lock:
            self._selectors[ref] = (self._clock(), selector)
        return selector

    def wake(self, ref: ScaleRef, replicas: int) -> bool:
        """Scale up what is at 0; what is not is left to its autoscaler."""
        path = self._path(ref)
        scale = self._api.get(path)
        if (scale.get("spec") or {}).get("replicas", 0) != 0:
            return False
        version = scale["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": max(replicas, 1)}}
        try:
            self._api.patch(path, body)
        except ClusterConflictError:
            return False  # somebody was faster
        return True

    def _path(self, ref: ScaleRef) -> str:
        group = f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"
        return one(group, self._plural(ref, group), ref.namespace, ref.name, "scale")

    def _plural(self, ref: ScaleRef, group: str) -> str:
        kind = (ref.api_version, ref.kind)
        with self._lock:
            known = self._plurals.get(kind)
        if known is not None:
            return known
        for resource in self._api.get(quote(group))["resources"]:
            if resource["kind"] == ref.kind and "/" not in resource["name"]:
                with self._lock:
                    self._plurals[kind] = resource["name"]
                return str(resource["name"])
        raise ClusterAbsentError(f"{ref.api_version} has no {ref.kind}, which {ref.name} is to be")
