"""Kubernetes Events about policies; a repeated Event is counted in its series."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass

from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.objects import micro_time
from scaler.adapters.kube.paths import EVENTS, list_path, object_path
from scaler.adapters.kube.recent_values import RecentValues
from scaler.control.cluster_port import Notice, PolicyObject
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterError
from scaler.hpa.floor_ownership import MANAGER
from scaler.policy.schema import API_VERSION, KIND

_log = logging.getLogger(__name__)
_SERIES_S = 360.0  # client-go, tools/events: repetitions within six minutes are a series
ACTION = "Decide"  # what the controller did, which an Event must say
_MAX_NOTE = 1024  # characters of a note that the API server accepts


@dataclass(frozen=True, slots=True)
class _RecentEvent:
    name: str
    count: int = 1


class EventRecorder:
    """Writes notices about policies as Events."""

    def __init__(self, api: KubernetesApi, instance: str) -> None:
        self._api, self._instance = api, instance
        self._recent: RecentValues[tuple[str, Notice], _RecentEvent] = RecentValues(_SERIES_S)

    def tell(self, about: PolicyObject, notice: Notice, now: float) -> bool:
        """Write a notice or count its repetition; return whether that succeeded.

        It never raises a `ClusterError`.
        """
        key = (about.uid, notice)
        recent = self._recent.get(key, now)
        try:
            if recent is not None and self._count_again(about, recent, now):
                told = _RecentEvent(recent.name, recent.count + 1)
            else:
                told = _RecentEvent(self._create(about, notice, now))
        except ClusterError as error:
            _log.warning("item=%s event=%s lost=%s", about.item_id, notice.reason, error)
            return False
        self._recent.put(key, told, now)
        return True

    def _count_again(self, about: PolicyObject, recent: _RecentEvent, now: float) -> bool:
        series = {"count": recent.count + 1, "lastObservedTime": micro_time(now)}
        namespace = about.item_id.partition("/")[0]
        try:
            self._api.patch(
                object_path(EVENTS, "events", namespace, recent.name), {"series": series}
            )
        except ClusterAbsentError:
            return False  # the API server deletes Events after an hour
        return True

    def _create(self, about: PolicyObject, notice: Notice, now: float) -> str:
        namespace, _, policy = about.item_id.partition("/")
        # The name depends on the notice alone, so that a retried request creates no second Event.
        identity = f"{about.uid} {notice} {now!r} {self._instance}".encode()
        name = f"{policy[:200]}.{hashlib.sha256(identity).hexdigest()[:16]}"
        body: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "eventTime": micro_time(now),
            "reportingController": f"{MANAGER}.dev/scaler",
            "reportingInstance": self._instance[:128],
            "action": ACTION,
            "reason": notice.reason,
            "type": "Warning" if notice.warning else "Normal",
            "note": notice.message[:_MAX_NOTE],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": namespace,
                "name": policy,
                "uid": about.uid,
            },
        }
        with suppress(ClusterConflictError):  # an earlier try had arrived
            self._api.post(list_path(EVENTS, "events", namespace), body)
        return name
