"""The raw shapes of the day and the week: what profiles are smoothed from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import LocalClock
from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.timing import DAY_PROFILES, PROFILE_DAYS, Timing
from forecaster.features.track import Indices

# Profiles are smoothed over minutes from these: one shape per gain, and the week before.
RAW_GAINS = tuple(dict.fromkeys(gain for _, gain in DAY_PROFILES))
RAW_SHAPES = len(RAW_GAINS) + 1
RAW_OF_PROFILE = (*(RAW_GAINS.index(gain) for _, gain in DAY_PROFILES), len(RAW_GAINS))


def raw_shapes(values: Block, timing: Timing, clock: LocalClock | None = None) -> Block:
    """Return the shapes behind the profiles, ``(RAW_SHAPES, items, 2 * reach + time)``.

    They end ``prediction_length + reach`` after the newest sample.
    """
    if clock is not None:
        newest = np.arange(-2 * timing.reach, values.shape[1])  # as each shape was computed
        return shapes_of(samples_at(values, shape_places(newest, timing, clock)))
    before, after = timing.reach, timing.ahead
    reaching = np.pad(values, ((0, 0), (before, after)), constant_values=np.nan)
    shapes = [
        smoothing.periodic_profile(reaching, timing.day, gain, PROFILE_DAYS) for gain in RAW_GAINS
    ]
    shapes.append(smoothing.lagged(reaching, 7 * timing.day))
    return np.stack([shape[:, timing.prediction_length :] for shape in shapes])


def shape_places(newest: Indices, timing: Timing, clock: LocalClock | None) -> Indices:
    """Return the places of the samples that the profiles need when each sample is the newest.

    Those of a sample are on the days before, oldest first, ``(time, PROFILE_DAYS)``, and not after
    it; negative where they lie before the first one or are not known yet.
    """
    days = np.arange(PROFILE_DAYS, 0, -1)
    places = newest[:, None] + timing.ahead - timing.day * days
    return places if clock is None else clock.same_time(places, days, newest[:, None])


def samples_at(values: npt.NDArray[Any], places: Indices) -> Block:
    """Return the samples at places, ``(..., *places.shape)``; NaN where they are negative."""
    found = values[..., np.maximum(places, 0)].astype(np.float32)
    found[..., places < 0] = np.nan
    return found


def shapes_of(week: Block) -> Block:
    """Return the raw shapes from the samples at `shape_places`, ``(items, time, PROFILE_DAYS)``."""
    days = [week[:, :, day] for day in range(PROFILE_DAYS)]
    return np.stack([*(smoothing.smoothed(days, gain) for gain in RAW_GAINS), days[0]])


def profile_at_samples(recorded: Block, count: int, timing: Timing) -> Block:
    """Return the day's profile from samples as recorded, for the newest ``count`` samples.

    ``recorded`` is the last of the raw shapes, ``(items, time)``; it ends `Timing.ahead` samples
    after the newest one.
    """
    width, end = timing.half_widths[0], recorded.shape[1] - timing.ahead
    begin = end - count - width
    around = recorded[:, max(begin, 0) : end + width]
    around = np.pad(around, ((0, 0), (max(-begin, 0), 0)), constant_values=np.nan)
    return smoothing.centred_mean(around, width)[:, width : width + count]
