"""Masks of implausible samples on a grid, by one function per rule.

Each rule returns two masks: the samples to set missing, and suspicious samples that are kept.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from forecaster.data.quality.grid import HOUR, BoolArray, runs
from forecaster.data.quality.values import QualityRules, StampArray
from forecaster.data.series import FloatArray

SPIKE_SAMPLES = 2  # a spike has at most so many samples
SURROUNDINGS = 15  # samples on each side that a spike is compared with
FOLLOWING = 3  # known samples needed after a sample to judge it
POISSON_SIGMAS = 3.0  # standard deviations of a Poisson count that chance explains


def is_counter(values: FloatArray, rules: QualityRules) -> bool:
    """Return whether the values only grow, apart from resets: a counter without ``rate()``."""
    changes = np.diff(values[np.isfinite(values)])
    changes = changes[changes != 0]
    return len(changes) >= rules.counter_changes and bool((changes < 0).sum() * 50 <= len(changes))


def spikes(values: FloatArray, step: timedelta, rules: QualityRules) -> tuple[BoolArray, BoolArray]:
    """Find isolated spikes of one or two samples that are far above their surroundings.

    A spike that recurs at the same minute of the hour (a scheduled job) does not count, and a flash
    crowd is not isolated. Spikes at the edge of a gap or of the data are left, since their
    surroundings are not known. Spikes longer than ``spike_longest`` are kept.
    """
    removed, kept = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    high = values > spike_level(values, rules)
    isolated = [
        (begin, end)
        for begin, end in runs(high)
        if end - begin <= SPIKE_SAMPLES and _is_isolated(values, begin, end, rules.spike_ratio)
    ]
    peaks = np.array([values[begin:end].max() for begin, end in isolated])
    starts = np.array([begin for begin, _ in isolated], dtype=np.int64)
    for (begin, end), recurs in zip(isolated, _recurring(starts, peaks, step), strict=True):
        if not recurs:
            (removed if (end - begin) * step <= rules.spike_longest else kept)[begin:end] = True
    return removed, kept


def spike_level(values: FloatArray, rules: QualityRules) -> float:
    """Return the QPS above which a sample is a spike, if it is isolated; inf: none is.

    >>> spike_level(np.array([0.0, np.nan, 90.0, 100.0]), QualityRules())
    1800.0
    """
    positive = values[values > 0]
    if not len(positive):
        return math.inf
    rank = int(0.95 * (len(positive) - 1))  # the quantile "lower", without what np.quantile costs
    normal_high = float(np.partition(positive, rank)[rank])
    return max(rules.spike_ratio * normal_high, rules.spike_floor_qps)


def ending_spike(values: FloatArray, rules: QualityRules) -> BoolArray:
    """Find a spike of one or two samples with which the data ends.

    Whether it is a flash crowd only shows after it, so `spikes` leaves it.
    """
    high = values > spike_level(values, rules)
    begin, end = next(iter(runs(high)[-1:]), (0, 0))
    found = np.zeros(len(values), dtype=bool)
    if end == len(values) and end - begin <= SPIKE_SAMPLES:
        found[begin:end] = True
    return found


def _is_isolated(values: FloatArray, begin: int, end: int, ratio: float) -> bool:
    """Return whether a run is ``ratio`` times above its neighbours and its surroundings."""
    allowed = values[begin:end].min() / ratio
    for side in (values[max(begin - SURROUNDINGS, 0) : begin][::-1], values[end:][:SURROUNDINGS]):
        known = side[np.isfinite(side)]
        if not len(known) or known[:2].max() >= allowed or np.median(known) >= allowed:
            return False
    return True


def _recurring(starts: StampArray, peaks: FloatArray, step: timedelta) -> BoolArray:
    """Return which spikes have two others of similar height at the same minute of the hour."""
    seconds = int(step.total_seconds())
    if HOUR % seconds or 10 * seconds > HOUR:
        return np.zeros(len(starts), dtype=bool)
    like = np.zeros(len(starts), dtype=bool)
    for i, (start, peak) in enumerate(zip(starts, peaks, strict=True)):
        apart = (starts - start) * seconds % HOUR
        in_phase = np.minimum(apart, HOUR - apart) <= seconds
        like[i] = (in_phase & (peaks >= peak / 2) & (peaks <= peak * 2)).sum() >= 3
    return like


def stuck(values: FloatArray, step: timedelta, rules: QualityRules) -> tuple[BoolArray, BoolArray]:
    """Find long runs of one non-zero value; those of a value that recurs are kept.

    A stuck exporter repeats its last value, while a floor or a cap of the service recurs. A
    constant series is left to the caller.
    """
    removed, kept = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    if is_constant(values):
        return removed, kept
    same = np.concatenate(([False], (values[1:] == values[:-1]) & (values[1:] > 0)))
    longest = max(rules.flat_samples, -(-rules.flat_time // step))
    flat = [(begin - 1, end) for begin, end in runs(same) if end - begin + 1 >= longest]
    levels, counts = np.unique([values[begin] for begin, _ in flat], return_counts=True)
    recurring = set(levels[counts >= rules.flat_recurs].tolist())
    for begin, end in flat:
        (kept if values[begin] in recurring else removed)[begin:end] = True
    return removed, kept


def is_constant(values: FloatArray) -> bool:
    """Return whether all known samples have the same value."""
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool((known == known[0]).all())


def after_outages(
    values: FloatArray, step: timedelta, rules: QualityRules
) -> tuple[BoolArray, BoolArray]:
    """Find the falsely low samples that follow an outage, up to the first plausible one.

    ``rate()`` over a range that reaches back into the outage counts too few requests. A sample is
    falsely low if it is below ``low_ratio`` of the median of the two ranges after it, and chance
    does not explain that.
    """
    low, kept = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    if step > rules.rate_window:
        return low, kept
    outage = max(-(-rules.outage // step), 2)  # a single missing sample is not an outage
    reach = max(2 * (rules.rate_window // step), FOLLOWING)
    seconds = step.total_seconds()
    for begin, end in runs(np.isnan(values)):
        if begin == 0 or end - begin < outage:
            continue
        for i in range(end, len(values)):
            following = values[i + 1 : i + 1 + reach]
            following = following[np.isfinite(following)]
            if np.isnan(values[i]) or len(following) < FOLLOWING:
                break
            median = float(np.median(following))
            chance = POISSON_SIGMAS * np.sqrt(median / seconds)
            if values[i] >= min(rules.low_ratio * median, median - chance):
                break
            low[i] = True
    return low, kept


def before_outages(
    values: FloatArray, step: timedelta, rules: QualityRules
) -> tuple[BoolArray, BoolArray]:
    """Find the falsely low samples that precede an outage, from the last plausible one on.

    Where scraping stops, ``rate()`` falls over the length of its range before it is gone. The rule
    is that of `after_outages`, backwards.
    """
    low, kept = after_outages(values[::-1], step, rules)
    return low[::-1], kept[::-1]
