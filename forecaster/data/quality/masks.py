"""Which samples on a grid cannot be traffic: one function per rule, each returning a mask.

Each rule returns two masks: samples to be set missing, and remarkable ones that are kept.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from forecaster.data.quality.grid import HOUR, BoolArray, runs
from forecaster.data.quality.values import QualityRules, StampArray
from forecaster.data.series import FloatArray

SPIKE_SAMPLES = 2
SURROUNDINGS = 15
FOLLOWING = 3
# Three standard deviations of a Poisson count: chance alone stays within them.
POISSON_SIGMAS = 3.0


def is_counter(values: FloatArray, rules: QualityRules) -> bool:
    """Say whether the values only ever grow, apart from resets: a counter without ``rate()``."""
    changes = np.diff(values[np.isfinite(values)])
    changes = changes[changes != 0]
    return len(changes) >= rules.counter_changes and bool((changes < 0).sum() * 50 <= len(changes))


def spikes(values: FloatArray, step: timedelta, rules: QualityRules) -> tuple[BoolArray, BoolArray]:
    """Find isolated spikes of one or two samples, far above all around them.

    A spike that recurs at the same minute of the hour (a scheduled job) is none, and a flash
    crowd has neighbours of its own kind. Spikes at the edge of a gap or of the data are left,
    since what comes after them is not known; spikes longer than ``spike_longest`` are kept.
    """
    removed, kept = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    positive = values[values > 0]
    if not len(positive):
        return removed, kept
    usual = float(np.quantile(positive, 0.95, method="lower"))
    high = values > max(rules.spike_ratio * usual, rules.spike_floor_qps)
    isolated = [
        (begin, end)
        for begin, end in runs(high)
        if end - begin <= SPIKE_SAMPLES and _towers(values, begin, end, rules.spike_ratio)
    ]
    peaks = np.array([values[begin:end].max() for begin, end in isolated])
    starts = np.array([begin for begin, _ in isolated], dtype=np.int64)
    for (begin, end), recurs in zip(isolated, _recurring(starts, peaks, step), strict=True):
        if not recurs:
            (removed if (end - begin) * step <= rules.spike_longest else kept)[begin:end] = True
    return removed, kept


def _towers(values: FloatArray, begin: int, end: int, ratio: float) -> bool:
    """Say whether the run is ``ratio`` times above its neighbours and their surroundings."""
    allowed = values[begin:end].min() / ratio
    for side in (values[max(begin - SURROUNDINGS, 0) : begin][::-1], values[end:][:SURROUNDINGS]):
        known = side[np.isfinite(side)]
        if not len(known) or known[:2].max() >= allowed or np.median(known) >= allowed:
            return False
    return True


def _recurring(starts: StampArray, peaks: FloatArray, step: timedelta) -> BoolArray:
    """Return which spikes have two others of like height at the same time of the hour."""
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
    """Find long runs of one non-zero value; those that recur are kept.

    A stuck exporter repeats whatever it saw last; a floor or a cap of the service comes back.
    A series that never changes is left to the caller.
    """
    once, again = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    if is_constant(values):
        return once, again
    same = np.concatenate(([False], (values[1:] == values[:-1]) & (values[1:] > 0)))
    longest = max(rules.flat_samples, -(-rules.flat_time // step))
    flat = [(begin - 1, end) for begin, end in runs(same) if end - begin + 1 >= longest]
    levels, counts = np.unique([values[begin] for begin, _ in flat], return_counts=True)
    recurring = set(levels[counts >= rules.flat_recurs].tolist())
    for begin, end in flat:
        (again if values[begin] in recurring else once)[begin:end] = True
    return once, again


def is_constant(values: FloatArray) -> bool:
    """Say whether all known samples have one value."""
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool((known == known[0]).all())


def after_outages(
    values: FloatArray, step: timedelta, rules: QualityRules
) -> tuple[BoolArray, BoolArray]:
    """Find the falsely low samples that follow an outage, up to the first plausible one.

    ``rate()`` over a window that reaches back into the outage sees too few requests. A sample is
    falsely low below ``low_ratio`` of the median of the two windows after it, where chance does
    not explain it.
    """
    low, kept = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    if step > rules.rate_window:
        return low, kept
    outage = max(-(-rules.outage // step), 2)  # one lost sample is no outage
    reach = max(2 * (rules.rate_window // step), FOLLOWING)
    seconds = step.total_seconds()
    for begin, end in runs(np.isnan(values)):
        if begin == 0 or end - begin < outage:
            continue
        for i in range(end, len(values)):
            ahead = values[i + 1 : i + 1 + reach]
            ahead = ahead[np.isfinite(ahead)]
            if np.isnan(values[i]) or len(ahead) < FOLLOWING:
                break
            usual = float(np.median(ahead))
            chance = POISSON_SIGMAS * np.sqrt(usual / seconds)
            if values[i] >= min(rules.low_ratio * usual, usual - chance):
                break
            low[i] = True
    return low, kept
