"""Leader election among replicas, by a Lease of coordination.k8s.io.

The election of the Python client (kubernetes 37.0.2) is not used, for four reasons. Its `run`
cannot be stopped and does not release the Lease. Its calls have no time limit, so a leader without
a connection goes on leading. It measures by the wall clock. It omits the microseconds of a time if
they are 0, which the API server refuses with 400. The rules of the election are client-go's.

Rules of this file:

* The clock is one that is never set and goes on while the machine sleeps: who wakes up knows that
  its Lease is over.
* Clocks of different machines are never compared. Another replica's Lease has expired if it has not
  changed for its duration, measured by the own clock. The times in a Lease are for people.
* A leader stops leading, `deadline_s` after it *sent* its last renewal, before others may start.
* Who led last and knows of no other leader hands out limits for longer, as a caretaker: until
  `CARETAKER_RATIO` durations after it sent its last renewal. `scaler.control.reign` says why shares
  stay within the limit nevertheless; it needs `others_until` from here.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scaler.adapters.kube.client import KubernetesApi, Object, RetryPolicy
from scaler.adapters.kube.objects import micro_time
from scaler.adapters.kube.paths import LEASES, list_path, object_path
from scaler.clocks.steady import steady_seconds
from scaler.control.reign import Reign, Tenure
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterError

_log = logging.getLogger(__name__)
# Durations of the Lease for which who led last hands out limits after its last renewal.
CARETAKER_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """The Lease, the identity of this replica, and the times of the election.

    Attributes:
        namespace: of the Lease.
        name: of the Lease.
        identity: unique name of this replica.
        duration_s: whole seconds after which others may take an unchanged Lease.
        deadline_s: seconds after which a leader that could not renew stops leading.
        retry_s: seconds between two tries, jittered by a fifth.
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

    @property
    def caretaker_s(self) -> float:
        """Seconds after its last renewal for which who led last hands out limits."""
        return CARETAKER_RATIO * self.duration_s

    @classmethod
    def lasting(cls, namespace: str, name: str, identity: str, duration_s: int) -> ElectionSettings:
        """Return settings whose other times are in the default proportion to the duration.

        >>> ElectionSettings.lasting("a", "b", "c", 30).deadline_s
        20.0
        """
        return cls(namespace, name, identity, duration_s, duration_s * 10 / 15, duration_s * 2 / 15)


@dataclass(frozen=True, slots=True)
class _Held:
    """The Lease as this replica holds it: when its last renewal was sent, and `others_until`."""

    sent: float
    others_until: float


