"""Lead time: how long it takes until a replica that is asked for now is ready."""

from __future__ import annotations

import math
from collections.abc import Sequence

DEFAULT_LEAD_S = 120.0


def lead_time_s(
    start_ups: Sequence[float], *, level: float = 0.95, default: float = DEFAULT_LEAD_S
) -> float:
    """Return how long a replica takes to become ready: a quantile of what was observed.

    The ``ceil((n + 1) * level)``-th smallest of ``n`` observed times, which a new one stays within
    with that probability (split conformal); with fewer than that asks for, the longest and
    ``default``, whichever is longer.

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
