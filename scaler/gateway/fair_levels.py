"""The max-min fair levels of known clients and of newcomers in each class, in a window of requests.

1. Over all classes: the level at which each client may have so many requests in a class, so that
   together they fit the limit. A flood in one class then takes no more than the part of those who
   flood it. But for its usual share of all requests a class has a higher level, so that heavy
   clients keep what is usual in an important class.
2. In each class, within what the classes before it leave: the level at which its clients fit.

Newcomers are one pool beside the known clients: it has what these leave, and at least its usual
share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scaler.gateway.class_parts import ClassPart
from scaler.gateway.demand_curve import DemandCurve

# A class keeps its usual share of all requests, up to so many times the limit.
USUAL_UP_TO = 2.0


@dataclass(frozen=True, slots=True)
class ShareCapacity:
    """What a gateway may admit.

    Attributes:
        qps: all classes together.
        spare_qps: beyond the own rates of its classes.
        classes: in order of priority.
    """

    qps: float
    spare_qps: float
    classes: Sequence[ClassPart] = ()


@dataclass(frozen=True, slots=True)
class PoolCurves:
    """The demand of one class in a window: of clients that are known, and of newcomers."""

    known: DemandCurve
    newcomers: DemandCurve

    @property
    def total(self) -> float:
        return self.known.total + self.newcomers.total

    def within(self, levels: Levels) -> float:
        return self.known.within(levels.known) + self.newcomers.within(levels.newcomers)


@dataclass(frozen=True, slots=True)
class Levels:
    """Requests in the window that a known client may have, and a newcomer; inf: all of them."""

    known: float
    newcomers: float


@dataclass(frozen=True, slots=True)
class Usual:
    """Shares of all requests that are usual: of newcomers, and of each class where it is known."""

    newcomers: float
    classes: Mapping[str, float]


def fair_levels(
    curves: Mapping[str, PoolCurves],
    share: ShareCapacity,
    seconds: float,
    fill: float,
    usual: Usual,
) -> dict[str, Levels]:
    """Return the levels in each class.

    Args:
        curves: of each class, in a window of so many ``seconds``.
        share: what the gateway may admit.
        seconds: length of the window.
        fill: part of the limit that the fair parts may add up to.
        usual: shares of all requests.
    """
    limit = share.qps * seconds
    whole = PoolCurves(
        DemandCurve.merged(one.known for one in curves.values()),
        DemandCurve.merged(one.newcomers for one in curves.values()),
    )
    top = _levels(whole, fill * limit, usual.newcomers)
    kept = min(whole.total, USUAL_UP_TO * limit)
    tops = {
        name: Levels(
            max(top.known, one.known.level(usual.classes.get(name, 0.0) * kept)), top.newcomers
        )
        for name, one in curves.items()
    }
    demands = {name: one.within(tops[name]) / seconds for name, one in curves.items()}
    found = {}
    for name, qps in _divided(demands, share).items():
        of_class = _levels(curves[name], fill * qps * seconds, usual.newcomers)
        most = tops[name]
        found[name] = Levels(
            min(of_class.known, most.known), min(of_class.newcomers, most.newcomers)
        )
    return found


def _divided(demands: Mapping[str, float], share: ShareCapacity) -> dict[str, float]:
    """Return what each class can have of its own rate and, by priority, the spare; inf: all."""
    found, spare = {}, share.spare_qps
    for one in share.classes:
        wanted = demands.get(one.name, 0.0)
        above = min(max(wanted - one.qps, 0.0), one.ceiling_qps - one.qps, spare)
        spare -= above
        # What it wants it can have: then none of its clients is held to a level of the class.
        found[one.name] = math.inf if one.qps + above >= wanted else one.qps + above
    return {name: found.get(name, spare) for name in demands}


def _levels(curves: PoolCurves, capacity: float, usual_share: float) -> Levels:
    """Return the levels at which all clients fit a capacity."""
    if curves.total <= capacity:
        return Levels(math.inf, math.inf)
    left = max(capacity - curves.known.total, usual_share * capacity)
    pool = min(curves.newcomers.total, left)
    return Levels(curves.known.level(capacity - pool), curves.newcomers.level(pool))
