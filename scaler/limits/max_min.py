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


def _level(capacity: float, wants: FloatArray, weights: FloatArray) -> float:
    """Return the level at which ``capacity`` is used up; the sum of wants exceeds it."""
    order = np.argsort(wants / weights, kind="stable")
    wants, weights = wants[order], weights[order]
    satisfied = np.concatenate(([0.0], np.cumsum(wants)[:-1]))  # what those who want less get
    # Weight of a claimant and of all who want more; summed from the end, to avoid cancellation.
    remaining_weight = np.cumsum(weights[::-1])[::-1]
    used = satisfied + remaining_weight * (wants / weights)  # at the level of this claimant's want
    first = int(np.argmax(used > capacity))
    return float(max(capacity - satisfied[first], 0.0) / remaining_weight[first])