class Election:
    """One replica's part in an election, one step at a time.

    Args:
        api: the API server; its calls must end before the deadline.
        settings: of the election.
        now: wall clock in seconds since the epoch, which is written into the Lease.
        clock: monotonic seconds, which decide.
    """

    def __init__(
        self,
        api: KubernetesApi,
        settings: ElectionSettings,
        now: Callable[[], float],
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._api, self._settings, self._now, self._clock = api, settings, now, clock
        self._lock = threading.Lock()  # serialises `step` and `hand_over`
        self._held: _Held | None = None  # None once another is known to lead
        self._observed: tuple[object, float] = (None, -math.inf)  # the Lease, and its last change
        self._in_contact_since: float | None = None  # with the API server
        self.leader = ""  # holder of the Lease that was read last

    def leads(self) -> bool:
        return self.reign().tenure is Tenure.LEADS

    def reign(self) -> Reign:
        """Return what this replica may do at this instant; makes no call, from any thread."""
        held = self._held
        if held is None:
            return Reign(Tenure.FOLLOWS)
        since = self._clock() - held.sent
        if since < self._settings.deadline_s:
            return Reign(Tenure.LEADS, held.others_until)
        lapsed = since >= self._settings.caretaker_s
        return Reign(Tenure.LAPSED if lapsed else Tenure.CARETAKES, held.others_until)

    def step(self) -> bool:
        """Try to acquire or to renew the Lease; return whether this replica leads."""
        with self._lock:
            sent = self._clock()
            try:
                others_until = self._try_acquire(sent)
                self._held = None if others_until is None else _Held(sent, others_until)
            except ClusterConflictError:
                self._observed = (None, -math.inf)  # another replica was faster
            except ClusterError as error:
                self._in_contact_since = None
                _log.warning("lease=%s error=%s", self._settings.name, error)
        return self.leads()

    def hand_over(self, wait_s: float = 2.0) -> None:
        """Stop leading, and release the Lease so that another replica can lead at once; one try.

        Args:
            wait_s: how long to wait for a running step; after that the Lease expires by itself.
        """
        self._held = None
        if not self._lock.acquire(timeout=wait_s):
            return
        try:
            self._held = None
            try:
                lease = self._api.get(self._path())
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") == self._settings.identity:
                    # One second, as client-go writes it: 0 is not valid.
                    spec.update(holderIdentity="", leaseDurationSeconds=1, renewTime=self._time())
                    self._api.put(self._path(), {**lease, "spec": spec})
            except ClusterError as error:
                _log.warning("lease=%s expires_by_itself=%s", self._settings.name, error)
        finally:
            self._lock.release()

    def _try_acquire(self, sent: float) -> float | None:
        """Return `others_until` if this replica holds the Lease now, None if another does."""
        try:
            lease = self._api.get(self._path())
        except ClusterAbsentError:
            return self._create()
        read = self._clock()
        if self._in_contact_since is None:
            self._in_contact_since = read
        spec: Object = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self.leader = holder
        record = (holder, spec.get("renewTime"), lease["metadata"].get("resourceVersion"))
        if self._observed[0] != record:
            self._observed = (record, read)
        mine = holder == self._settings.identity
        lasts = float(spec.get("leaseDurationSeconds") or self._settings.duration_s)
        if holder and not mine and sent < self._expires_at(lasts):
            return None
        others_until = read
        if mine and self._held is not None:
            others_until = self._held.others_until  # the reign goes on
        elif holder and not mine:
            others_until = self._observed[1] + CARETAKER_RATIO * lasts
        body = {**lease, "spec": self._spec(spec, mine)}
        self._api.put(self._path(), body)  # refused with 409 if it has changed since it was read
        self.leader = self._settings.identity
        return others_until

    def _expires_at(self, lasts: float) -> float:
        """Return when another's Lease may be taken over.

        While the API server was away nobody could renew it, so its holder gets the time for that
        first, which it has before every deadline.
        """
        assert self._in_contact_since is not None
        margin = self._settings.duration_s - self._settings.deadline_s
        return max(self._observed[1] + lasts, self._in_contact_since + margin)

    def _create(self) -> float:
        others_until = self._clock()
        if self.leader not in ("", self._settings.identity):
            # Somebody has deleted the Lease of a leader, who may not know of it yet.
            others_until += self._settings.caretaker_s
        body: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._settings.namespace, "name": self._settings.name},
            "spec": self._spec({}, mine=False),
        }
        self._api.post(list_path(LEASES, "leases", self._settings.namespace), body)
        self.leader = self._settings.identity
        return others_until

    def _spec(self, before: dict[str, Any], mine: bool) -> Object:
        times = {"renewTime": self._time()}
        if not mine:
            transitions = before.get("leaseTransitions")
            times["acquireTime"] = times["renewTime"]
            before = {**before, "leaseTransitions": 0 if transitions is None else transitions + 1}
        settings = {
            "holderIdentity": self._settings.identity,
            "leaseDurationSeconds": self._settings.duration_s,
        }
        return {**before, **settings, **times}

    def _time(self) -> str:
        return micro_time(self._now())

    def _path(self) -> str:
        return object_path(LEASES, "leases", self._settings.namespace, self._settings.name)


class LeaderElector:
    """Takes part in an election in a thread of its own, until it is closed.

    ``changed`` is called with True when this replica leads, and with False once another is known
    to: who cannot reach the API server does not know. It must not block.
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

    def reign(self) -> Reign:
        return self._election.reign()

    def close(self) -> None:
        """Hand over; whatever the leader does must have stopped before."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(self._retry_s)
        self._election.hand_over()

    def _run(self) -> None:
        before = Tenure.FOLLOWS
        labelled = False
        while not self._stopped.is_set():
            self._election.step()
            tenure = self._election.reign().tenure
            if tenure is not before:
                _log.info("tenure=%s leader=%s", tenure, self._election.leader)
                before = tenure
            if tenure is (Tenure.FOLLOWS if labelled else Tenure.LEADS):
                labelled = not labelled
                if self._changed is not None:
                    self._changed(labelled)
            self._stopped.wait(self._retry_s * random.uniform(1.0, 1.2))  # noqa: S311 - jitter


def leader_elector(
    api: KubernetesApi,
    settings: ElectionSettings,
    now: Callable[[], float],
    changed: Callable[[bool], None] | None = None,
) -> LeaderElector:
    """Return an elector that is not started.

    Its calls are short and tried once, for the next step tries again. So it stops within seconds
    even if the API server does not reply.
    """
    quick = replace(api, retry_policy=RetryPolicy(attempts=1, connect_s=1.0, read_s=2.0))
    return LeaderElector(Election(quick, settings, now), settings.retry_s, changed)
