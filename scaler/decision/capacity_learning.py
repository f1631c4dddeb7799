"""Learning the capacity of a replica from what was recorded of load and latency."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import IsotonicRegression

from forecaster.data.series import FloatArray
from scaler.decision.capacity import Capacity, CapacityReason

# Of the recorded moments: fewer say nothing about a tail.
LEAST_MOMENTS = 60
BLOCK = 30  # consecutive moments that are drawn together: they are alike


def learned_capacity(
    loads: FloatArray,
    latencies: FloatArray,
    slo_s: float,
    rng: np.random.Generator,
    *,
    resamples: int = 100,
) -> Capacity:
    """Return the load up to which latency stays within the SLO.

    Latency is taken to rise with load, and with nothing else about its form: isotonic regression
    (Barlow et al., 1972, Statistical Inference under Order Restrictions). How sure that is, a
    moving-block bootstrap says (Kuensch, 1989): moments that follow each other are drawn together.

    Args:
        loads: QPS per ready replica, ``(moments,)``.
        latencies: the SLO's latency at those moments in seconds, say the 99th percentile; an
            error rate will do as well, with its own bound. NaN where unknown.
        slo_s: what it may be.
        rng: draws the resamples.
        resamples: how many.

    Raises:
        ValueError: fewer than `LEAST_MOMENTS` moments are known, or the SLO never held.
    """
    known = np.isfinite(loads) & np.isfinite(latencies) & (loads > 0)
    loads, latencies = loads[known], latencies[known]
    if len(loads) < LEAST_MOMENTS:
        raise ValueError(
            f"{len(loads)} moments with load and latency are known, but {LEAST_MOMENTS} are needed "
            "to learn the capacity; give requestsPerReplica instead"
        )
    found = _crossing(loads, latencies, slo_s)
    if found is None:
        raise ValueError(
            f"the SLO of {slo_s} s never held at any load (lowest {loads.min():g} requests per "
            "second per replica); is it in seconds?"
        )
    starts = rng.integers(0, len(loads) - BLOCK + 1, (resamples, -(-len(loads) // BLOCK)))
    drawn = (starts[:, :, None] + np.arange(BLOCK)).reshape(resamples, -1)
    crossings = [_crossing(loads[pick], latencies[pick], slo_s) for pick in drawn]
    spread = np.quantile([x for x in crossings if x is not None] or [found], [0.05, 0.95])
    unreached = found >= loads.max()
    reason = CapacityReason.UNREACHED if unreached else CapacityReason.LEARNED
    return Capacity(found, reason, min(float(spread[0]), found), max(float(spread[1]), found))


def _crossing(loads: FloatArray, latencies: FloatArray, slo_s: float) -> float | None:
    """Return the largest load at which the fitted latency is within the SLO; None if none is."""
    fitted = IsotonicRegression().fit(loads, latencies)
    within = fitted.X_thresholds_[fitted.y_thresholds_ <= slo_s]
    if not len(within):
        return None
    last = float(within[-1])
    after = fitted.X_thresholds_[fitted.X_thresholds_ > last]
    if not len(after):
        return last
    low, high = fitted.predict([last, float(after[0])])
    # Latency is a straight line between two fitted loads.
    return last + (float(after[0]) - last) * float((slo_s - low) / max(high - low, 1e-12))
