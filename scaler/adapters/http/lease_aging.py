"""Aging of a published limit: what of it still holds some seconds after its tick.

A schedule moves with time: "a fall in 15 s" is "a fall in 10 s" five seconds later. A gateway whose
lease is renewed without a body (304) counts its schedule from the renewal on. Therefore:

* Time since the tick is counted in cells of `CELL_S` seconds. All leases that are issued within a
  cell are the same, and must hold for a gateway that counts from any moment of that cell. So each
  limit is the lowest of the cell that it falls in and of the next one: a fall is announced one to
  two cells early, a rise up to one cell late.
* In the next cell the lease differs if a step has come nearer; then a renewal is refused.
* A schedule that announces no change ends at a whole minute, so that it does not move.
* Without a new tick the limit follows the falls of the schedule, never its rises. After the end of
  the schedule nothing is known.
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
    """The limit of all gateways together that a lease may state now, and the steps after it."""

    qps: float
    reason: LimitReason
    steps: tuple[LimitStep, ...]


def cell_of(age_s: float) -> int:
    return int(age_s // CELL_S)


def aged(published: PublishedLimit, cell: int) -> AgedLimit:
    """Return the limit to issue in a cell of time since the tick.

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
    # A lease cannot state more than MAX_QPS; no gateway reaches that.
    steps = tuple(replace(s, qps=min(s.qps, MAX_QPS)) for s in (first, *published.schedule))
    first = steps[0]
    if not published.schedule:
        return AgedLimit(first.qps, first.reason, ())
    last = steps[-1].in_s
    cells = max(math.ceil(last / CELL_S) - cell, 0)
    # The limit itself never rises before the next tick.
    now = min(_lowest_step(steps, cell), first, key=lambda step: step.qps)
    later: list[LimitStep] = []
    before = now.qps
    for ahead in range(1, cells + 1):
        step = _lowest_step(steps, cell + ahead)
        if step.qps != before:
            later.append(LimitStep(ahead * CELL_S, step.qps, step.reason))
            before = step.qps
    left = last - cell * CELL_S
    if left > (later[-1].in_s if later else 0.0):
        later.append(LimitStep(math.ceil(left / END_S) * END_S, before, steps[-1].reason))
    return AgedLimit(now.qps, now.reason, tuple(later))


def expiry_age_s(published: PublishedLimit, stale_after_s: float) -> float:
    """Return the age in seconds from which on nothing of a published limit holds."""
    return max(stale_after_s, published.schedule[-1].in_s if published.schedule else 0.0)


def _lowest_step(steps: tuple[LimitStep, ...], cell: int) -> LimitStep:
    """Return the lowest step that is in force within a cell or the next one."""
    begins, ends = cell * CELL_S, (cell + 2) * CELL_S
    lowest = None
    for step, until in zip(steps, (*(s.in_s for s in steps[1:]), math.inf), strict=True):
        if step.in_s < ends and until > begins and (lowest is None or step.qps < lowest.qps):
            lowest = step
    assert lowest is not None  # the first step begins at 0, the last one never ends
    return lowest
