"""What gateways made of the requests of a replay: counted, by class, and tick by tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecaster.data.series import FloatArray

# Of requests that belong to none of the policy's classes.
NO_CLASS = ""


@dataclass(frozen=True, slots=True)
class GatewayTraffic:
    """What arrives at the gateways, and how.

    Attributes:
        start: of the first tick, seconds since the epoch.
        tick_s: between two ticks.
        demand: requests per second in each tick, shape ``(ticks,)``; NaN, where it is not known,
            counts as none.
        shares: of the requests, by class.
    """

    start: float
    tick_s: float
    demand: FloatArray
    shares: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return len(self.demand) * self.tick_s


@dataclass(frozen=True, slots=True)
class ClassOutcome:
    """What became of the requests of one class.

    Attributes:
        offered: requests; refused: of them.
        refused_within: refused while the demand was within the limit: all of the class would have
            passed, had it come evenly.
    """

    name: str
    offered: int
    refused: int
    refused_within: int

    @property
    def admitted(self) -> int:
        return self.offered - self.refused

    @property
    def false_rejects(self) -> float:
        """Share of the requests that were refused while the demand was within the limit."""
        return self.refused_within / self.offered if self.offered else 0.0


@dataclass(frozen=True, eq=False)
class GatewayPath:
    """What became of the requests tick by tick, in requests per second.

    Attributes:
        stamps: of the ticks' ends, seconds since the epoch, shape ``(ticks,)``.
        limit: that was published.
        offered: by class in the order of `GatewayOutcome.classes`, shape ``(classes, ticks)``.
        admitted: alike.
    """

    stamps: FloatArray
    limit: FloatArray
    offered: FloatArray
    admitted: FloatArray


@dataclass(frozen=True, slots=True)
class GatewayOutcome:
    """What gateways made of a part of the recorded traffic.

    Attributes:
        start: seconds since the epoch; seconds: that were counted.
        gateways: how many there were.
        total: of all classes; classes: of each.
        excess: requests admitted above the limit in the second in which they were most, a burst
            included; 0: in none.
        excess_limit_qps: the limit of that second.
        path: all of it, tick by tick.
    """

    start: float
    seconds: float
    gateways: int
    total: ClassOutcome
    classes: tuple[ClassOutcome, ...]
    excess: float
    excess_limit_qps: float
    path: GatewayPath = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TickRequests:
    """The requests of one tick: seconds since its begin, class and gateway of each, in order."""

    times: FloatArray
    classes: np.ndarray
    gateways: np.ndarray


class GatewayCounts:
    """What was counted so far."""

    def __init__(self, traffic: GatewayTraffic) -> None:
        self._traffic = traffic
        self._offered: list[np.ndarray] = []  # of each tick, by class
        self._refused: list[np.ndarray] = []
        self._limits: list[float] = []
        self._within = np.zeros(len(traffic.shares), dtype=int)
        self._excess, self._excess_limit_qps = 0.0, 0.0

    def add(self, requests: TickRequests, passed: np.ndarray, fits: list[bool]) -> None:
        kinds = len(self._within)
        refused = np.bincount(requests.classes[~passed], minlength=kinds)
        self._offered.append(np.bincount(requests.classes, minlength=kinds))
        self._refused.append(refused)
        self._within += refused * np.array(fits)

    def compare(self, times: FloatArray, limit_qps: float) -> None:
        """Hold what was admitted in each second of a tick against the limit."""
        self._limits.append(limit_qps)
        most = np.bincount(times.astype(int), minlength=1).max()
        if most - limit_qps > self._excess:
            self._excess, self._excess_limit_qps = float(most - limit_qps), limit_qps

    def outcome(self, gateways: int) -> GatewayOutcome:
        offered, refused = np.array(self._offered), np.array(self._refused)  # (ticks, classes)
        columns = (offered.sum(axis=0), refused.sum(axis=0), self._within)
        rows = zip(self._traffic.shares, *(x.tolist() for x in columns), strict=True)
        tick_s, ticks = self._traffic.tick_s, np.arange(1, len(offered) + 1)
        return GatewayOutcome(
            start=self._traffic.start,
            seconds=self._traffic.seconds,
            gateways=gateways,
            total=ClassOutcome("all", *(int(x.sum()) for x in columns)),
            classes=tuple(ClassOutcome(*row) for row in rows),
            excess=self._excess,
            excess_limit_qps=self._excess_limit_qps,
            path=GatewayPath(
                np.asarray(self._traffic.start + tick_s * ticks, dtype=np.float64),
                np.array(self._limits),
                offered.T / tick_s,
                (offered - refused).T / tick_s,
            ),
        )
