"""Anchors: exponential-smoothing forecasts, their blend by recent error, and its noise scale.

The models do not predict requests per second. They predict the *deviation* from the blend of the
anchors, in units of the blend's recent error, as in ES-RNN (Smyl, 2020, International Journal of
Forecasting 36(1)). All values are causal: a value at sample ``t`` depends on samples up to ``t``
only, and costs O(1) per new sample. A track can be extended, sample by sample or by many at once;
the numbers are the same.

How far back a value depends on samples: profiles use one week; averages of errors forget by 1/e in
six hours, or in two forecasts where that is longer (`Timing.memory`); the mean behind the floors
and the slowest rhythm forget by 1/e in a day.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import LocalClock
from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.averages import Averages
from forecaster.features.outages import Outages, find_outages, without_outages
from forecaster.features.shapes import RAW_OF_PROFILE, profile_at_samples, raw_shapes
from forecaster.features.shocks import new_shocks
from forecaster.features.smoothing import MIN_QPS
from forecaster.features.timing import (
    ANCHOR_COUNT,
    LEVEL_SPANS,
    RHYTHMS,
    SCALED,
    SHAPED,
    Timing,
)
from forecaster.features.track import Track

# This share of the day's mean is added to both levels of a ratio: a night without requests must not
# become a factor of a million in the morning.
RATIO_FLOOR = 0.02
# Lower bound of the noise scale as a share of the day's mean: a constant series has no error.
SCALE_FLOOR = 1e-3
# Surprises are clipped to this many noise scales, as a flash crowd would otherwise affect all
# rhythms for days.
CLIP = 10.0


def build_track(values: npt.ArrayLike, timing: Timing, clock: LocalClock | None = None) -> Track:
    """Return the track of a block of items, ``(items, time)`` QPS, NaN where missing.

    Items start and end together, and have one ``clock``; None where it does not change.
    """
    samples = np.asarray(values, dtype=np.float32)
    empty = Track.unknown(len(samples), timing, looked_back_at(timing))
    track, _ = begin(empty, Averages(len(samples)), samples, clock)
    return replace(track.last(samples.shape[1]), clock=clock)


def begin(
    empty: Track, averages: Averages, values: Block, clock: LocalClock | None
) -> tuple[Track, Block]:
    """Return the track of a whole history that begins with an empty one, and its raw shapes."""
    timing = empty.timing
    recorded = raw_shapes(values, timing, clock)
    profile = profile_at_samples(recorded[0], values.shape[1], timing)
    outages = find_outages(empty, averages, profile, values)
    usual = recorded.copy()
    if len(rows := np.flatnonzero(outages.outage.any(axis=1))):
        without = without_outages(values[rows], outages.outage[rows])
        usual[:, rows] = raw_shapes(without, timing, clock)
    raw = np.concatenate([usual, recorded[:1]])
    return extend(empty, averages, raw, values, outages), raw


def looked_back_at(timing: Timing) -> dict[str, int]:
    """Return how many of the last samples of each field `extend` needs."""
    lead = timing.middle
    lines = {
        "filled": max(lead, 2 * timing.shock_reach),
        "gains": lead,
        "shifts": lead,
        "weights": lead,
        **dict.fromkeys(("fall_age", "low_age", "sharp"), 1),
    }
    return {f.name: 0 for f in fields(Track)} | lines | {"values": timing.hour - 1}


def extend(track: Track, averages: Averages, raw: Block, values: Block, outages: Outages) -> Track:
    """Return the track with columns for the new samples ``values``, ``(items, time)``.

    Args:
        track: of the samples before, at least as long as `looked_back_at`.
        averages: after the samples before; they are updated.
        raw: the last columns of `raw_shapes` without outages, at least ``2 * reach + time``.
        values: the new samples.
        outages: among the new samples.
    """
    timing, count = track.timing, values.shape[1]
    daily = averages.mean("daily", values, timing.day)
    floor = np.fmax(SCALE_FLOOR * daily, MIN_QPS)
    longer = replace(
        track,
        values=np.concatenate([track.values, values], axis=1),
        filled=_filled(track.filled, values),
        profiles=_profiles(track, raw, count),
    )
    gains, shifts = _lines(longer, averages, daily, values)
    longer = replace(longer, gains=gains, shifts=shifts)
    weights, middle = _weights(longer, averages, floor, values)
    longer = replace(longer, weights=_joined(track.weights, weights))
    error_middle = values - _weighted(longer.weights, timing.middle, middle)
    size = np.abs(error_middle)
    scale = np.fmax(averages.mean("scale", size, timing.memory), floor)
    surprise = _surprise(longer.values, scale, timing)
    new = {
        "floor": floor,
        "scale": scale,
        "error_middle": error_middle,
        "error_next": values - longer.past_blend(1, count),
        "surprise": surprise,
        "rhythms": _rhythms(averages, surprise, timing),
        "shock": new_shocks(longer.filled, longer.values, scale, timing.shock_reach),
        "lively": np.stack(
            [averages.mean(f"lively {i}", size, span) for i, span in enumerate(timing.lively)]
        ),
        **vars(outages),
    }
    before = track.arrays()
    joined: dict[str, Any] = {name: _joined(before[name], array) for name, array in new.items()}
    return replace(longer, **joined)


def _joined(before: Block, new: Block) -> Block:
    return np.concatenate([before, new], axis=-1) if before.shape[-1] else new


def _room(before: Block, count: int) -> tuple[Block, Block]:
    """Return ``before`` with room for new columns, and that room."""
    whole = np.empty((*before.shape[:-1], before.shape[-1] + count), dtype=np.float32)
    whole[..., : before.shape[-1]] = before
    return whole, whole[..., before.shape[-1] :]


def _filled(before: Block, values: Block) -> Block:
    """Return the samples with the last known value in gaps."""
    whole, new = _room(before, values.shape[1])
    new[:] = values
    gaps = ~np.isfinite(values).all(axis=1)
    if gaps.any():
        whole[gaps] = smoothing.forward_fill(whole[gaps])
    return whole


def _profiles(track: Track, raw: Block, count: int) -> Block:
    """Return the daily and weekly profiles, up to ``prediction_length`` after the newest sample."""
    whole, new = _room(track.profiles, count)
    reach = track.timing.reach
    for profile, width in enumerate(track.timing.half_widths):
        shape = raw[RAW_OF_PROFILE[profile]]
        around = shape[:, shape.shape[1] - count - reach - width : shape.shape[1] - reach + width]
        new[profile] = smoothing.centred_mean(around, width)[:, width : width + count]
    return whole


def _lines(track: Track, averages: Averages, daily: Block, values: Block) -> tuple[Block, Block]:
    """Return every anchor's gain and shift, up to the newest sample."""
    count, ahead = values.shape[1], track.timing.prediction_length
    filled = track.filled[:, -count:]
    shapes = track.profiles[:, :, -count - ahead : -ahead]
    if (missing := np.isnan(values)).any():
        # A level and the level of its profile must be based on the same samples.
        shapes = np.where(missing, smoothing.NAN, shapes)
    floor = RATIO_FLOOR * daily + MIN_QPS
    levels = {span: averages.mean(f"level {span}", values, span) for span in (3, 10, 30)}
    levels[0] = filled
    raised = {span: level + floor for span, level in levels.items()}
    gains, gain = _room(track.gains, count)
    shifts, shift = _room(track.shifts, count)
    for k, span in enumerate(LEVEL_SPANS):
        shift[k] = np.where(np.isfinite(levels[span]), levels[span], filled)
    for s, (profile, span) in enumerate(SHAPED):
        k = len(LEVEL_SPANS) + s
        expected = averages.mean(f"expected {s}", shapes[profile], span)
        if s < len(SCALED):
            np.divide(raised[span], expected + floor, out=gain[s])
            np.multiply(gain[s] - 1, floor, out=shift[k])
        else:
            gain[s] = 1
            np.subtract(levels[span], expected, out=shift[k])
    return gains, shifts


