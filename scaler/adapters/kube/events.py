"""Events about policies: one for each change of mind, counted where it is the same again."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass

from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.objects import micro_time
from scaler.adapters.kube.paths import EVENTS, listed, one
from scaler.control.cluster_port import Notice, PolicyObject
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterError
from scaler.hpa.floor_ownership import MANAGER
from scaler.policy.schema import API_VERSION, KIND

_log = logging.getLogger(__name__)
_SERIES_S = 360.0  # client-go, tools/events: what comes again within six minutes is a series
_LONGEST = 1024  # characters of a note that the API server takes
_MOST = 4096  # notices that are remembered


@dataclass
class _RecentEvent:
    name: str
    at: float
    count: int = 1


class EventRecorder:
    """Tells notices about policies on one API server."""

    def __init__(self, api: KubernetesApi, instance: str) -> None:
        self._api, self._instance = api, instance
        self._told: dict[tuple[str, Notice], _RecentEvent] = {}
        self._lock = threading.Lock()

    def tell(self, about: PolicyObject, notice: Notice, now: float) -> bool:
        """Write a notice, or count it; return whether it was. Never raises a `ClusterError`."""
        key = (about.uid, notice)
        with self._lock:
            told = self._told.get(key)
        try:
            if told is not None and now - told.at < _SERIES_S and self._again(about, told, now):
                told.at, told.count = now, told.count + 1
                return True
            name = self._anew(about, notice, now)
        except ClusterError as error:
            _log.warning("item=%s event=%s lost=%s", about.item_id, notice.reason, error)
            return False
        with self._lock:
            if len(self._told) >= _MOST:
                self._told.clear()
            self._told[key] = _RecentEvent(name, now)
        return True

    def _again(self, about: PolicyObject, told: _RecentEvent, now: float) -> bool:
        series = {"count": told.count + 1, "lastObservedTime": micro_time(now)}
        namespace = about.item_id.partition("/")[0]
        try:
            self._api.patch(one(EVENTS, "events", namespace, told.name), {"series": series})
        except ClusterAbsentError:
            return False  # Events live for an hour
        return True

    def _anew(self, about: PolicyObject, notice: Notice, now: float) -> str:
        namespace, _, policy = about.item_id.partition("/")
        # The same for the same, so that a retry of what was done already makes no second one.
        words = f"{about.uid} {notice} {now!r} {self._instance}".encode()
        name = f"{policy[:200]}.{hashlib.sha256(words).hexdigest()[:16]}"
        body: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "eventTime": micro_time(now),
            "reportingController": f"{MANAGER}.dev/scaler",
            "reportingInstance": self._instance[:128],
            "action": notice.action,
            "reason": notice.reason,
            "type": "Warning" if notice.warning else "Normal",
            "note": notice.message[:_LONGEST],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": namespace,
                "name": policy,
                "uid": about.uid,
            },
        }
        with suppress(ClusterConflictError):  # the first try had arrived
            self._api.post(listed(EVENTS, "events", namespace), body)
        return name
