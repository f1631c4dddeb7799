"""The replicas of the simulated service: created, starting, warming up, warm, gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from scaler.control.observations import Pod
from scaler.policy.service_model import ServiceModel

_DRAWN_AT_ONCE = 1024
# Replicas that were there before the replay have long been ready.
_LONG_AGO_S = 86_400.0


class SimulatedReplicas:
    """Replicas over time; the caller owns the clock.

    When there are too many, those that are not ready go first, then the youngest, as a ReplicaSet
    does (Kubernetes, `pkg/controller/controller_utils.go`, `ActivePodsWithRanks`).

    Args:
        model: how long they take to start and to warm up.
        replicas: that are warm at ``start``.
        start: seconds since the epoch.
        rng: of the start-up times.
    """

    def __init__(
        self, model: ServiceModel, replicas: int, start: float, rng: np.random.Generator
    ) -> None:
        self._ramp_s, self._initial = model.ramp_s, model.ramp_initial
        self._created = 0
        long_ago = start - _LONG_AGO_S
        self._ready = [Pod(self._uid(), long_ago, long_ago) for _ in range(replicas)]
        self._starting: list[tuple[float, Pod]] = []  # when each will be ready, the last one first
        self._warming: deque[float] = deque()  # when each became ready
        self._start_ups = _start_ups(model, rng)
        self._pods: tuple[Pod, ...] | None = None  # None: they have changed
        self._changed_at = start

    @property
    def replicas(self) -> int:
        return len(self._ready) + len(self._starting)

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def starting(self) -> int:
        return len(self._starting)

    def pods(self, at: float) -> tuple[Pod, ...]:
        """Return the pods as they were at a moment of late; the same tuple while none has changed.

        Those that have gone since are not shown.
        """
        if self._pods is None:
            self._pods = (*self._ready, *(pod for _, pod in reversed(self._starting)))
        if self._changed_at <= at:
            return self._pods
        return tuple(
            pod if pod.ready_at is None or pod.ready_at <= at else Pod(pod.uid, pod.created_at)
            for pod in self._pods
            if pod.created_at <= at
        )

    def scale(self, now: float, replicas: int) -> None:
        """Create or remove replicas until there are so many."""
        if replicas < 0:
            raise ValueError(f"replicas is {replicas}, but must be at least 0")
        more = replicas - self.replicas
        if more > 0:
            self._starting += [
                (now + next(self._start_ups), Pod(self._uid(), now)) for _ in range(more)
            ]
            self._starting.sort(key=lambda one: -one[0])
            self._pods, self._changed_at = None, now
        elif more < 0:
            pending = min(-more, len(self._starting))
            del self._starting[:pending]
            for _ in range(-more - pending):
                self._ready.pop()
                if self._warming:
                    self._warming.pop()
            self._pods, self._changed_at = None, now

    def warm(self, now: float) -> float:
        """Return the replicas that serve now, each that warms up counted by what it serves."""
        starting, warming = self._starting, self._warming
        while starting and starting[-1][0] <= now:
            at, pod = starting.pop()
            warming.append(at)
            self._ready.append(Pod(pod.uid, pod.created_at, at))
            self._pods, self._changed_at = None, at
        while warming and warming[0] + self._ramp_s <= now:
            warming.popleft()
        if not warming:
            return float(len(self._ready))
        cold = sum([1.0 - (now - since) / self._ramp_s for since in warming])
        return len(self._ready) - (1.0 - self._initial) * cold

    def _uid(self) -> str:
        self._created += 1
        return str(self._created)


def _start_ups(model: ServiceModel, rng: np.random.Generator) -> Iterator[float]:
    """Yield start-up times without end: lognormal around the median."""
    while True:
        spread = model.start_up_spread * rng.standard_normal(_DRAWN_AT_ONCE)
        yield from (model.start_up_s * np.exp(spread)).tolist()
