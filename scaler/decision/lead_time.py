"""Lead time: how long a replica takes from the request until it is ready."""

from __future__ import annotations

import math
from collections.abc import Sequence

DEFAULT_LEAD_S = 120.0


def lead_time_s(
    start_ups: Sequence[float], *, level: float = 0.95, default: float = DEFAULT_LEAD_S
) -> float:
    """Return the lead time: a quantile of the start-up times that were observed.

    It is the ``ceil((n + 1) * level)``-th smallest of ``n`` observed times, which a new one does
    not exceed with probability ``level`` (split conformal prediction). With too few observations
    for that, it is the longest of them, and at least ``default``.

    >>> lead_time_s([80.0] * 18 + [95.0])
    95.0
    >>> lead_time_s([80.0, 90.0])
    120.0
    """
    ordered = sorted(start_ups)
    place = math.ceil((len(ordered) + 1) * level)
    if place > len(ordered):
        return max([*ordered, default])
    return ordered[place - 1]
