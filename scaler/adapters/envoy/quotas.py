"""One gateway's lease as quotas of several buckets, for a gateway that counts by itself.

Rules of this file:

* All buckets together never get more than the share.
* A class's bucket has the class's own part; above it, as the lease says, the common spare. The
  spare is divided fairly by what buckets want, and what nobody wants evenly, below the ceilings.
* Whoever gets the same quota again must not start anew, so quotas are rounded, and a rate that
  moves by a tenth is no news (`said.Said.after` sees to that where wants come in).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaler.limits.max_min import max_min_fair

# Envoy reads no more than whole seconds of an interval, so a rate below this has a longer one.
FINE_QPS = 100.0
COARSE_S, FINE_S = 10, 1


@dataclass(frozen=True, slots=True)
class QuotaPart:
    """What a class has of a lease: its own, and how far it may rise; see `classes.Split`."""

    qps: float
    ceiling_qps: float


@dataclass(frozen=True, slots=True)
class Quota:
    """A token bucket: ``tokens`` more in each ``interval_s``, at most ``most``; 0: deny all."""

    tokens: int
    interval_s: int
    most: int

    @property
    def qps(self) -> float:
        return self.tokens / self.interval_s


def rates(
    share_qps: float,
    spare_qps: float,
    parts: Mapping[str, QuotaPart],
    buckets: Sequence[str],
    wants: Mapping[str, float],
) -> list[float]:
    """Return the QPS of each bucket.

    Args:
        share_qps: of the gateway; spare_qps: of that, for whichever class.
        parts: of each class, by name.
        buckets: the class of each; several may be of one class, "" is none.
        wants: QPS offered of each class, as far as known.

    >>> rates(100.0, 60.0, {"pay": QuotaPart(40.0, 100.0)}, ["pay", ""], {"pay": 90.0, "": 20.0})
    [80.0, 20.0]
    """
    free = QuotaPart(0.0, share_qps)
    held = [parts.get(name, free) for name in buckets]
    alike = np.array([buckets.count(name) for name in buckets], dtype=float)
    own = np.array([part.qps for part in held]) / alike
    ceilings = np.array([min(part.ceiling_qps, share_qps) for part in held]) / alike
    # Who has not said what it wants gets a token a second, so that it can show it.
    wanted = np.array([max(wants.get(name, 1.0), 1.0) for name in buckets]) / alike
    above = np.clip(np.minimum(wanted, ceilings) - own, 0.0, None)
    spare = min(spare_qps, max(share_qps - own.sum(), 0.0))
    given = own + max_min_fair(spare, above).qps
    left = max(spare - (given - own).sum(), 0.0)
    room = np.clip(ceilings - given, 0.0, None)
    given += max_min_fair(left, room).qps
    return [float(qps) for qps in given]


def quota(qps: float, share_qps: float, burst: float) -> Quota:
    """Return a bucket that lets in ``qps``, rounded down, with its part of the gateway's burst.

    >>> quota(12.46, 24.9, 10), quota(0.0, 24.9, 10)
    (Quota(tokens=124, interval_s=10, most=6), Quota(tokens=0, interval_s=1, most=0))
    """
    interval_s = FINE_S if qps >= FINE_QPS else COARSE_S
    tokens = math.floor(qps * interval_s + 1e-9)
    if not tokens:
        return Quota(0, FINE_S, 0)
    part = min(qps / share_qps, 1.0) if share_qps else 1.0
    return Quota(tokens, interval_s, max(1, math.ceil(burst * part - 1e-9)))
