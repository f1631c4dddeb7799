"""The limit among priority classes.

The contract of a `ClassSplit`, for whoever enforces it:

* A request of a class that is below its ``qps`` passes: it is that class's own.
* Above it a request may pass from the common ``spare_qps``, as long as the class stays below its
  ``ceiling_qps``. So a class can rise between two ticks without taking from another.
* All own parts and the spare sum up to the limit. `admitted` is this contract as arithmetic.

Stress traffic is a class like others, with the last priority and a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from scaler.limits.lease import AfterSafe
from scaler.limits.max_min import max_min_fair


class ClassReason(StrEnum):
    """Why a class gets what it gets."""

    DEMAND = "demand"  # it gets all that it wants
    CEILING = "ceiling"  # it wants more than it is ever allowed
    LIMIT = "limit"  # it wants more, but those before it have taken the rest
    SHRUNK = "shrunk"  # too little is Ready even for its guarantee
    UNKNOWN = "unknown"  # nobody knows what it wants, so it has its guarantee


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A request header by which gateways know a class.

    Attributes:
        header: its name, in lower case.
        value: that it must have, to the letter; None: any.
    """

    header: str
    value: str | None = None

    def __post_init__(self) -> None:
        if not self.header or self.header != self.header.lower():
            raise ValueError(f"header is {self.header!r}, but must be a name in lower case")


# Of a class of this name, where its policy does not say: load that somebody makes on purpose.
STRESS, STRESS_MATCH = "stress", HeaderMatch("x-stress-test")


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A kind of request.

    Attributes:
        name: unique.
        priority: 0 is served first; equals share fairly.
        guaranteed_qps: kept free for it even while it is idle.
        ceiling_qps: what it never exceeds; None: the limit.
        then: what becomes of it in a gateway that has lost us for too long.
        match: by which gateways know it; None: they know by themselves.
    """

    name: str
    priority: int
    guaranteed_qps: float = 0.0
    ceiling_qps: float | None = None
    then: AfterSafe = AfterSafe.OPEN
    match: HeaderMatch | None = None

    def __post_init__(self) -> None:
        if self.priority < 0:
            raise ValueError(f"{self.name}: priority is {self.priority}, but 0 is the first")
        if not 0 <= self.guaranteed_qps < math.inf:
            raise ValueError(
                f"{self.name}: guaranteed_qps is {self.guaranteed_qps}, "
                "but it must be finite and >= 0"
            )
        if not self.guaranteed_qps <= self.most_qps:
            raise ValueError(
                f"{self.name}: guaranteed_qps is {self.guaranteed_qps}, "
                f"above its ceiling_qps of {self.ceiling_qps}"
            )

    @property
    def most_qps(self) -> float:
        """The ceiling, inf where there is none."""
        return math.inf if self.ceiling_qps is None else self.ceiling_qps


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """What one class may be admitted.

    Attributes:
        name: of the class.
        priority: of the class.
        guaranteed_qps: part of ``qps`` that it has whatever others want.
        qps: its own.
        ceiling_qps: as far as it may rise on the common spare.
        reason: why it is not more.
    """

    name: str
    priority: int
    guaranteed_qps: float
    qps: float
    ceiling_qps: float
    reason: ClassReason


@dataclass(frozen=True, slots=True)
class ClassSplit:
    """The whole limit: what each class has, and what is left for any of them."""

    classes: tuple[ClassLimit, ...]
    spare_qps: float


def split(
    limit_qps: float, classes: Sequence[PriorityClass], demands: Sequence[float]
) -> ClassSplit:
    """Divide the limit: guarantees first, then what is left, each time in order of priority.

    A guarantee that cannot be kept shrinks, the last class's first.

    Args:
        limit_qps: to be divided.
        classes: in any order, which the result keeps.
        demands: QPS offered of each class; NaN where it is not known.

    >>> pay = PriorityClass("pay", 0, guaranteed_qps=120)
    >>> stress = PriorityClass("stress", 9, ceiling_qps=40)
    >>> [part.qps for part in split(335, [pay, stress], [200, 500]).classes]
    [200.0, 40.0]
    """
    _check(limit_qps, classes, demands)
    granted, left = _in_order(limit_qps, classes, [c.guaranteed_qps for c in classes])
    asked = [
        0.0 if math.isnan(demand) else max(0.0, min(demand, c.most_qps) - grant)
        for c, demand, grant in zip(classes, demands, granted, strict=True)
    ]
    more, spare = _in_order(left, classes, asked)
    parts = tuple(
        ClassLimit(
            name=c.name,
            priority=c.priority,
            guaranteed_qps=grant,
            qps=grant + extra,
            ceiling_qps=min(c.most_qps, grant + extra + spare),
            reason=_reason(c, demand, grant, wanted=grant + ask, qps=grant + extra),
        )
        for c, demand, grant, ask, extra in zip(classes, demands, granted, asked, more, strict=True)
    )
    return ClassSplit(parts, spare)


def admitted(division: ClassSplit, offered: Sequence[float]) -> tuple[float, ...]:
    """Return the QPS of each class that passes when so much is offered: own first, then spare."""
    parts = division.classes
    own = [min(part.qps, qps) for part, qps in zip(parts, offered, strict=True)]
    above = [min(p.ceiling_qps, q) - o for p, q, o in zip(parts, offered, own, strict=True)]
    risen, _ = _in_order(division.spare_qps, parts, above)
    return tuple(o + r for o, r in zip(own, risen, strict=True))


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
    """Hand out ``qps`` in order of priority; return what each one gets, and what is left."""
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
    return ClassReason.CEILING if demand > c.most_qps else ClassReason.DEMAND
