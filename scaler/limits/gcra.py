"""The generic cell rate algorithm (GCRA): a leaky bucket that decides whether a request may pass.

The state of a bucket is one number, the theoretical arrival time (``tat``): when the bucket will be
empty. So a request is decided in O(1), and a store needs one cell per bucket.

Source: ITU-T Recommendation I.371, annex A, "Generic Cell Rate Algorithm", virtual scheduling; the
limit ``L`` there is ``(burst - 1) x emission_interval`` here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# Sums of intervals are inexact, so a thousandth of a request is tolerated.
SLACK = 1e-3


class Verdict(NamedTuple):
    """Whether one request may pass.

    Attributes:
        allowed: whether it may.
        tat: the bucket after the request. A refused request adds nothing; the content of a bucket
            that has become smaller is cut to its new size.
        retry_after_s: seconds until the same request may pass; 0 if it was allowed, inf if never.
    """

    allowed: bool
    tat: float
    retry_after_s: float


def admit(tat: float, now: float, emission_interval_s: float, burst: float) -> Verdict:
    """Return whether a request at ``now`` may pass.

    In any window of time, at most ``rate * window + burst`` requests pass.

    Args:
        tat: the bucket; ``-inf`` for a new one, which is empty.
        now: monotonic seconds.
        emission_interval_s: 1 / rate; inf where nothing may pass.
        burst: requests that may pass at once; at least 1.

    >>> first = admit(-math.inf, 100.0, 0.5, burst=1)
    >>> first
    Verdict(allowed=True, tat=100.5, retry_after_s=0.0)
    >>> admit(first.tat, 100.25, 0.5, burst=1).retry_after_s
    0.25
    """
    _check_interval(emission_interval_s)
    if not 1 <= burst < math.inf:
        raise ValueError(f"burst is {burst}, but a bucket holds at least one request")
    if emission_interval_s == math.inf:
        return Verdict(False, tat, math.inf)
    depth_s = burst * emission_interval_s
    # Cut to the bucket's size: a clock that went back, or a smaller burst, must not block for long.
    drained = min(max(tat, now), now + depth_s)
    wait_s = drained + emission_interval_s - depth_s - now
    if wait_s > SLACK * emission_interval_s:
        return Verdict(False, min(tat, now + depth_s), wait_s)
    return Verdict(True, drained + emission_interval_s, 0.0)


def rescaled(tat: float, now: float, old_interval_s: float, new_interval_s: float) -> float:
    """Return the bucket after a change of its rate; it still holds as many requests as before.

    An unchanged ``tat`` would mean the same seconds, and so half of the requests when the rate is
    halved. Where either rate is 0, the requests are not defined and ``tat`` stays as it is.

    >>> rescaled(12.0, 10.0, old_interval_s=0.1, new_interval_s=0.2)
    14.0
    """
    _check_interval(old_interval_s)
    _check_interval(new_interval_s)
    if tat <= now or math.inf in (old_interval_s, new_interval_s):
        return tat
    return now + (tat - now) * (new_interval_s / old_interval_s)


def _check_interval(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"emission interval is {seconds} s, but it must be > 0")
