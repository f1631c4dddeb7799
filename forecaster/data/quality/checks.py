"""What each rule says and does: repaired, refused or noted, in words that name the fix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.quality import masks
from forecaster.data.quality.grid import SampleGrid, doubled_hour, lost_hour, runs, spacing, unit_of
from forecaster.data.quality.sheet import Sheet
from forecaster.data.quality.values import Action, RawSeries, Rule
from forecaster.data.series import FloatArray

RELATIVE_BEFORE = 10**8  # 1973: smaller stamps count from the start of a recording
MAX_SLOTS_PER_SAMPLE = 1_000  # a single stray stamp must not cost gigabytes


def check_clock(raw: RawSeries, sheet: Sheet, now: datetime | None) -> None:
    """Refuse stamps that cannot be seconds of the past."""
    if not len(raw.stamps):
        message = "has no samples; leave it out, or fetch a span in which it existed"
        sheet.add_all(Rule.EMPTY, Action.REFUSED, raw, message)
        return
    unit, factor = unit_of(raw.stamps)
    first, last = int(raw.stamps.min()), int(raw.stamps.max())
    if factor > 1:
        message = (
            f"stamps up to {last} are {unit} since 1970, but must be seconds; "
            f"divide them by {factor}"
        )
        sheet.add_all(Rule.CLOCK, Action.REFUSED, raw, message, factor)
    elif first < 0:
        message = f"stamps from {first} lie before 1970; convert them to UTC dates"
        sheet.add_all(Rule.CLOCK, Action.REFUSED, raw, message, max(1, -first // 10**9))
    elif now is not None and last > now.timestamp():
        message = (
            f"stamps run {timedelta(seconds=last - int(now.timestamp()))} past now "
            f"({now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}); if they are local time, name the zone "
            "(--timezone Europe/Berlin), else correct them or cut them off"
        )
        sheet.add_all(Rule.FUTURE, Action.REFUSED, raw, message)
    elif last < RELATIVE_BEFORE:
        message = f"stamps end at {last} s after 1970: counted from a start? Seasons may be shifted"
        sheet.add_all(Rule.CLOCK, Action.NOTED, raw, message)


def check_step(raw: RawSeries, sheet: Sheet) -> None:
    """Refuse samples with a spacing of their own, and spans too wide for their samples."""
    distances = spacing(raw.stamps)
    if not len(distances):
        return
    near = np.abs(distances - sheet.seconds) <= sheet.seconds / 2
    if near.mean() < 0.1:
        own = round(float(np.median(distances)))
        message = (
            f"samples are {own} s apart, but the step is {sheet.seconds} s; all items need one "
            f"step: query this one with --step {sheet.seconds}s, or give --step {own}s"
        )
        sheet.add_all(Rule.STEP, Action.REFUSED, raw, message)
        return
    slots = int(distances.sum()) // sheet.seconds
    if slots > MAX_SLOTS_PER_SAMPLE * max(len(raw.stamps), 100):
        message = (
            f"{len(raw.stamps)} samples are spread over {slots} steps; "
            "a stamp far from the others is wrong: correct or remove it"
        )
        sheet.add_all(Rule.CLOCK, Action.REFUSED, raw, message)


def check_grid(raw: RawSeries, grid: SampleGrid, sheet: Sheet) -> None:
    """Judge order, position and repetition of the stamps."""
    strayed = (
        f"{grid.strayed.sum()} stamps lie more than {sheet.rules.snap_within:g} of a step from "
        f"a grid of {sheet.seconds} s; give the true --step, or resample"
    )
    sheet.add(Rule.OFF_GRID, Action.REFUSED, grid.strayed, strayed)
    doubled = doubled_hour(grid, sheet.seconds)
    message = (
        "an hour occurs twice with different values, as when clocks are set back; the stamps are "
        "local time: write them in UTC, or name the zone (--timezone Europe/Berlin)"
    )
    sheet.add(Rule.DAYLIGHT, Action.REFUSED, doubled, message)
    lost = lost_hour(grid, sheet.seconds)
    message = "exactly the hour is missing by which clocks are set forward on such a Sunday"
    if raw.zone_assumed:
        message += (
            "; the stamps look like local time: name their zone (--timezone Europe/Berlin), "
            "or, if they are UTC and this was an outage, write them with a Z"
        )
    sheet.add(Rule.DAYLIGHT, Action.REFUSED if raw.zone_assumed else Action.NOTED, lost, message)
    _check_repeats(grid, sheet)
    backwards = int((np.diff(raw.stamps) < 0).sum())
    if backwards:
        message = f"stamps go back {backwards} times; sorted"
        sheet.add_all(Rule.UNORDERED, Action.REPAIRED, raw, message)
    message = f"{grid.moved.sum()} stamps are off the grid of {sheet.seconds} s; moved onto it"
    sheet.add(Rule.OFF_GRID, Action.REPAIRED, grid.moved, message)


def _check_repeats(grid: SampleGrid, sheet: Sheet) -> None:
    same = f"{grid.repeated.sum()} stamps occur more than once with one value; one kept"
    sheet.add(Rule.DUPLICATE, Action.REPAIRED, grid.repeated, same)
    count = int(grid.conflicting.sum())
    found = f"{count} stamps occur more than once with different values"
    if count > max(1, sheet.rules.conflicts * grid.sampled.sum()):
        fix = (
            "; two series share this name: name them by a label that tells them apart, "
            "or add them up: sum by (...) (...)"
        )
        sheet.add(Rule.CONFLICT, Action.REFUSED, grid.conflicting, found + fix)
    else:
        fix = "; which is right is unknown, set missing"
        sheet.add(Rule.CONFLICT, Action.REPAIRED, grid.conflicting, found + fix)


def note_gaps(values: FloatArray, sheet: Sheet) -> None:
    """Note what the source does not have; it stays missing."""
    missing = np.isnan(values)
    gaps = runs(missing)
    if gaps:
        longest = max(end - begin for begin, end in gaps) * sheet.step
        message = (
            f"{missing.sum()} of {len(values)} samples missing in {len(gaps)} gaps, "
            f"the longest {longest}; kept missing"
        )
        sheet.add(Rule.GAP, Action.NOTED, missing, message)


def mask_implausible(values: FloatArray, sheet: Sheet) -> None:
    """Set samples that cannot be traffic missing, in place, until no rule finds any more."""
    rules, step = sheet.rules, sheet.step
    found = {rule: np.zeros(len(values), dtype=bool) for rule in IMPLAUSIBLE}
    missing = -1
    while missing != (missing := int(np.isnan(values).sum())):
        for rule, (find, _) in IMPLAUSIBLE.items():
            hit = find(values, step, rules)[0]
            found[rule] |= hit
            values[hit] = np.nan
    for rule, (find, what) in IMPLAUSIBLE.items():
        count = int(found[rule].sum())
        sheet.add(rule, Action.REPAIRED, found[rule], f"{count} samples {what}; set missing")
        kept = find(values, step, rules)[1]
        if kept.any():
            sheet.add(rule, Action.NOTED, kept, f"{kept.sum()} samples {KEPT[rule]}")


IMPLAUSIBLE = {
    Rule.SPIKE: (masks.spikes, "tower over their neighbours (a counter reset)"),
    Rule.FLAT: (masks.stuck, "repeat one value (a stuck exporter)"),
    Rule.AFTER_OUTAGE: (masks.after_outages, "just after an outage are falsely low"),
}
KEPT = {
    Rule.SPIKE: (
        "tower over their neighbours, but last long enough for a flash crowd; kept, "
        "mark them as a window if they are counter resets"
    ),
    Rule.FLAT: "repeat one value in runs that recur (a floor or a cap); kept",
}


def rate_range(step: int) -> str:
    """Return a range for ``rate(...)`` as PromQL writes it, for a step in seconds.

    Four steps, so that one missed scrape does not leave it empty; less than 5m is seldom four
    scrapes.

    >>> [rate_range(step) for step in (15, 60, 100, 900)]
    ['5m', '5m', '400s', '1h']
    """
    seconds = max(4 * step, 300)
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def judge(values: FloatArray, sheet: Sheet) -> None:
    """Refuse what is no traffic or too little of it; note what is constant."""
    known = np.isfinite(values)
    count, least = int(known.sum()), sheet.rules.min_samples
    everything = np.ones(len(values), dtype=bool)
    if count < least:
        message = (
            f"{count} known samples are too few, at least {least} are needed; "
            "fetch a longer span, or leave the item out"
        )
        sheet.add(Rule.TOO_SHORT, Action.REFUSED, everything, message)
    elif masks.is_counter(values, sheet.rules):
        message = (
            f"values only grow, from {values[known][0]:g} to {values[known][-1]:g}: a raw "
            f"counter; query its rate: rate(...[{rate_range(sheet.seconds)}])"
        )
        sheet.add(Rule.COUNTER, Action.REFUSED, everything, message)
    elif masks.is_constant(values):
        rule = Rule.CONSTANT if values[known][0] else Rule.ALL_ZERO
        message = f"all {count} known samples are {values[known][0]:g}; kept"
        sheet.add(rule, Action.NOTED, known, message)
