"""The cluster port on a real API server: reads come from informer caches, writes read first.

A tick reads a thousand HPAs and their pods. One by one these would be thousands of requests, so
three informers keep them in memory. An object is read anew before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from scaler.adapters.kube.caches import ObjectCache, PodCache
from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.events import EventRecorder
from scaler.adapters.kube.floors import FloorWriter
from scaler.adapters.kube.informer import Informer, Store, WatchTimes
from scaler.adapters.kube.objects import autoscaler
from scaler.adapters.kube.paths import AUTOSCALING, CORE, POLICIES, autoscaler_path, list_path
from scaler.adapters.kube.policies import Finalizers, read_policy
from scaler.adapters.kube.status import StatusWriter
from scaler.adapters.kube.workloads import ScaleClient, ScaleRef, scale_ref
from scaler.clocks.steady import steady_seconds
from scaler.control.cluster_port import (
    AtZero,
    FloorOutcome,
    Notice,
    PolicyObject,
    PolicyStatus,
    ScaledWorkload,
)
from scaler.errors import ClusterAbsentError, ClusterError, ClusterUnreachableError
from scaler.hpa.floor_ownership import Autoscaler, DesiredFloor, Target

# Seconds without contact after which the caches are too old to act on. A silent watch is renewed
# within 50 s (`WatchTimes`); the rest is for attempts at it that fail.
STALE_S = 90.0


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How a cluster is watched.

    Attributes:
        namespace: the only namespace that is watched; None is all.
        instance: name of this replica, for Events.
        times: of the watches.
    """

    namespace: str | None = None
    instance: str = "tidegate"
    times: WatchTimes = field(default_factory=WatchTimes)


