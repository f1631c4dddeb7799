"""Outages: hours in which the demand was not what users wanted, and that must not come again.

An outage of last week would be forecast again, for profiles repeat what was. So the samples of an
outage count as missing in profiles and among the surprises of earlier days; levels and errors see
them as they were.

An outage begins with a sharp fall: a sample far below what is usual, where the last minutes were as
usual. What is usual is the day's shape at the level of the last day. It goes on while the demand
stays far below, for six hours at most: a holiday, or a service that has lost its users, is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block, FloatArray
from forecaster.features import smoothing
from forecaster.features.averages import Averages
from forecaster.features.smoothing import MIN_QPS
from forecaster.features.timing import Timing
from forecaster.features.track import Track

Flags = npt.NDArray[np.bool_]

# Of what is usual, an outage lacks at least this share, and this many mean relative errors.
LEAST_SHARE = 0.5
LEAST_ERRORS = 4.0
# Before it, demand was at least this share of what is usual, over so many minutes.
BEFORE_SHARE, BEFORE_MINUTES = 0.8, 8
# It goes on through so many minutes that are not as low, and ends after so many.
BRIDGED_MINUTES, MOST_MINUTES = 5, 360
# An age beyond which it does not matter how old something is.
_LONG_AGO = 1e6


@dataclass(frozen=True, eq=False)
class Outages:
    """What is known of outages after each sample, all ``(items, time)``.

    Attributes:
        outage: 1 where a sample belongs to an outage, else 0.
        fall_age: samples since demand last fell far below what is usual.
        low_age: samples since it was last there.
        sharp: 1 if that fall was sharp, else 0.
    """

    outage: Block
    fall_age: Block
    low_age: Block
    sharp: Block


def find_outages(before: Track, averages: Averages, profile: Block, values: Block) -> Outages:
    """Return the outages among new samples.

    Args:
        before: the track of the samples before.
        averages: after the samples before; those that are needed here are updated.
        profile: of the day, for the new samples, from samples as recorded; ``(items, time)`` QPS.
        values: the new samples, ``(items, time)`` QPS, NaN where missing.
    """
    timing = before.timing
    shape = np.where(np.isnan(values), smoothing.NAN, profile)
    known = np.where(np.isnan(shape), smoothing.NAN, values)
    level = averages.mean("outage level", known, timing.day)
    mean_shape = averages.mean("outage shape", shape, timing.day)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        usual = shape * (level / mean_shape)
        ratio = known / np.fmax(usual, MIN_QPS)
    error = averages.mean("outage error", np.abs(np.clip(ratio, 0, 2) - 1), timing.day)
    is_low = ratio < 1 - np.fmax(LEAST_SHARE, LEAST_ERRORS * error)
    return _runs(before, is_low, _as_usual_before(averages, ratio, timing))


def _as_usual_before(averages: Averages, ratio: Block, timing: Timing) -> Flags:
    """Return whether demand was as usual in the minutes before each new sample."""
    name, span = "outage before", max(timing.samples(BEFORE_MINUTES), 1)
    kept = averages.kept.get(name)
    first = np.full((len(ratio), 1), smoothing.NAN) if kept is None else kept.mean[:, None]
    mean = averages.mean(name, np.clip(ratio, 0, 2).astype(np.float32), span)
    return np.asarray(np.concatenate([first, mean[:, :-1]], axis=1) >= BEFORE_SHARE)


def _runs(before: Track, is_low: Flags, as_usual: Flags) -> Outages:
    """Return which low samples follow a sharp fall, and what later samples need to know."""
    timing, at = before.timing, np.arange(is_low.shape[1])
    low_at = _last(is_low, _newest(before.low_age, _LONG_AGO))
    bridged = np.concatenate([-1 - _newest(before.low_age, _LONG_AGO), low_at[:, :-1]], axis=1)
    falls = is_low & (at - bridged > max(timing.samples(BRIDGED_MINUTES), 1))
    fall_at = _last(falls, _newest(before.fall_age, _LONG_AGO))
    place = np.maximum(fall_at, 0).astype(np.int64)
    was_sharp = _newest(before.sharp, 0) > 0
    sharp = np.where(fall_at >= 0, np.take_along_axis(as_usual, place, axis=1), was_sharp)
    lasts = at - fall_at < max(timing.samples(MOST_MINUTES), 1)
    blocks = (is_low & sharp & lasts, at - fall_at, at - low_at, sharp)
    return Outages(*(np.minimum(block, _LONG_AGO).astype(np.float32) for block in blocks))


def _last(flags: Flags, age: Block) -> FloatArray:
    """Return the place of the last flag up to each sample; ``age`` of the last one before them."""
    places = np.where(flags, np.arange(flags.shape[1]), -1 - age)
    return np.asarray(np.maximum.accumulate(places, axis=1))


def _newest(block: Block, otherwise: float) -> Block:
    """Return the last column, ``(items, 1)``."""
    return np.nan_to_num(block[:, -1:], nan=otherwise)


def without_outages(values: Block, outage: Block) -> Block:
    """Return samples, NaN where there was an outage."""
    return np.where(outage > 0, smoothing.NAN, values)
