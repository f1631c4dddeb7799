"""The fair shares of gateways: the limit by class over all of them, and then each class's part.

Rules of this file:

* The limit is divided among the classes by what all gateways together want (`split`). So a class
  has its guarantee wherever its requests arrive.
* Each class's part is divided by max-min fairness, first among the owners of gateways and then
  among each owner's gateways. What is wanted of no class shares the spare in the same way.
* What is left of a guarantee, and of the spare, is headroom: half of it in proportion to what each
  gets, for demand grows, up to twice of that; the rest in equal parts, for demand moves.
* Before all that each gateway gets a request per second, for its buckets hold whole ones; all
  together no more than `MOST_IDLE` of the limit.
* Where there are many gateways, parts are rounded down: a report of one gateway should not change
  the leases of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray
from scaler.limits.max_min import max_min_by_owner
from scaler.limits.priority_classes import (
    ClassLimit,
    ClassReason,
    ClassSplit,
    PriorityClass,
    split,
)

LEAST_QPS, MOST_IDLE = 1.0, 0.05
# With more gateways than that, headroom has two digits, all else three, and crumbs are left.
FEW, HEADROOM_DIGITS, DIGITS, CRUMBS = 16, 2, 3, 0.01
MOST_GROWTH = 1.0
TINY_QPS = 1e-6  # less is nothing


@dataclass(frozen=True, eq=False, slots=True)
class Claims:
    """What gateways want, in QPS; a row for each, NaN where it is not known.

    Attributes:
        classes: of each class of the policy, shape ``(n, classes)``.
        other: of no class, shape ``(n,)``; NaN: nothing at all is known of this gateway.
        owners: number of each gateway's owner, from 0, shape ``(n,)``.
    """

    classes: FloatArray
    other: FloatArray
    owners: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.other)

    def filled(self) -> tuple[FloatArray, FloatArray]:
        """Return what to divide by: a gateway of which nothing is known wants what is usual."""
        new = np.isnan(self.other)
        said = ~np.isnan(self.classes)
        classes = np.where(said, self.classes, 0.0)
        if new.any():
            known = ~new
            many = max(int(known.sum()), 1)
            usual = classes[known].sum(axis=0) / many
            classes = np.where(new[:, None], usual, classes)
            other = np.where(new, self.other[known].sum() / many, self.other)
            return classes, other
        return classes, self.other


@dataclass(frozen=True, eq=False, slots=True)
class FairParts:
    """The fair share of each gateway, by class; rows and columns as in `Claims`.

    Attributes:
        qps: each class's own rate; guaranteed: the part of it that is the class's guarantee.
        ceilings: of each class.
        spare: the rate that any class may use, shape ``(n,)``.
        wants: of each class, NaN where it is not known.
        reasons: what determined the part of each class over all gateways.
    """

    qps: FloatArray
    guaranteed: FloatArray
    ceilings: FloatArray
    spare: FloatArray
    wants: FloatArray
    reasons: tuple[ClassReason, ...]

    @property
    def totals(self) -> FloatArray:
        return np.asarray(self.qps.sum(axis=1) + self.spare)


def fair_parts(available: float, classes: Sequence[PriorityClass], claims: Claims) -> FairParts:
    """Divide what is available among gateways and their classes.

    >>> claims = Claims(np.array([[90.0], [10.0]]), np.array([0.0, 800.0]), np.array([0, 0]))
    >>> parts = fair_parts(500.0, [PriorityClass("pay", 0, guaranteed_qps=100.0)], claims)
    >>> parts.qps.ravel().tolist(), parts.spare.tolist()
    ([90.0, 10.0], [0.0, 400.0])
    """
    wants, other = claims.filled()
    floors = _floors(available, wants.sum(axis=1) + other, claims.owners)
    whole = split(max(available - floors.sum(), 0.0), classes, _totals(claims, wants))
    owners = claims.owners
    taken = [
        max_min_by_owner(one.qps, wants[:, column], owners)
        for column, one in enumerate(whole.classes)
    ]
    spare = max_min_by_owner(whole.spare_qps, other, owners)
    everything = floors + spare + sum(taken, np.zeros(len(claims)))
    by_class = [
        _with_headroom(one.qps, got, owners, everything)
        for one, got in zip(whole.classes, taken, strict=True)
    ]
    shape = len(claims), len(classes)
    qps = np.reshape(np.transpose(by_class), shape) if classes else np.zeros(shape)
    spare = floors + _with_headroom(whole.spare_qps, spare, owners, everything)
    kept = np.array([one.guaranteed_qps / one.qps if one.qps else 0.0 for one in whole.classes])
    return FairParts(
        qps,
        qps * (_rounded_down(kept, DIGITS) if len(claims) > FEW else kept),
        _ceilings(classes, whole, by_class, spare, owners),
        spare,
        claims.classes,
        tuple(one.reason for one in whole.classes),
    )


def _totals(claims: Claims, wants: FloatArray) -> list[float]:
    """Return what all gateways want of each class; NaN where none says so."""
    said = (~np.isnan(claims.classes)).any(axis=0)
    return [float(qps) for qps in np.where(said, wants.sum(axis=0), math.nan)]


def _floors(available: float, wants: FloatArray, owners: npt.NDArray[np.intp]) -> FloatArray:
    """Return what gateways get that want less than a request per second."""
    floors = max_min_by_owner(MOST_IDLE * available, np.maximum(LEAST_QPS - wants, 0.0), owners)
    return _rounded_down(floors, HEADROOM_DIGITS) if len(floors) > FEW else floors


def _with_headroom(
    qps: float, taken: FloatArray, owners: npt.NDArray[np.intp], everything: FloatArray
) -> FloatArray:
    """Return what each gateway has of ``qps``: what it takes, and its part of what is left.

    Args:
        qps: to divide.
        taken: what each gateway takes of it.
        owners: of the gateways.
        everything: what each takes altogether, for a class of which nobody takes anything.
    """
    many = len(taken) > FEW
    taken = _rounded_down(taken, DIGITS) if many else taken
    left = max(qps - taken.sum(), 0.0)
    left = 0.0 if many and left < CRUMBS * qps else left
    weights = taken if taken.sum() > 0 else everything
    total = weights.sum()
    ratio = min(left / 2 / total, MOST_GROWTH) if total > TINY_QPS else 0.0
    even = left - ratio * total
    if many:
        ratio, even = (float(_rounded_down(np.array(x), HEADROOM_DIGITS)) for x in (ratio, even))
    return np.asarray(taken + ratio * weights + even * _even(owners))


def _even(owners: npt.NDArray[np.intp]) -> FloatArray:
    """Return equal parts of 1 for all owners, and of those for each owner's gateways."""
    counts = np.bincount(owners)
    return np.asarray(1.0 / (np.count_nonzero(counts) * counts[owners]))


