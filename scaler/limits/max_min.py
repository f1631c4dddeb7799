"""Max-min fair division of a capacity: no share can grow without shrinking a smaller one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FairShares:
    """The shares of all claimants.

    Attributes:
        qps: one per claimant, ``min(wants, weights * level)``.
        level: the most that a claimant of weight 1 gets; inf: all get what they want.
    """

    qps: FloatArray
    level: float


def max_min_fair(
    capacity: float, wants: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> FairShares:
    """Divide a capacity by the max-min fairness criterion (water-filling), in O(n log n).

    There is one level for all: a claimant who wants less gets what it wants, all others get the
    level times their weight.

    Args:
        capacity: the amount to divide, finite and >= 0.
        wants: what each claimant wants, finite and >= 0, shape ``(n,)``.
        weights: of the claimants, > 0; None: all equal.

    Source: D. Bertsekas and R. Gallager, "Data Networks", 2nd ed. (1992), 6.5.2. The example is
    Doorman's FAIR_SHARE.

    >>> fair = max_min_fair(120, [1000, 50, 10])
    >>> fair.qps.tolist(), fair.level
    ([60.0, 50.0, 10.0], 60.0)
    """
    wanted = np.asarray(wants, dtype=np.float64)
    if not 0 <= capacity < math.inf:
        raise ValueError(f"capacity is {capacity}, but it must be finite and >= 0")
    if not (np.isfinite(wanted).all() and (wanted >= 0).all()):
        raise ValueError("wants must be finite and >= 0; replace unknown values first")
    if wanted.sum() <= capacity:
        return FairShares(wanted.copy(), math.inf)
    weight = np.ones_like(wanted) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != wanted.shape or not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError("weights must be finite and > 0, one per claimant")
    level = _level(capacity, wanted, weight)
    return FairShares(np.minimum(wanted, weight * level), level)


def max_min_by_owner(
    capacity: float, wants: npt.ArrayLike, owners: npt.NDArray[np.intp]
) -> FloatArray:
    """Divide a capacity among owners, and what each gets among its claimants; max-min both times.

    So an owner of many claimants, or of absurd ones, gets no more than its fair part.

    Args:
        capacity: the amount to divide, finite and >= 0.
        wants: what each claimant wants, finite and >= 0, shape ``(n,)``.
        owners: number of each claimant's owner, from 0, shape ``(n,)``.

    Returns:
        What each claimant gets, shape ``(n,)``.

    >>> max_min_by_owner(120, [1000, 1000, 50, 30], np.array([0, 0, 0, 1])).tolist()
    [30.0, 30.0, 30.0, 30.0]
    """
    # More than there is counts as all there is: absurd wants would cost the sums their digits.
    wanted = np.minimum(np.asarray(wants, dtype=np.float64), capacity)
    if not owners.any():
        return max_min_fair(capacity, wanted).qps
    each = max_min_fair(capacity, np.bincount(owners, weights=wanted)).qps
    return np.minimum(wanted, _levels(each, wanted, owners)[owners])


def _levels(capacities: FloatArray, wants: FloatArray, owners: npt.NDArray[np.intp]) -> FloatArray:
    """Return the level within each owner's capacity; inf where the owner's wants fit it."""
    order = np.lexsort((wants, owners))
    wants, owners = wants[order], owners[order]
    counts = np.bincount(owners, minlength=len(capacities))
    ends = np.cumsum(counts)
    begins = ends - counts
    before = np.concatenate(([0.0], np.cumsum(wants)))
    satisfied = before[:-1] - before[begins][owners]  # what the owner's lesser claimants get
    remaining = ends[owners] - np.arange(len(wants))
    over = satisfied + remaining * wants > capacities[owners]
    levels = np.full(len(capacities), math.inf)
    # From the last to the first, so that of each owner the first remains.
    at = np.flatnonzero(over)[::-1]
    levels[owners[at]] = np.maximum(capacities[owners[at]] - satisfied[at], 0.0) / remaining[at]
    return levels


def _level(capacity: float, wants: FloatArray, weights: FloatArray) -> float:
    """Return the level at which ``capacity`` is used up; inf where all wants fit it after all."""
    order = np.argsort(wants / weights, kind="stable")
    wants, weights = wants[order], weights[order]
    satisfied = np.concatenate(([0.0], np.cumsum(wants)[:-1]))  # what those who want less get
    # Weight of a claimant and of all who want more; summed from the end, to avoid cancellation.
    remaining_weight = np.cumsum(weights[::-1])[::-1]
    used = satisfied + remaining_weight * (wants / weights)  # at the level of this claimant's want
    over = used > capacity
    if not over.any():  # the sum exceeded it by the rounding of another order alone
        return math.inf
    first = int(np.argmax(over))
    return float(max(capacity - satisfied[first], 0.0) / remaining_weight[first])
