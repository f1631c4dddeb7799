"""Quotas: one gateway's lease, divided among the token buckets of an Envoy that counts itself.

Rules of this file:

* All buckets together never get more than the gateway's share.
* A bucket of a class gets the class's own rate, and part of the spare that the lease has for all
  classes. The spare is divided by max-min fairness over the demand of the buckets, and what is left
  of it evenly, both up to the ceilings.
* A new quota resets Envoy's bucket, so a quota must not change without need: rates are rounded, and
  demand that moves by less than a tenth is the same (`GatewayReport.updated_by` sees to that).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaler.limits.max_min import max_min_fair

# Envoy reads intervals in whole seconds, so lower rates than this get the longer interval.
FINE_QPS = 100.0
COARSE_S, FINE_S = 10, 1


@dataclass(frozen=True, slots=True)
class QuotaPart:
    """A class's own rate in a lease, and the ceiling of its rate; see `ClassSplit`."""

    qps: float
    ceiling_qps: float


@dataclass(frozen=True, slots=True)
class Quota:
    """A token bucket: ``tokens`` per ``interval_s``, at most ``most``; 0 tokens deny all."""

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
        share_qps: the gateway's share.
        spare_qps: the part of the share that any class may use.
        parts: the rates of each class, by name.
        buckets: the class of each bucket; "" is no class, and several may have the same one.
        wants: QPS offered to each class, as far as known.

    >>> rates(100.0, 60.0, {"pay": QuotaPart(40.0, 100.0)}, ["pay", ""], {"pay": 90.0, "": 20.0})
    [80.0, 20.0]
    """
    free = QuotaPart(0.0, share_qps)
    bucket_parts = [parts.get(name, free) for name in buckets]
    sharers = np.array([buckets.count(name) for name in buckets], dtype=float)
    own = np.array([part.qps for part in bucket_parts]) / sharers
    ceilings = np.array([min(part.ceiling_qps, share_qps) for part in bucket_parts]) / sharers
    # A class of unknown demand gets one token per second, so that demand can show.
    wanted = np.array([max(wants.get(name, 1.0), 1.0) for name in buckets]) / sharers
    extra = np.clip(np.minimum(wanted, ceilings) - own, 0.0, None)
    spare = min(spare_qps, max(share_qps - own.sum(), 0.0))
    rates_qps = own + max_min_fair(spare, extra).qps
    left = max(spare - (rates_qps - own).sum(), 0.0)
    room = np.clip(ceilings - rates_qps, 0.0, None)
    rates_qps += max_min_fair(left, room).qps
    return [float(qps) for qps in rates_qps]


def quota(qps: float, share_qps: float, burst: float) -> Quota:
    """Return the quota for ``qps``, rounded down, with its part of the gateway's burst.

    >>> quota(12.46, 24.9, 10), quota(0.0, 24.9, 10)
    (Quota(tokens=124, interval_s=10, most=6), Quota(tokens=0, interval_s=1, most=0))
    """
    interval_s = FINE_S if qps >= FINE_QPS else COARSE_S
    tokens = math.floor(qps * interval_s + 1e-9)
    if not tokens:
        return Quota(0, FINE_S, 0)
    part = min(qps / share_qps, 1.0) if share_qps else 1.0
    return Quota(tokens, interval_s, max(1, math.ceil(burst * part - 1e-9)))
