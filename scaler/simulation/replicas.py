"""The replicas of the simulated service: created, starting, warming up, warm, gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from scaler.policy.service_model import ServiceModel

_DRAWN_AT_ONCE = 1024


class SimulatedReplicas:
    """Replicas over time; the caller owns the clock.

    When there are too many, those that are not ready go first, then the youngest, as a ReplicaSet
    does (Kubernetes, `pkg/controller/controller_utils.go`, `ActivePodsWithRanks`).
    """

    def __init__(self, model: ServiceModel, replicas: int, rng: np.random.Generator) -> None:
        self.ready = replicas
        self._ramp_s, self._initial = model.ramp_s, model.ramp_initial
        self._starting: list[float] = []  # when each will be ready, the last one first
        self._warming: deque[float] = deque()  # when each became ready
        self._start_ups = _start_ups(model, rng)

    @property
    def replicas(self) -> int:
        return self.ready + len(self._starting)

    @property
    def starting(self) -> int:
        return len(self._starting)

    def ages(self, now: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return how long each ready replica has been so, and in how long the others will be.

        Those that are warm have been ready for as long as warming up takes, or longer.
        """
        warm = (self._ramp_s,) * (self.ready - len(self._warming))
        ready = (*warm, *(now - since for since in self._warming))
        return ready, tuple(due - now for due in reversed(self._starting))

    def scale(self, now: float, replicas: int) -> None:
        """Create or remove replicas until there are so many."""
        if replicas < 0:
            raise ValueError(f"replicas is {replicas}, but must be at least 0")
        more = replicas - self.replicas
        if more > 0:
            self._starting += [now + next(self._start_ups) for _ in range(more)]
            self._starting.sort(reverse=True)
        elif more < 0:
            pending = min(-more, len(self._starting))
            del self._starting[:pending]
            for _ in range(-more - pending):
                self.ready -= 1
                if self._warming:
                    self._warming.pop()

    def warm(self, now: float) -> float:
        """Return the replicas that serve now, each that warms up counted by what it serves."""
        starting, warming = self._starting, self._warming
        while starting and starting[-1] <= now:
            warming.append(starting.pop())
            self.ready += 1
        while warming and warming[0] + self._ramp_s <= now:
            warming.popleft()
        if not warming:
            return float(self.ready)
        cold = sum(1.0 - (now - since) / self._ramp_s for since in warming)
        return self.ready - (1.0 - self._initial) * cold


def _start_ups(model: ServiceModel, rng: np.random.Generator) -> Iterator[float]:
    """Yield start-up times without end: lognormal around the median."""
    while True:
        spread = model.start_up_spread * rng.standard_normal(_DRAWN_AT_ONCE)
        yield from (model.start_up_s * np.exp(spread)).tolist()
