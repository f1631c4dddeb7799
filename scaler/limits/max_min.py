"""Max-min fair shares: nobody can be given more without taking it from somebody who has less."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FairShares:
    """Who gets how much.

    Attributes:
        qps: one per claimant, ``min(wants, weights x level)``.
        level: what a claimant of weight 1 gets at most; inf: all get what they want.
    """

    qps: FloatArray
    level: float


def max_min_fair(
    capacity: float, wants: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> FairShares:
    """Divide a capacity so that the least satisfied claimants get as much as possible.

    Water is filled up to one level: whoever wants less is satisfied, all others get the level.
    O(n log n).

    Args:
        capacity: to be divided, finite and >= 0.
        wants: finite and >= 0, shape ``(n,)``.
        weights: parts of the level, > 0; None: all equal.

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
        raise ValueError("wants must be finite and >= 0; settle first what is not known")
    if wanted.sum() <= capacity:
        return FairShares(wanted.copy(), math.inf)
    weight = np.ones_like(wanted) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != wanted.shape or not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError("weights must be finite and > 0, one per claimant")
    level = _level(capacity, wanted, weight)
    return FairShares(np.minimum(wanted, weight * level), level)


def _level(capacity: float, wants: FloatArray, weights: FloatArray) -> float:
    """Return the water level at which ``capacity`` is used up; it is less than all wants."""
    order = np.argsort(wants / weights, kind="stable")
    wants, weights = wants[order], weights[order]
    satisfied = np.concatenate(([0.0], np.cumsum(wants)[:-1]))  # by those who want less
    # Weight of a claimant and of all who want more. Summed from the heavy end: nothing cancels.
    thirsty = np.cumsum(weights[::-1])[::-1]
    used = satisfied + thirsty * (wants / weights)  # if the level were this claimant's want
    first = int(np.argmax(used > capacity))
    return float(max(capacity - satisfied[first], 0.0) / thirsty[first])
