"""Leader election: who of several replicas acts, held in a Lease of coordination.k8s.io.

The election of kubernetes 37.0.2 is not used, for it does not hold here: `run` cannot be stopped,
and does not hand the Lease over; its calls have no time limit, so a leader whose line is cut goes
on leading; it measures by the wall clock; and it drops the microseconds of a time where they are
0, which the API server answers with 400. The rule of the election is the same as client-go's.

Rules of this file:

* Nobody's clock is compared with ours: a Lease is given up when it has not changed for its
  duration, measured here. The times in it are for people.
* A leader stops leading (`deadline_s` after the last renewal was *sent*) before others may start.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scaler.adapters.kube.client import KubernetesApi, Object, RetryPolicy
from scaler.adapters.kube.objects import micro_time
from scaler.adapters.kube.paths import LEASES, listed, one
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """Which Lease, who we are in it, and how long it lasts.

    Attributes:
        identity: that no other replica has.
        duration_s: whole seconds after which others may take an unchanged Lease.
        deadline_s: after which a leader that could not renew stops.
        retry_s: between two tries, jittered by a fifth.
    """

    namespace: str
    name: str
    identity: str
    duration_s: int = 15
    deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_s * 1.2 < self.deadline_s < self.duration_s:
            raise ValueError(
                f"retry_s {self.retry_s:g}, deadline_s {self.deadline_s:g} and duration_s "
                f"{self.duration_s} must ascend, with a fifth of retry_s to spare"
            )
        if not self.identity:
            raise ValueError("identity is empty, but must tell this replica from the others")

    @classmethod
    def lasting(cls, namespace: str, name: str, identity: str, duration_s: int) -> ElectionSettings:
        """Return terms whose other times are to the duration as they are by default.

        >>> ElectionSettings.lasting("a", "b", "c", 30).deadline_s
        20.0
        """
        return cls(namespace, name, identity, duration_s, duration_s * 10 / 15, duration_s * 2 / 15)


class Election:
    """One replica's part in an election: a step at a time, so that tests own the clocks.

    Args:
        api: where the Lease lies; its calls must end before the deadline.
        terms: of the election.
        now: seconds since the epoch, which are written.
        clock: seconds since any start, which decide.
    """

    def __init__(
        self,
        api: KubernetesApi,
        terms: ElectionSettings,
        now: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._terms, self._now, self._clock = api, terms, now, clock
        self._lock = threading.Lock()  # of a step and the hand-over
        self._until = -math.inf  # we lead before that
        self._seen: tuple[object, float] = (None, -math.inf)  # the Lease, and since when it is so
        self.leader = ""  # of the latest Lease that was read

    def leads(self) -> bool:
        return self._clock() < self._until

    def step(self) -> bool:
        """Try to take or to renew the Lease; return whether we lead."""
        with self._lock:
            sent = self._clock()
            try:
                if self._taken(sent):
                    self._until = sent + self._terms.deadline_s
            except ClusterConflictError:
                self._seen = (None, -math.inf)  # somebody was faster; it is read anew
            except ClusterError as error:
                _log.warning("lease=%s error=%s", self._terms.name, error)
        return self.leads()

    def hand_over(self, wait_s: float = 2.0) -> None:
        """Stop leading, and let another replica start at once; it is tried once.

        Args:
            wait_s: for a step that is under way; after that the Lease runs out by itself.
        """
        self._until = -math.inf
        if not self._lock.acquire(timeout=wait_s):
            return
        try:
            self._until = -math.inf
            try:
                lease = self._api.get(self._path())
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") == self._terms.identity:
                    # Of a second, as client-go has it: 0 is not valid.
                    spec.update(holderIdentity="", leaseDurationSeconds=1, renewTime=self._time())
                    self._api.put(self._path(), {**lease, "spec": spec})
            except ClusterError as error:
                _log.warning("lease=%s runs_out_by_itself=%s", self._terms.name, error)
        finally:
            self._lock.release()

    def _taken(self, at: float) -> bool:
        try:
            lease = self._api.get(self._path())
        except ClusterAbsentError:
            return self._created()
        spec: Object = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self.leader = holder
        record = (holder, spec.get("renewTime"), lease["metadata"].get("resourceVersion"))
        if self._seen[0] != record:
            self._seen = (record, at)
        mine = holder == self._terms.identity
        lasts = float(spec.get("leaseDurationSeconds") or self._terms.duration_s)
        if holder and not mine and at < self._seen[1] + lasts:
            return False
        body = {**lease, "spec": self._spec(spec, mine)}
        self._api.put(self._path(), body)  # refused where it has changed since it was read
        self.leader = self._terms.identity
        return True

    def _created(self) -> bool:
        body: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._terms.namespace, "name": self._terms.name},
            "spec": self._spec({}, mine=False),
        }
        self._api.post(listed(LEASES, "leases", self._terms.namespace), body)
        self.leader = self._terms.identity
        return True

    def _spec(self, before: dict[str, Any], mine: bool) -> Object:
        kept = {"renewTime": self._time()}
        if not mine:
            changes = before.get("leaseTransitions")
            kept["acquireTime"] = kept["renewTime"]
            before = {**before, "leaseTransitions": 0 if changes is None else changes + 1}
        terms = {
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": self._terms.duration_s,
        }
        return {**before, **terms, **kept}

    def _time(self) -> str:
        return micro_time(self._now())

    def _path(self) -> str:
        return one(LEASES, "leases", self._terms.namespace, self._terms.name)


class LeaderElector:
    """A replica that stands in an election in a thread of its own, until it is closed.

    ``changed`` is called with whether we lead, at each change; it must not block.
    """

    def __init__(
        self, election: Election, retry_s: float, changed: Callable[[bool], None] | None = None
    ) -> None:
        self._election, self._retry_s, self._changed = election, retry_s, changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leads(self) -> bool:
        return self._election.leads()

    def close(self) -> None:
        """Hand over; whoever acts must have stopped before."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(self._retry_s)
        self._election.hand_over()

    def _run(self) -> None:
        led = False
        while not self._stopped.is_set():
            leads = self._election.step()
            if leads != led:
                _log.info("leads=%s leader=%s", leads, self._election.leader)
                if self._changed is not None:
                    self._changed(leads)
            led = leads
            self._stopped.wait(self._retry_s * random.uniform(1.0, 1.2))  # noqa: S311 - jitter


def candidate(
    api: KubernetesApi,
    terms: ElectionSettings,
    now: Callable[[], float],
    changed: Callable[[bool], None] | None = None,
) -> LeaderElector:
    """Return a candidate, not started; its calls are short and tried once, for the next step is.

    So it ends within seconds even where nobody answers.
    """
    hasty = replace(api, retry_policy=RetryPolicy(attempts=1, connect_s=1.0, read_s=2.0))
    return LeaderElector(Election(hasty, terms, now), terms.retry_s, changed)