class KubernetesCluster:
    """See `scaler.control.cluster_port.Cluster`; call `start` first and `close` last."""

    def __init__(
        self,
        api: KubernetesApi,
        settings: ClusterSettings,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._api, self._settings = api, settings
        self._policies = ObjectCache(read_policy)
        self._autoscalers: ObjectCache[tuple[Autoscaler, ScaleRef]] = ObjectCache(
            lambda found, _: (autoscaler(found), scale_ref(found)), self._autoscaler_gone
        )
        self._pods = PodCache()
        self._informers = [
            self._informer(POLICIES, "demandpolicies", self._policies, clock),
            self._informer(AUTOSCALING, "horizontalpodautoscalers", self._autoscalers, clock),
            self._informer(CORE, "pods", self._pods, clock),
        ]
        self._floors = FloorWriter(api, self._autoscalers.renew)
        self._finalizers = Finalizers(api, self._policies.renew)
        self._statuses = StatusWriter(api, self._status, self._policies.renew)
        self._events = EventRecorder(api, settings.instance)
        self._scales = ScaleClient(api, self._pods.selected, clock)

    def start(self, wait_s: float = 30.0) -> None:
        """Start the informers, and return once their caches are filled.

        Raises:
            ClusterError: something cannot be listed; the message says why.
        """
        began = steady_seconds()
        for group, plural in (
            (POLICIES, "demandpolicies"),
            (AUTOSCALING, "horizontalpodautoscalers"),
            (CORE, "pods"),
        ):
            self._check_access(group, plural)
        for informer in self._informers:
            informer.start()
        for informer in self._informers:
            if not informer.wait(max(wait_s - (steady_seconds() - began), 0.0)):
                raise ClusterUnreachableError(f"the cluster was not listed within {wait_s:g}s")

    def close(self) -> None:
        """Stop the informers; calls that are running end by themselves."""
        for informer in self._informers:
            informer.close()

    def policies(self) -> Mapping[str, PolicyObject]:
        return MappingProxyType(
            {item_id: entry.policy_object for item_id, entry in self._policies.all().items()}
        )

    def observe(self, target: Target) -> ScaledWorkload:
        silent = self._silent_s()
        if silent > STALE_S:
            raise ClusterUnreachableError(
                f"no contact with the API server for {silent:.0f}s, so the pods of {target} "
                f"are not known; at most {STALE_S:g}s are acted on"
            )
        cached, ref = self._cached(target)
        found = self._scales.selected(ref, cached.replicas)
        if found.fresh and found.wanted == 0:
            return ScaledWorkload(cached, found.pods, _at_zero(cached))
        counted = max(cached.replicas, found.counted)
        if not found.pods and counted:
            raise ClusterError(
                f"no pods of {target} are found, but {counted} are counted, so they are not known; "
                f"look whether the selector in the scale of {ref.kind} {ref.name} is that of its "
                "pods"
            )
        return ScaledWorkload(cached, found.pods)

    def autoscaler(self, target: Target) -> Autoscaler | None:
        known = self._autoscalers.get(str(target))
        return known[0] if known else None

    def set_floor(
        self, wish: DesiredFloor, guard: Callable[[], bool] = lambda: True
    ) -> FloorOutcome:
        # Most floors need no write. To read all of them anew would take the whole tick.
        known = self._autoscalers.get(str(wish.target))
        if known and self._silent_s() <= STALE_S:
            cached, _ = known
            if self._floors.settled(wish, cached):
                return FloorOutcome(cached.min_replicas)
        return self._floors.set(wish, guard)

    def restore(self, target: Target, policy_min: int | None = None) -> FloorOutcome:
        return self._floors.restore(target, policy_min)

    def raised(self) -> tuple[Autoscaler, ...]:
        return tuple(cached for cached, _ in self._autoscalers.all().values() if cached.touched)

    def find_raised(self) -> Iterator[Autoscaler]:
        """Yield the HPAs with our annotation, read from the API server; needs no `start`."""
        return self._floors.touched(self._settings.namespace)

    def find_policies(self) -> Iterator[PolicyObject]:
        """Yield the DemandPolicies, read from the API server; needs no `start`."""
        for page in self._api.pages(
            list_path(POLICIES, "demandpolicies", self._settings.namespace)
        ):
            for found in page["items"]:
                yield read_policy(found).policy_object

    def leave(self, item_id: str, until: float) -> None:
        """Have whoever leads restore the floor of a policy, and leave it alone until then."""
        self._finalizers.leave(item_id, until)

    def wake(self, target: Target, replicas: int) -> bool:
        found = self._api.get(autoscaler_path(target))
        max_replicas = autoscaler(found).max_replicas
        return self._scales.wake(scale_ref(found), min(replicas, max_replicas))

    def guard(self, item_id: str) -> bool:
        return self._finalizers.guard(item_id)

    def release(self, item_id: str) -> bool:
        return self._finalizers.release(item_id)

    def publish(self, item_id: str, status: PolicyStatus, *, now: float) -> bool:
        return self._statuses.publish(item_id, status, now)

    def tell(self, item_id: str, notice: Notice, *, now: float) -> bool:
        entry = self._policies.get(item_id)
        return entry is not None and self._events.tell(entry.policy_object, notice, now)

    def _autoscaler_gone(self, name: str) -> None:
        self._floors.forget(Target(*name.split("/")))

    def _silent_s(self) -> float:
        return max(informer.silent_s() for informer in self._informers)

    def _informer(
        self, group: str, plural: str, store: Store, clock: Callable[[], float]
    ) -> Informer:
        path = list_path(group, plural, self._settings.namespace)
        return Informer(self._api, path, store, self._settings.times, clock)

    def _check_access(self, group: str, plural: str) -> None:
        try:
            self._api.get(list_path(group, plural, self._settings.namespace), limit="1")
        except ClusterAbsentError as error:
            raise ClusterAbsentError(
                f"{error}; the cluster knows no {plural}: 'scaler crd | kubectl apply -f -' "
                "installs them"
            ) from error

    def _cached(self, target: Target) -> tuple[Autoscaler, ScaleRef]:
        known = self._autoscalers.get(str(target))
        if known is None:
            raise ClusterAbsentError(
                f"there is no HorizontalPodAutoscaler {target}; create it, or name another in "
                "spec.targetRef.name"
            )
        return known

    def _status(self, item_id: str) -> Mapping[str, Any] | None:
        entry = self._policies.get(item_id)
        return entry.status if entry else None


def _at_zero(seen: Autoscaler) -> AtZero:
    return AtZero.ASLEEP if seen.slept else AtZero.STOPPED
