"""What of an offer is still true some seconds after its tick, so that it can be told and renewed.

A schedule slides with time: "a fall in 15 s" is a fall in 10 s when five have passed. A gateway
whose lease is renewed without a body (304) counts again from what it was told. So:

* Time since the tick is counted in cells of `CELL_S`. What is told within one cell is the same, and
  true for a gateway that counts from any moment of that cell: of each limit the least within the
  cell it falls in and the next one. A fall is told one to two cells early, a rise up to one late.
* In the next cell the telling differs if a step has come nearer, and a renewal is refused.
* A schedule that says nothing new (no fall, no rise) ends at a whole minute: it does not slide.
* While no tick comes the limit follows falls, never rises; when the schedule is over nothing is
  known any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scaler.decision.limit import LimitReason
from scaler.limits.lease import MAX_QPS
from scaler.limits.published_limit import PublishedLimit
from scaler.limits.schedule import LimitStep

CELL_S = 5.0
END_S = 60.0


@dataclass(frozen=True, slots=True)
class AgedLimit:
    """What may be told now: the limit of all gateways together, and the steps from now on."""

    qps: float
    reason: LimitReason
    steps: tuple[LimitStep, ...]


def cell_of(age_s: float) -> int:
    return int(age_s // CELL_S)


def aged(published: PublishedLimit, cell: int) -> AgedLimit:
    """Return what may be told in the given cell of time since the tick.

    >>> from scaler.decision.limit import Limit
    >>> from scaler.limits.schedule import SafeLimit
    >>> now = Limit(200.0, 20, LimitReason.CAPACITY)
    >>> steps = (LimitStep(15.0, 100.0), LimitStep(60.0, 300.0))
    >>> published = PublishedLimit(now, steps, SafeLimit(100.0, LimitReason.CAPACITY), (), 2, 100.0)
    >>> [[(step.in_s, step.qps) for step in aged(published, cell).steps] for cell in (0, 1)]
    [[(10.0, 100.0), (60.0, 300.0)], [(5.0, 100.0), (55.0, 300.0)]]
    >>> aged(published, 2).qps  # the fall is less than two cells away
    100.0
    """
    first = LimitStep(0.0, published.limit.qps, published.limit.reason)
    # A ceiling that nobody can reach is no more than a lease can say.
    steps = tuple(replace(s, qps=min(s.qps, MAX_QPS)) for s in (first, *published.schedule))
    first = steps[0]
    if not published.schedule:
        return AgedLimit(first.qps, first.reason, ())
    last = steps[-1].in_s
    cells = max(math.ceil(last / CELL_S) - cell, 0)
    # The limit itself never rises before the next tick.
    now = min(_least(steps, cell), first, key=lambda step: step.qps)
    told: list[LimitStep] = []
    before = now.qps
    for ahead in range(1, cells + 1):
        step = _least(steps, cell + ahead)
        if step.qps != before:
            told.append(LimitStep(ahead * CELL_S, step.qps, step.reason))
            before = step.qps
    left = last - cell * CELL_S
    if left > (told[-1].in_s if told else 0.0):
        told.append(LimitStep(math.ceil(left / END_S) * END_S, before, steps[-1].reason))
    return AgedLimit(now.qps, now.reason, tuple(told))


def over_at(published: PublishedLimit, stale_after_s: float) -> float:
    """Return the age at which nothing of an offer is known to be true."""
    return max(stale_after_s, published.schedule[-1].in_s if published.schedule else 0.0)


def _least(steps: tuple[LimitStep, ...], cell: int) -> LimitStep:
    """Return the lowest step in force within a cell or the next one."""
    begins, ends = cell * CELL_S, (cell + 2) * CELL_S
    lowest = None
    for step, until in zip(steps, (*(s.in_s for s in steps[1:]), math.inf), strict=True):
        if step.in_s < ends and until > begins and (lowest is None or step.qps < lowest.qps):
            lowest = step
    assert lowest is not None  # the first step begins at 0, the last one never ends
    return lowest