def _ceilings(
    classes: Sequence[PriorityClass],
    whole: ClassSplit,
    by_class: Sequence[FloatArray],
    spare: FloatArray,
    owners: npt.NDArray[np.intp],
) -> FloatArray:
    """Return the ceilings: of a class without one, all that the gateway has."""
    ceilings = np.empty((len(spare), len(classes)))
    everything = spare + sum(by_class, np.zeros(len(spare)))
    for column, (one, limit, qps) in enumerate(zip(classes, whole.classes, by_class, strict=True)):
        if one.ceiling_qps is None:
            ceilings[:, column] = everything
        else:
            room = max(one.ceiling_qps - limit.qps, 0.0)
            above = _with_headroom(room, np.zeros(len(spare)), owners, qps)
            ceilings[:, column] = np.minimum(qps + above, everything)
    return ceilings


def _rounded_down(qps: FloatArray, digits: int) -> FloatArray:
    """Return rates with so many significant digits, none of them larger than before."""
    steps = 10.0 ** (np.floor(np.log10(np.maximum(qps, TINY_QPS))) - digits + 1)
    return np.asarray(np.floor(qps / steps) * steps)


def of_gateway(parts: FairParts, row: int, classes: Sequence[PriorityClass]) -> ClassSplit:
    """Return the fair share of one gateway, as its lease states it."""
    columns = zip(
        classes, parts.guaranteed[row].tolist(), parts.qps[row].tolist(),
        parts.ceilings[row].tolist(), parts.wants[row].tolist(), parts.reasons, strict=True,
    )  # fmt: skip
    limits = (
        ClassLimit(one.name, one.priority, guaranteed, qps, ceiling, _reason(whole, wants, qps))
        for one, guaranteed, qps, ceiling, wants, whole in columns
    )
    return ClassSplit(tuple(limits), float(parts.spare[row]))


def _reason(whole: ClassReason, wants: float, qps: float) -> ClassReason:
    """Return what determined a class's rate at one gateway."""
    if whole is ClassReason.SHRUNK:
        return whole
    if math.isnan(wants):
        return ClassReason.UNKNOWN
    if qps >= wants:
        return ClassReason.DEMAND
    return ClassReason.CEILING if whole is ClassReason.CEILING else ClassReason.LIMIT


def within(share_qps: float, fair: ClassSplit) -> ClassSplit:
    """Return what of a fair share fits a smaller one: guarantees first, then by priority.

    >>> pay = ClassLimit("pay", 0, 10.0, 50.0, 90.0, ClassReason.DEMAND)
    >>> within(20.0, ClassSplit((pay,), 40.0)).classes[0].qps
    20.0
    """
    whole = [
        PriorityClass(
            one.name, one.priority, min(one.guaranteed_qps, one.ceiling_qps), one.ceiling_qps
        )
        for one in fair.classes
    ]
    smaller = split(share_qps, whole, [one.qps for one in fair.classes])
    limits = tuple(
        one if one.reason in (ClassReason.LIMIT, ClassReason.SHRUNK) else _as(one, before)
        for one, before in zip(smaller.classes, fair.classes, strict=True)
    )
    return ClassSplit(limits, smaller.spare_qps)


def _as(one: ClassLimit, before: ClassLimit) -> ClassLimit:
    return ClassLimit(
        one.name, one.priority, one.guaranteed_qps, one.qps, one.ceiling_qps, before.reason
    )
