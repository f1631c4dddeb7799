"""The label by which a Service finds the leader: it is on the pod that leads, and on no other.

Shares of a limit are handed out in one place, or two would hand out the limit twice. So gateways
ask the Service `tidegate-limits`, which selects this label. For the moment in which two pods carry
it, or none, the one that does not lead answers 503, and gateways go on with what they hold.
"""

from __future__ import annotations

import logging
import threading

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.paths import CORE, listed, one
from scaler.errors import ClusterAbsentError, ClusterError

LOGGER = logging.getLogger(__name__)
LABEL = "tidegate.dev/leads"


class LeaderLabel:
    """Keeps the label where it belongs, in a thread of its own: an election must not wait for it.

    Args:
        api: where pods are.
        namespace: of our pods.
        pod: this one.
        retry_s: between two tries.
    """

    def __init__(self, api: KubernetesApi, namespace: str, pod: str, retry_s: float = 2.0) -> None:
        self._api, self._namespace, self._pod, self._retry_s = api, namespace, pod, retry_s
        self._leads = False
        self._due, self._closed = threading.Event(), threading.Event()
        self._due.set()  # a container that is started again may have led before
        self._thread = threading.Thread(target=self._run, name="leader-label", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; what goes away with its pod needs no unlabelling."""
        self._closed.set()
        self._due.set()

    def changed(self, leads: bool) -> None:
        """Take in whether we lead; does not block."""
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
            self._put(self._pod, None)
            return
        # First ours: until the other's is gone gateways find both, and one of them answers.
        self._put(self._pod, "true")
        path = listed(CORE, "pods", self._namespace)
        for page in self._api.pages(path, labelSelector=f"{LABEL}=true"):
            for other in page["items"]:
                if other["metadata"]["name"] != self._pod:
                    self._put(other["metadata"]["name"], None)

    def _put(self, pod: str, value: str | None) -> None:
        path = one(CORE, "pods", self._namespace, pod)
        self._api.patch(path, {"metadata": {"labels": {LABEL: value}}})
