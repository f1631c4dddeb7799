"""How the capacity of a replica is learned from recorded loads and latencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from forecaster.data.series import FloatArray
from scaler.decision.capacity import Capacity, CapacityReason

MIN_SAMPLES = 60  # fewer samples do not determine a tail latency
BLOCK_LENGTH = 30  # consecutive samples are correlated, so the bootstrap draws them together


def learned_capacity(
    loads: FloatArray,
    latencies: FloatArray,
    slo_s: float,
    rng: np.random.Generator,
    *,
    resamples: int = 100,
) -> Capacity:
    """Return the load up to which the latency stays within the SLO.

    The only assumption is that latency does not fall as load rises: isotonic regression (Barlow et
    al., 1972, Statistical Inference under Order Restrictions). A moving-block bootstrap (Kuensch,
    1989) gives the interval.

    Args:
        loads: QPS per ready replica, ``(samples,)``.
        latencies: the latency that the SLO bounds, in seconds, at the same times; for example the
            99th percentile. An error rate works as well, with its own bound. NaN where unknown.
        slo_s: the bound of the SLO.
        rng: draws the resamples.
        resamples: number of bootstrap resamples.

    Raises:
        ValueError: fewer than `MIN_SAMPLES` samples are known, or the SLO was missed at all loads.
    """
    known = np.isfinite(loads) & np.isfinite(latencies) & (loads > 0)
    loads, latencies = loads[known], latencies[known]
    if len(loads) < MIN_SAMPLES:
        raise ValueError(
            f"{len(loads)} samples with load and latency are known, but {MIN_SAMPLES} are needed "
            "to learn the capacity; give requestsPerReplica instead"
        )
    found = _crossing(loads, latencies, slo_s)
    if found is None:
        raise ValueError(
            f"the SLO of {slo_s} s was not met at any load (lowest {loads.min():g} requests per "
            "second per replica); is it in seconds?"
        )
    crossings = [
        _crossing(loads[drawn], latencies[drawn], slo_s)
        for drawn in _block_bootstrap(len(loads), resamples, rng)
    ]
    low, high = np.quantile([x for x in crossings if x is not None] or [found], [0.05, 0.95])
    unreached = found >= loads.max()
    reason = CapacityReason.UNREACHED if unreached else CapacityReason.LEARNED
    return Capacity(found, reason, min(float(low), found), max(float(high), found))


def _block_bootstrap(
    samples: int, resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return indices of blocks of consecutive samples, ``(resamples, at least samples)``."""
    blocks = -(-samples // BLOCK_LENGTH)
    starts = rng.integers(0, samples - BLOCK_LENGTH + 1, (resamples, blocks))
    return (starts[:, :, None] + np.arange(BLOCK_LENGTH)).reshape(resamples, -1)


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
    # Between two fitted loads, latency is interpolated linearly.
    return last + (float(after[0]) - last) * float((slo_s - low) / max(high - low, 1e-12))
