"""The leader label: it is on the pod that leads, so that a Service can select that pod.

Only one replica may hand out shares, or the limit would be handed out twice. So gateways use the
Service `tidegate-limits`, which selects this label. While two pods carry the label, or none does, a
pod that does not lead replies 503, and gateways keep the leases that they hold.

Rules of this file:

* The label is taken from a pod once another is known to lead, never for want of news: a Service
  without a pod serves nobody, and who led last may go on.
* What is written is what holds when it is written. So a call is tried once, and the next try looks
  again: a change that had to wait may be out of date.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.paths import CORE, list_path, object_path
from scaler.errors import ClusterAbsentError, ClusterError

LOGGER = logging.getLogger(__name__)
LABEL = "tidegate.dev/leads"


class LeaderLabel:
    """Keeps the label on the leader, in a thread of its own: the election must not wait for it.

    Args:
        api: the API server.
        namespace: of the replicas.
        pod: name of this replica's pod.
        retry_s: seconds between two tries.
    """

    def __init__(self, api: KubernetesApi, namespace: str, pod: str, retry_s: float = 2.0) -> None:
        self._api = replace(api, retry_policy=replace(api.retry_policy, attempts=1))
        self._namespace, self._pod, self._retry_s = namespace, pod, retry_s
        self._leads = False
        self._due, self._closed = threading.Event(), threading.Event()
        self._due.set()  # the container may have led before a restart
        self._thread = threading.Thread(target=self._run, name="leader-label", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; the label is not removed, for the pod ends."""
        self._closed.set()
        self._due.set()

    def changed(self, leads: bool) -> None:
        """Note that this replica leads, or that another is known to; does not block."""
        self._leads = leads
        self._due.set()

    def _run(self) -> None:
        while self._due.wait() and not self._closed.is_set():
            self._due.clear()
            try:
                self._label(leads=self._leads)
            except ClusterAbsentError:
                LOGGER.warning("leader label: there is no pod %s/%s", self._namespace, self._pod)
            except ClusterError as error:
                LOGGER.warning("leader label: %s", error)
                self._due.set()
                self._closed.wait(self._retry_s)

    def _label(self, *, leads: bool) -> None:
        if not leads:
            self._set_label(self._pod, None)
            return
        # Label this pod first: until the other label is gone the Service selects both pods, one of
        # which replies.
        self._set_label(self._pod, "true")
        path = list_path(CORE, "pods", self._namespace)
        for page in self._api.pages(path, labelSelector=f"{LABEL}=true"):
            for other in page["items"]:
                if other["metadata"]["name"] != self._pod:
                    self._set_label(other["metadata"]["name"], None)

    def _set_label(self, pod: str, value: str | None) -> None:
        path = object_path(CORE, "pods", self._namespace, pod)
        self._api.patch(path, {"metadata": {"labels": {LABEL: value}}})