def _weights(
    track: Track, averages: Averages, floor: Block, values: Block
) -> tuple[Block, list[Block]]:
    """Return the blend's weights by recent error, and the anchors' forecasts for the new samples.

    The weights, ``(anchors, items, time)``, are proportional to error ** -6 and sum to 1. The
    forecasts, one array per anchor, were made at the middle horizon.
    """
    lead, memory, count = track.timing.middle, track.timing.memory, values.shape[1]
    forecasts = [track.past_forecasts(k, lead, count) for k in range(ANCHOR_COUNT)]
    errors = np.empty((ANCHOR_COUNT, *values.shape), dtype=np.float32)
    for k in range(ANCHOR_COUNT):
        error = np.abs(values - forecasts[k])
        np.fmin(averages.mean(f"error {k}", error, memory), np.inf, out=errors[k])
    # Before any error is known, the last value (anchor 0) has all the weight.
    np.minimum(errors[0], np.finfo(np.float32).max, out=errors[0])
    best = np.fmax(errors.min(axis=0), floor)  # errors below the floor are equally good
    weights = errors  # computed in place and one by one, so that they stay in the cache
    total = np.zeros_like(best)
    for weight in weights:
        np.maximum(weight, best, out=weight)
        np.divide(best, weight, out=weight)
        cube = weight * weight * weight
        np.multiply(cube, cube, out=weight)  # the sixth power, ten times as fast as np.power
        total += weight
    weights /= total
    return weights, forecasts


def _weighted(weights: Block, lead: int, forecasts: list[Block]) -> Block:
    """Return the blend of forecasts made ``lead`` ahead, by the weights at that time."""
    count = forecasts[0].shape[1]
    total = np.zeros_like(forecasts[0])
    for k, one in enumerate(forecasts):
        total += weights[k, :, weights.shape[2] - count - lead : weights.shape[2] - lead] * one
    return total


def _surprise(values: Block, scale: Block, timing: Timing) -> Block:
    """Return the difference of each new sample from the mean of its trailing hour, clipped."""
    count, hour = scale.shape[1], timing.hour
    window = values[:, values.shape[1] - count - hour + 1 :]
    surprise = (window - smoothing.trailing_mean(window, hour))[:, hour - 1 :]
    most = CLIP * scale
    return np.asarray(np.clip(surprise, -most, most))


def _rhythms(averages: Averages, surprise: Block, timing: Timing) -> Block:
    """Return the mean of the earlier surprises in each new sample's slot of every rhythm."""
    rhythms = enumerate(zip(timing.periods, RHYTHMS, strict=True))
    means = [
        averages.slot_mean(f"rhythm {i}", surprise, period, span)
        for i, (period, (_, span)) in rhythms
    ]
    return np.stack(means)
