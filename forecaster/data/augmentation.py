"""Variations of recorded traffic, with which a model learns what other services may be like.

Each function takes samples, ``(time,)`` QPS with NaN where missing, and returns as many; a span is
a number of samples. Features are relative to a service's own level, so that a mere scaling would
teach nothing: `counted` scales and counts anew, which makes small services noisy.

Sources: mixing of series (Zhang et al., 2018, arXiv:1710.09412; for forecasting, Ansari et al.,
2024, arXiv:2403.07815), time warping (Um et al., 2017, arXiv:1706.00527), thinning of a Poisson
process (Lewis and Shedler, 1979, Naval Research Logistics Quarterly 26(3)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from forecaster.data.series import DAY, FloatArray, steps_per

# Mean rates at which requests are counted anew, and above which counting is no noise.
LEAST_QPS, MOST_QPS = 0.05, 300.0
# How far the time of day is moved, and how long that lasts.
WARP, WARP_KNOT = timedelta(minutes=4), timedelta(hours=6)
# Exponents of the demand in units of its mean: flatter or steeper days.
LEAST_POWER, MOST_POWER = 0.7, 1.5
# The window of `rate(...)` by which most services are recorded.
RATE_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class Augmentation:
    """Draws variations of services whose samples are ``step`` apart."""

    step: timedelta

    def vary(
        self, values: FloatArray, others: Sequence[FloatArray], rng: np.random.Generator
    ) -> FloatArray:
        """Return a service like none of those recorded, made from one, or from it and another."""
        if rng.random() < 0.4:
            values = mixed(values, others[int(rng.integers(len(others)))], rng)
        if rng.random() < 0.5:
            values = powered(values, float(rng.uniform(LEAST_POWER, MOST_POWER)))
        if rng.random() < 0.25:
            knot = steps_per(WARP_KNOT, self.step)
            values = warped(values, WARP / self.step, knot, rng)
        return self.counted(self.disturbed(values, rng), rng)

    def disturbed(self, values: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the samples with what happens to services: about three incidents a fortnight."""
        day = steps_per(DAY, self.step)
        for _ in range(rng.poisson(3 * len(values) / (14 * day))):
            kind = (with_outage, with_shift, with_promotion)[int(rng.integers(3))]
            values = kind(values, day, rng)
        if rng.random() < 0.15:
            values = with_job(values, steps_per(timedelta(hours=1), self.step), rng)
        return values

    def counted(self, values: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the samples at another mean rate, counted anew, now and then over a window."""
        mean = _mean(values)
        if mean <= 0:
            return values
        rate = float(np.exp(rng.uniform(np.log(LEAST_QPS), np.log(100 * MOST_QPS))))
        seconds = self.step.total_seconds()
        found = values * (rate / mean)
        if rate < MOST_QPS:
            known = np.isfinite(found)
            found = np.where(known, rng.poisson(np.where(known, found, 0) * seconds), np.nan)
            found = found / seconds
        if rng.random() < 0.3 and self.step < RATE_WINDOW:
            found = smoothed(found, RATE_WINDOW // self.step)
        return found


def mixed(one: FloatArray, other: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a service that has the traffic of two; the other's begins at any time of day."""
    length = min(len(one), len(other))
    first, second = (_part(values, length, rng) for values in (one, other))
    second = np.roll(second, int(rng.integers(length)))
    share = float(rng.uniform(0.2, 0.8))
    return share * _relative(first) + (1 - share) * _relative(second)


def _part(values: FloatArray, length: int, rng: np.random.Generator) -> FloatArray:
    start = int(rng.integers(len(values) - length + 1))
    return values[start : start + length]


def split(values: FloatArray, seconds: float, parts: int, rng: np.random.Generator) -> FloatArray:
    """Return rates over ``parts`` of each sample, in which its requests fall by chance.

    Args:
        values: rates over ``seconds``, ``(time,)`` QPS.
        seconds: spacing of the samples.
        parts: of each sample.
        rng: says which request falls into which part.
    """
    known = np.isfinite(values)
    counts = np.rint(np.where(known, values, 0) * seconds).astype(np.int64)
    edges = np.interp(np.arange(len(values) * parts) / parts - 0.5 + 0.5 / parts,
                      np.arange(len(values)), np.where(known, values, 0)) + 1e-9  # fmt: skip
    chances = edges.reshape(-1, parts)
    fine = rng.multinomial(counts, chances / chances.sum(axis=1, keepdims=True)) * parts / seconds
    return np.where(known[:, None], fine, np.nan).reshape(-1)


def powered(values: FloatArray, exponent: float) -> FloatArray:
    """Return the samples in units of their mean to a power: steeper days above 1.

    >>> powered(np.array([0.5, 1.5]), 2.0).tolist()
    [0.25, 2.25]
    """
    return np.asarray(_relative(values) ** exponent)


def warped(values: FloatArray, most: float, knot: int, rng: np.random.Generator) -> FloatArray:
    """Return the samples at moments moved smoothly by at most ``most`` samples."""
    knots = len(values) // knot + 2
    moved = np.interp(
        np.arange(len(values)) / knot, np.arange(knots), rng.uniform(-most, most, knots)
    )
    places = np.clip(np.rint(np.arange(len(values)) + moved), 0, len(values) - 1)
    return np.asarray(values[places.astype(np.int64)])


def with_outage(values: FloatArray, day: int, rng: np.random.Generator) -> FloatArray:
    """Return the samples with an outage of minutes to hours: nothing, little, or unknown."""
    span = int(np.exp(rng.uniform(np.log(3), np.log(day / 8))))
    remaining = rng.choice([0.0, float(rng.uniform(0, 0.3)), np.nan])
    return _scaled(values, span, np.full(span, remaining), rng)


def with_shift(values: FloatArray, _day: int, rng: np.random.Generator) -> FloatArray:
    """Return the samples with a level that changes for good."""
    start = int(rng.integers(len(values)))
    found = values.copy()
    found[start:] *= float(np.exp(rng.normal(0, 0.35)))
    return found


def with_promotion(values: FloatArray, day: int, rng: np.random.Generator) -> FloatArray:
    """Return the samples with a crowd of half an hour to six hours, which decays."""
    span = int(np.exp(rng.uniform(np.log(day / 48), np.log(day / 4))))
    rise = float(rng.uniform(1, day / 100))
    since = np.arange(span)
    decay = span * float(rng.uniform(0.3, 3))
    height = np.minimum(since / rise, 1) * np.exp(-np.maximum(since - rise, 0) / decay)
    return _scaled(values, span, 1 + float(rng.uniform(0.5, 3)) * height, rng)


def with_job(values: FloatArray, hour: int, rng: np.random.Generator) -> FloatArray:
    """Return the samples with a job that begins at the same minute of every so many hours."""
    period = hour * int(rng.choice([1, 1, 2, 6, 24]))
    lasts = int(rng.integers(1, max(hour // 12, 2) + 1))
    height = float(rng.uniform(0.2, 1.5)) * _mean(values)
    runs = (np.arange(len(values)) - int(rng.integers(period))) % period < lasts
    return np.where(runs, values + height, values)


def smoothed(values: FloatArray, width: int) -> FloatArray:
    """Return the mean of the last ``width`` samples, as a rate over a window is.

    >>> smoothed(np.array([2.0, 4.0, 6.0]), 2).tolist()
    [2.0, 3.0, 5.0]
    """
    padded = np.concatenate([np.full(width - 1, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    known = np.isfinite(windows)
    total = np.where(known, windows, 0).sum(axis=1)
    return np.where(np.isfinite(values), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _mean(values: FloatArray) -> float:
    """Return the mean of the known samples, 0 where none is known."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _relative(values: FloatArray) -> FloatArray:
    """Return the samples in units of their mean, which becomes 1 where there is no demand."""
    mean = _mean(values)
    return values / mean if mean > 0 else values


def _scaled(
    values: FloatArray, span: int, factor: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return the samples with some ``span`` of them multiplied."""
    start = int(rng.integers(max(len(values) - span, 1)))
    found = values.copy()
    found[start : start + span] *= factor[: len(found) - start]
    return found
