"""The division of a limit among priority classes.

A gateway enforces a `ClassSplit` by these rules:

* A class may always be admitted its own ``qps``.
* Above that, its requests may use what others leave of the limit, as long as the class stays below
  its ``ceiling_qps``. So a class can grow between two ticks without taking from another.
* The classes' ``qps`` and ``spare_qps`` sum up to the limit.

`admitted` is what that comes to at least: by it, no class uses what another leaves of its own rate.

Stress-test traffic is an ordinary class with the last priority and a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import AfterSafe
from scaler.limits.max_min import max_min_fair


class ClassReason(StrEnum):
    """What determined the limit of a class."""

    DEMAND = "demand"  # it gets all of its demand
    CEILING = "ceiling"  # its demand exceeds its ceiling
    LIMIT = "limit"  # its demand exceeds what the classes before it have left
    SHRUNK = "shrunk"  # the limit is too small even for its guarantee
    UNKNOWN = "unknown"  # its demand is not known, so it gets its guarantee


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A class of requests that share a priority.

    Attributes:
        name: unique within the policy.
        priority: 0 is served first; classes of equal priority share fairly.
        guaranteed_qps: reserved for the class even while it is idle.
        ceiling_qps: upper bound of the class; None: the whole limit.
        then: what a gateway does with the class when its lease has expired.
        match: how gateways recognise a request of the class; None: by rules of their own.
    """

    name: str
    priority: int
    guaranteed_qps: float = 0.0
    ceiling_qps: float | None = None
    then: AfterSafe = AfterSafe.OPEN
    match: HeaderMatch | None = None

    def __post_init__(self) -> None:
        if self.priority < 0:
            raise ValueError(f"{self.name}: priority is {self.priority}, but it must be >= 0")
        if not 0 <= self.guaranteed_qps < math.inf:
            raise ValueError(
                f"{self.name}: guaranteed_qps is {self.guaranteed_qps}, "
                "but it must be finite and >= 0"
            )
        if not self.guaranteed_qps <= self.max_qps:
            raise ValueError(
                f"{self.name}: guaranteed_qps is {self.guaranteed_qps}, "
                f"above its ceiling_qps of {self.ceiling_qps}"
            )

    @property
    def max_qps(self) -> float:
        """The ceiling; inf where there is none."""
        return math.inf if self.ceiling_qps is None else self.ceiling_qps


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """The limit of one class.

    Attributes:
        name: of the class.
        priority: of the class.
        guaranteed_qps: the part of ``qps`` that does not depend on the other classes' demand.
        qps: the class's own rate.
        ceiling_qps: the most that it may be admitted.
        reason: what determined ``qps``.
    """

    name: str
    priority: int
    guaranteed_qps: float
    qps: float
    ceiling_qps: float
    reason: ClassReason


@dataclass(frozen=True, slots=True)
class ClassSplit:
    """The divided limit: the limit of each class, and the spare, which is nobody's own."""

    classes: tuple[ClassLimit, ...]
    spare_qps: float


def split(
    limit_qps: float, classes: Sequence[PriorityClass], demands: Sequence[float]
) -> ClassSplit:
    """Divide a limit: first the guarantees, then the rest by demand, each in order of priority.

    Where the limit is too small for all guarantees, those of the last priority shrink first.

    Args:
        limit_qps: the limit to divide.
        classes: in any order, which the result keeps.
        demands: QPS offered by each class; NaN where it is not known.

    >>> pay = PriorityClass("pay", 0, guaranteed_qps=120)
    >>> stress = PriorityClass("stress", 9, ceiling_qps=40)
    >>> [part.qps for part in split(335, [pay, stress], [200, 500]).classes]
    [200.0, 40.0]
    """
    _check(limit_qps, classes, demands)
    granted, left = _in_order(limit_qps, classes, [c.guaranteed_qps for c in classes])
    asked = [
        0.0 if math.isnan(demand) else max(0.0, min(demand, c.max_qps) - grant)
        for c, demand, grant in zip(classes, demands, granted, strict=True)
    ]
    more, spare = _in_order(left, classes, asked)
    parts = tuple(
        ClassLimit(
            name=c.name,
            priority=c.priority,
            guaranteed_qps=grant,
            qps=grant + extra,
            ceiling_qps=min(c.max_qps, limit_qps),
            reason=_reason(c, demand, grant, wanted=grant + ask, qps=grant + extra),
        )
        for c, demand, grant, ask, extra in zip(classes, demands, granted, asked, more, strict=True)
    )
    return ClassSplit(parts, spare)


def admitted(division: ClassSplit, offered: Sequence[float]) -> tuple[float, ...]:
    """Return the QPS admitted of each class when ``offered`` QPS arrive: own first, then spare."""
    parts = division.classes
    own = [min(part.qps, qps) for part, qps in zip(parts, offered, strict=True)]
    above = [min(p.ceiling_qps, q) - o for p, q, o in zip(parts, offered, own, strict=True)]
    from_spare, _ = _in_order(division.spare_qps, parts, above)
    return tuple(o + s for o, s in zip(own, from_spare, strict=True))


def _check(limit_qps: float, classes: Sequence[PriorityClass], demands: Sequence[float]) -> None:
    if not 0 <= limit_qps < math.inf:
        raise ValueError(f"limit is {limit_qps} QPS, but it must be finite and >= 0")
    if len({c.name for c in classes}) != len(classes):
        raise ValueError(f"classes are {[c.name for c in classes]}, but names must be unique")
    if len(demands) != len(classes):
        raise ValueError(f"{len(demands)} demands for {len(classes)} classes")
    if any(demand < 0 or demand == math.inf for demand in demands):
        raise ValueError(f"demands are {list(demands)}, but must be finite and >= 0, or NaN")


def _in_order(
    qps: float, classes: Sequence[PriorityClass] | Sequence[ClassLimit], wants: Sequence[float]
) -> tuple[list[float], float]:
    """Divide ``qps`` in order of priority; return what each class gets, and the rest."""
    given = [0.0] * len(classes)
    order = sorted(range(len(classes)), key=lambda i: classes[i].priority)
    for _, group in groupby(order, key=lambda i: classes[i].priority):
        equals = list(group)
        wanted = [wants[i] for i in equals]
        if sum(wanted) <= qps:
            shares = wanted
        else:
            shares = [qps] if len(equals) == 1 else max_min_fair(qps, wanted).qps.tolist()
        for i, share in zip(equals, shares, strict=True):
            given[i] = float(share)
        qps = max(0.0, qps - sum(shares))
    return given, qps


def _reason(
    c: PriorityClass, demand: float, grant: float, *, wanted: float, qps: float
) -> ClassReason:
    if grant < c.guaranteed_qps:
        return ClassReason.SHRUNK
    if math.isnan(demand):
        return ClassReason.UNKNOWN
    if qps < wanted:
        return ClassReason.LIMIT
    return ClassReason.CEILING if demand > c.max_qps else ClassReason.DEMAND
