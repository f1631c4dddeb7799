"""The rules of the data-quality pass: what each repairs, refuses or notes, and its message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.quality import masks
from forecaster.data.quality.finding_log import FindingLog
from forecaster.data.quality.grid import SampleGrid, doubled_hour, lost_hour, runs, spacing, unit_of
from forecaster.data.quality.values import Action, RawSeries, Rule
from forecaster.data.series import FloatArray

RELATIVE_BEFORE = 10**8  # 1973; smaller stamps probably count from the start of a recording
MAX_SLOTS_PER_SAMPLE = 1_000  # a single wrong stamp must not cost gigabytes of memory


def check_clock(raw: RawSeries, log: FindingLog, now: datetime | None) -> None:
    """Refuse stamps that cannot be seconds since 1970 in the past."""
    if not len(raw.stamps):
        message = "has no samples; left out, until a span is fetched in which it existed"
        log.add_all(Rule.EMPTY, Action.LEFT_OUT, raw, message)
        return
    unit, factor = unit_of(raw.stamps)
    first, last = int(raw.stamps.min()), int(raw.stamps.max())
    if factor > 1:
        message = (
            f"stamps up to {last} are {unit} since 1970, but must be seconds; "
            f"divide them by {factor}"
        )
        log.add_all(Rule.CLOCK, Action.REFUSED, raw, message, factor)
    elif first < 0:
        message = f"stamps from {first} lie before 1970; convert them to UTC dates"
        log.add_all(Rule.CLOCK, Action.REFUSED, raw, message, max(1, -first // 10**9))
    elif now is not None and last > now.timestamp():
        message = (
            f"stamps run {timedelta(seconds=last - int(now.timestamp()))} past now "
            f"({now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}); if they are local time, name the zone "
            "(--timezone Europe/Berlin), else correct them or cut them off"
        )
        log.add_all(Rule.FUTURE, Action.REFUSED, raw, message)
    elif last < RELATIVE_BEFORE:
        message = (
            f"stamps end at {last} s after 1970; if they count from the start of a recording, "
            "the daily and weekly seasons are shifted"
        )
        log.add_all(Rule.CLOCK, Action.NOTED, raw, message)


def check_step(raw: RawSeries, log: FindingLog) -> None:
    """Refuse items whose spacing is not the common step, or whose span has too few samples."""
    distances = spacing(raw.stamps)
    if not len(distances):
        return
    near = np.abs(distances - log.seconds) <= log.seconds / 2
    if near.mean() < 0.1:
        own = round(float(np.median(distances)))
        message = (
            f"samples are {own} s apart, but the step is {log.seconds} s; all items need one "
            f"step: query this one with --step {log.seconds}s, or give --step {own}s"
        )
        log.add_all(Rule.STEP, Action.REFUSED, raw, message)
        return
    slots = int(distances.sum()) // log.seconds
    if slots > MAX_SLOTS_PER_SAMPLE * max(len(raw.stamps), 100):
        message = (
            f"{len(raw.stamps)} samples are spread over {slots} steps; "
            "a stamp far from the others is wrong: correct or remove it"
        )
        log.add_all(Rule.CLOCK, Action.REFUSED, raw, message)


def check_grid(raw: RawSeries, grid: SampleGrid, log: FindingLog) -> None:
    """Check the order, position and repetition of the stamps."""
    too_far = (
        f"{grid.too_far.sum()} stamps lie more than {log.rules.snap_within:g} of a step from "
        f"a grid of {log.seconds} s; give the true --step, or resample"
    )
    log.add(Rule.OFF_GRID, Action.REFUSED, grid.too_far, too_far)
    doubled = doubled_hour(grid, log.seconds)
    message = (
        "an hour occurs twice with different values, as when clocks are set back; the stamps are "
        "local time: write them in UTC, or name the zone (--timezone Europe/Berlin)"
    )
    log.add(Rule.DAYLIGHT, Action.REFUSED, doubled, message)
    lost = lost_hour(grid, log.seconds)
    message = "exactly the hour is missing by which clocks are set forward on such a Sunday"
    if raw.zone_assumed:
        message += (
            "; the stamps look like local time: name their zone (--timezone Europe/Berlin), "
            "or, if they are UTC and this was an outage, write them with a Z"
        )
    log.add(Rule.DAYLIGHT, Action.REFUSED if raw.zone_assumed else Action.NOTED, lost, message)
    _check_repeats(grid, log)
    backwards = int((np.diff(raw.stamps) < 0).sum())
    if backwards:
        message = f"stamps go back {backwards} times; sorted"
        log.add_all(Rule.UNORDERED, Action.REPAIRED, raw, message)
    message = f"{grid.moved.sum()} stamps are off the grid of {log.seconds} s; moved onto it"
    log.add(Rule.OFF_GRID, Action.REPAIRED, grid.moved, message)


def _check_repeats(grid: SampleGrid, log: FindingLog) -> None:
    same = f"{grid.repeated.sum()} stamps occur more than once with one value; one kept"
    log.add(Rule.DUPLICATE, Action.REPAIRED, grid.repeated, same)
    count = int(grid.conflicting.sum())
    found = f"{count} stamps occur more than once with different values"
    if count > max(1, log.rules.conflicts * grid.sampled.sum()):
        fix = (
            "; two series share this name: name them by a label that tells them apart, "
            "or add them up: sum by (...) (...)"
        )
        log.add(Rule.CONFLICT, Action.REFUSED, grid.conflicting, found + fix)
    else:
        fix = "; which is right is unknown, set missing"
        log.add(Rule.CONFLICT, Action.REPAIRED, grid.conflicting, found + fix)


def note_gaps(values: FloatArray, log: FindingLog) -> None:
    """Note the samples that are missing in the source, from the first known one on.

    They stay missing. That an item is younger than others is no gap.
    """
    missing = np.isnan(values)
    known = np.flatnonzero(~missing)
    missing[: known[0] if len(known) else len(missing)] = False
    gaps = runs(missing)
    if gaps:
        longest = max(end - begin for begin, end in gaps) * log.step
        message = (
            f"{missing.sum()} of {len(values)} samples missing in {len(gaps)} gaps, "
            f"the longest {longest}; kept missing"
        )
        log.add(Rule.GAP, Action.NOTED, missing, message)


def mask_implausible(values: FloatArray, log: FindingLog) -> None:
    """Set implausible samples missing, in place, until no rule finds any more."""
    rules, step = log.rules, log.step
    known = int(np.isfinite(values).sum())
    found, spared = (
        {rule: np.zeros(len(values), dtype=bool) for rule in IMPLAUSIBLE} for _ in range(2)
    )
    missing = -1
    while missing != (missing := int(np.isnan(values).sum())):
        for rule, (find, _) in IMPLAUSIBLE.items():
            hit = find(values, step, rules)[0]
            if (found[rule] | hit).sum() > rules.nearly_all * known:
                spared[rule] = hit
                continue
            found[rule] |= hit
            values[hit] = np.nan
    for rule, (find, what) in IMPLAUSIBLE.items():
        message = (
            f"{spared[rule].sum()} of {known} samples {what}, but little else is known; kept, "
            "mark them as a window if they are wrong"
        )
        log.add(rule, Action.NOTED, spared[rule], message)
        count = int(found[rule].sum())
        log.add(rule, Action.REPAIRED, found[rule], f"{count} samples {what}; set missing")
        kept = find(values, step, rules)[1]
        if kept.any():
            log.add(rule, Action.NOTED, kept, f"{kept.sum()} samples {KEPT[rule]}")


IMPLAUSIBLE = {
    Rule.SPIKE: (masks.spikes, "are far above their neighbours (a counter reset)"),
    Rule.FLAT: (masks.stuck, "repeat one value (a stuck exporter)"),
    Rule.AFTER_OUTAGE: (masks.after_outages, "just after an outage are falsely low"),
    Rule.BEFORE_OUTAGE: (masks.before_outages, "just before an outage are falsely low"),
}
KEPT = {
    Rule.SPIKE: (
        "are far above their neighbours, but last long enough for a flash crowd; kept, "
        "mark them as a window if they are counter resets"
    ),
    Rule.FLAT: "repeat one value in runs that recur (a floor or a cap); kept",
}


def rate_range(step: int) -> str:
    """Return the range of ``rate(...)`` in PromQL for a step in seconds.

    It is four steps, so that a missed scrape does not leave the range empty; and at least 5m, as
    less seldom covers four scrapes.

    >>> [rate_range(step) for step in (15, 60, 100, 900)]
    ['5m', '5m', '400s', '1h']
    """
    seconds = max(4 * step, 300)
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def check_values(values: FloatArray, log: FindingLog) -> None:
    """Refuse items with too few samples or raw counters; note constant ones."""
    known = np.isfinite(values)
    count, min_samples = int(known.sum()), log.rules.min_samples
    all_samples = np.ones(len(values), dtype=bool)
    if count < min_samples:
        message = (
            f"{count} known samples are too few, at least {min_samples} are needed; left out, "
            "until a longer span is fetched"
        )
        log.add(Rule.TOO_SHORT, Action.LEFT_OUT, all_samples, message)
    elif masks.is_counter(values, log.rules):
        message = (
            f"values only grow, from {values[known][0]:g} to {values[known][-1]:g}: a raw "
            f"counter; query its rate: rate(...[{rate_range(log.seconds)}])"
        )
        log.add(Rule.COUNTER, Action.REFUSED, all_samples, message)
    elif masks.is_constant(values):
        rule = Rule.CONSTANT if values[known][0] else Rule.ALL_ZERO
        message = f"all {count} known samples are {values[known][0]:g}; kept"
        log.add(rule, Action.NOTED, known, message)
