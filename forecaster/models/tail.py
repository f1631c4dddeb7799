"""The tail law: how far beyond its 0.95 quantile demand goes, and how well that is known.

Levels of 0.99 and 0.999 rest on few moments, most of them of a few incidents, so they are not read
off the residuals but extrapolated. Demand beyond the 0.95 quantile, in units of that quantile's
distance from the median, follows a generalised Pareto law (Pickands, 1975, Annals of Statistics
3(1)) with one mean and one shape for all steps of an item.

The standard error is found by leaving out one stretch of time after the other (jackknife of
blocks; Kuensch, 1989, Annals of Statistics 17(3)): an incident counts once, however many forecasts
it spoils. By its error, what one item says is shrunk towards what all items say (empirical Bayes;
Morris, 1983, JASA 78(381)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray
from forecaster.features.track import Indices
from forecaster.models.config import TAIL_FROM

# Bounds of the shape. Demand is not without end, and above 0.25 the mean of the worst moments hangs
# on the very worst.
LEAST_SHAPE, MOST_SHAPE = 0.0, 0.25
SHAPE_STRETCHES = 40  # of time, after which an item's own shape weighs as much as that of all
# Noise with exponential tails, Laplace's, has its 0.99 quantile 1.7 times as far from the median as
# its 0.95 quantile, and that of 0.999 1.589 times as far as that of 0.99. Recorded traffic has more
# at 0.99. A tail that grows faster than this is foreseen as far as it is beyond so many errors.
MOST_AT_99 = 2.15
MOST_GROWTH = math.log(500) / math.log(50)
SURE_ERRORS = 4.0
# An item's own variance of few stretches is itself uncertain: that of all counts as so many more.
VARIANCE_STRETCHES = 4
# Variances of the logarithm of the mean: between items, at least; of one stretch, where no item has
# several.
LEAST_BETWEEN, UNKNOWN_WITHIN = 0.01, 0.25
MIN_EXCESSES = 10  # of an item that says anything of the law
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation


@dataclass(frozen=True)
class TailLaw:
    """The law of the excess, in distances of the 0.95 quantile from the median.

    Attributes:
        mean: of the excess.
        shape: of the generalised Pareto law; 0: exponential.
        error: standard error of the logarithm of the mean: the relative one of each excess.
    """

    mean: float
    shape: float
    error: float

    def factor(self, level: float) -> float:
        """Return how far a level beyond lies from the median, in distances of the 0.95 quantile.

        It is one standard error higher than what was seen, for the law is not known exactly.

        >>> law = TailLaw(mean=0.4, shape=0.0, error=0.1)
        >>> [round(law.factor(level), 2) for level in (0.99, 0.999)]  # 1 + 0.442 log(0.05 / 0.01)
        [1.71, 2.72]
        """
        decades = math.log10(0.01 / (1 - level))
        share = 1 - (1 - level) / (1 - TAIL_FROM)
        scale = self.mean * math.exp(self.error) * (1 - self.shape)
        found = 1 + excess_quantile(share, scale, self.shape)
        growth = math.pow(MOST_GROWTH, decades)
        if decades <= 0:
            return min(found, max(MOST_AT_99 * growth, self._sure(share)))
        sure = self._sure(share) / self._sure(0.8)  # 0.99 is four fifths of the way beyond 0.95
        return min(found, self.factor(0.99) * max(growth, sure))

    def _sure(self, share: float) -> float:
        """Return the factor of an exponential law whose mean is all but certainly exceeded."""
        return 1 + excess_quantile(share, self.mean * math.exp(-SURE_ERRORS * self.error), 0.0)


# What is taken where nothing is known: exponential noise.
EXPONENTIAL = TailLaw(1 / math.log(10), 0.0, 0.0)


def excess_quantile(level: float, scale: float, shape: float) -> float:
    """Return the quantile of a generalised Pareto law.

    Source: Hosking and Wallis, 1987, Technometrics 29(3), where the shape has the other sign.

    >>> round(excess_quantile(0.8, 1.0, 0.0), 3), round(excess_quantile(0.75, 1.0, 0.5), 3)
    (1.609, 2.0)
    """
    far = -math.log1p(-level)
    return scale * (far if abs(shape) < 1e-6 else math.expm1(shape * far) / shape)


def pwm_shape(excess: FloatArray) -> float:
    """Return the shape of a generalised Pareto law by probability-weighted moments.

    Source: Hosking and Wallis, 1987, Technometrics 29(3), where the shape has the other sign; with
    plotting positions ``(i - 0.35) / n``.

    >>> left = 1 - (np.arange(1000) + 0.5) / 1000
    >>> abs(round(pwm_shape(-np.log(left)), 2)), round(pwm_shape(left**-0.2 - 1), 2)
    (0.0, 0.2)
    """
    ordered = np.sort(excess)
    place = (np.arange(1, len(ordered) + 1) - 0.35) / len(ordered)
    mean, weighted = float(ordered.mean()), float((ordered * (1 - place)).mean())
    return 2 - mean / (mean - 2 * weighted)


@dataclass(frozen=True)
class Evidence:
    """What the excesses of one item say of its law.

    Attributes:
        log_mean: logarithm of their mean.
        shape: of their law.
        variance: of ``log_mean``, by the jackknife; 0 where there is one stretch of time only.
        stretches: of time that were looked at.
    """

    log_mean: float
    shape: float
    variance: float
    stretches: int


def evidence(excess: FloatArray, stretch: Indices, stretches: int) -> Evidence | None:
    """Return what the excesses of one item say; None where they are too few.

    Args:
        excess: above 0, ``(excesses,)``.
        stretch: of time in which each was.
        stretches: number of those that were looked at, with and without an excess.
    """
    if len(excess) < MIN_EXCESSES:
        return None
    _, place = np.unique(stretch, return_inverse=True)
    total, count = np.bincount(place, excess), np.bincount(place)
    variance, blocks = 0.0, len(count)
    if blocks > 1:
        others = np.log((total.sum() - total) / (count.sum() - count))
        variance = (blocks - 1) * float(others.var())
    shape = min(max(pwm_shape(excess), LEAST_SHAPE), MOST_SHAPE)
    return Evidence(math.log(excess.mean()), shape, variance, stretches)


def shrunk_laws(
    found: Sequence[Evidence | None], pooled: Sequence[bool]
) -> tuple[list[TailLaw], TailLaw]:
    """Return the law of each item, and that of an item of which nothing is known.

    Args:
        found: what each item says by itself.
        pooled: whether it may say something of the others.
    """
    common = [one for one, shared in zip(found, pooled, strict=True) if one and shared]
    if not common:
        return [EXPONENTIAL] * len(found), EXPONENTIAL
    several = [one.variance * one.stretches for one in common if one.stretches > 1]
    within = float(np.median(several)) if several else UNKNOWN_WITHIN
    means = np.array([one.log_mean for one in common])
    middle, shape = float(np.median(means)), float(np.median([one.shape for one in common]))
    errors = float(np.median([_variance(one, within) for one in common]))
    spread = (_NORMAL_MAD * float(np.median(np.abs(means - middle)))) ** 2
    between = max(spread - errors, LEAST_BETWEEN)
    of_middle = (between + errors) / len(common)  # the variance of the common value itself

    def law(one: Evidence | None) -> TailLaw:
        if one is None:
            return TailLaw(math.exp(middle), shape, math.sqrt(between + of_middle))
        variance = _variance(one, within)
        own = between / (between + variance)
        error = math.sqrt(own * variance + (1 - own) ** 2 * of_middle)
        weight = one.stretches / (one.stretches + SHAPE_STRETCHES)
        return TailLaw(
            math.exp(own * one.log_mean + (1 - own) * middle),
            weight * one.shape + (1 - weight) * shape,
            error,
        )

    return [law(one) for one in found], law(None)


def _variance(one: Evidence, within: float) -> float:
    """Return the variance of an item's mean, where ``within`` is that of one stretch of any."""
    own, prior = one.stretches - 1, VARIANCE_STRETCHES
    return (own * one.variance + prior * within / one.stretches) / (own + prior)
