"""Whether the demand that is measured can be what is offered.

It is judged by the rules of training (`forecaster.data.quality`), by what was usual of late, and by
a witness: what gateways report that they are offered. Both move together, though gateways may see
only a part of the traffic.

Rules of this file:

* Demand that is doubted may raise a plan and never lowers one. Its samples are no history.
* A doubt ends where demand is usual again, and after a while in any case: then what is measured is
  believed, and what is usual is learned anew.
* What the policy marks is doubted: what was usual before is the least that is offered. A mark that
  lasts for longer than a day is ignored, for a service that is always marked has no forecast.
* Reports are what others say. All that they can do is to keep a plan for a day at most at demand
  that was really there, and to keep half an hour of samples, less than a forecast reaches, out of
  the history. They never raise a plan, and never keep one from being raised.

Times are seconds since the epoch; demand is in requests per second (QPS); unknown is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median

import numpy as np
import numpy.typing as npt

from forecaster.data.quality.masks import POISSON_SIGMAS, stuck
from forecaster.data.series import FloatArray
from scaler.decision.days import DAY_S
from scaler.decision.wariness import RULES, DemandReading, Doubt, DoubtReason, Wariness

SPIKE_S = RULES.spike_longest.total_seconds()
# Demand has left what is usual by the first factor, and has come back within the second, which is
# also what it may differ from reports by: noise of a fifth stays below it. A pair of scrapers that
# is counted twice, or half of the targets gone, are beyond both.
LEFT, BACK = 1.6, 1.3
RISES = {DoubtReason.SPIKE, DoubtReason.JUMP}
# A doubt that lasts longer is over: what is measured is believed.
LONGEST_S = {
    DoubtReason.SPIKE: SPIKE_S,
    DoubtReason.JUMP: 1800.0,
    DoubtReason.FALL: DAY_S,
    DoubtReason.STUCK: DAY_S,
    DoubtReason.MARKED: DAY_S,
}


@dataclass(frozen=True, slots=True)
class DoubtedDemand:
    """What is made of demand that is doubted.

    Attributes:
        least_qps: at least so much is taken to be offered.
        message: for a person: the value, what is usual, what reports say.
    """

    reason: DoubtReason
    least_qps: float
    message: str


Samples = tuple[tuple[float, float], ...]


def judged(
    reading: DemandReading, before: Wariness, now: float, step_s: float, tick_s: float
) -> tuple[DoubtedDemand | None, Samples, Wariness]:
    """Return what is doubted, the samples with NaN for what is, and what to judge by next.

    Args:
        reading: of this tick.
        before: what the tick before has returned.
        now: of the tick.
        step_s: between two samples.
        tick_s: between two ticks.
    """
    wary, qps = before.with_news(reading, now), reading.measured_qps
    marked = bool(reading.marks) and not lasts_too_long(wary, now)
    if marked:
        reading = replace(reading, samples=_without_marked(reading, step_s))
    doubt = _doubt(reading, wary, now, step_s)
    if doubt is not None and now - doubt.since > LONGEST_S[doubt.reason] and not math.isnan(qps):
        wary, doubt = wary.afresh(doubt.reason), None
    spike_qps = math.inf if qps > wary.spike_qps else wary.spike_qps
    samples = tuple(
        (at, math.nan if doubt is not None or one > spike_qps else one)
        for at, one in reading.samples
    )
    if doubt is not wary.doubt:
        wary = replace(wary, doubt=doubt)
    wary = wary.with_samples([one for _, one in samples])
    if marked and (doubt is None or doubt.reason not in RISES):
        return None if math.isnan(qps) else _marked(qps, wary), samples, wary
    if doubt is None:
        return None, samples, wary.with_ratio(reading, tick_s)
    return None if math.isnan(qps) else _doubted(qps, doubt, wary, now), samples, wary


def lasts_too_long(wary: Wariness, now: float) -> bool:
    """Whether all has been marked for so long that marks are ignored."""
    return now - wary.marked_since > LONGEST_S[DoubtReason.MARKED]


def marked_for(marks: FloatArray, step_s: float) -> FloatArray:
    """Return for how many seconds each sample of a past has been marked; NaN: it is not.

    >>> marked_for(np.array([math.nan, 1.0, 2.0, 0.0]), 60.0).tolist()
    [nan, 0.0, 60.0, nan]
    """
    marked, places = marks > 0, np.arange(len(marks))
    begins = np.maximum.accumulate(np.where(marked, 0, places + 1))
    return np.where(marked, (places - begins) * step_s, np.nan)


def is_heeded(marked_s: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which samples are left out, as while running, by `marked_for` them."""
    return marked_s <= LONGEST_S[DoubtReason.MARKED]


def _without_marked(reading: DemandReading, step_s: float) -> Samples:
    """Return the samples of a tick; one in whose step a mark lies is NaN."""
    return tuple(
        (at, math.nan if any(at - step_s < mark <= at for mark in reading.marks) else qps)
        for at, qps in reading.samples
    )


def _marked(qps: float, wary: Wariness) -> DoubtedDemand:
    """Return what is made of marked demand: what was usual before is the least that is offered."""
    message = "demand.maskQuery marks this moment: demand may raise a plan, not lower it"
    return DoubtedDemand(DoubtReason.MARKED, max(qps, wary.usual_qps), message)


def _doubt(reading: DemandReading, wary: Wariness, now: float, step_s: float) -> Doubt | None:
    """Return the doubt that goes on or begins; None: demand is believed."""
    last, qps = wary.doubt, reading.measured_qps
    if math.isnan(qps):
        return last
    reason = _reason(reading, wary, step_s)
    if reason is None:
        return None
    if last is not None and (last.reason is reason or {last.reason, reason} == RISES):
        return replace(last, reason=reason)
    return Doubt(reason, now, wary.usual_qps)


def _reason(reading: DemandReading, wary: Wariness, step_s: float) -> DoubtReason | None:
    """Return why demand is doubted; None: it is not.

    Reports move first. So a doubt begins where demand has left all that was reported of late, and
    ends where it is back at the middle of it: a gateway may be away for a moment.
    """
    qps, last = reading.measured_qps, None if wary.doubt is None else wary.doubt.reason
    usual = wary.usual_qps if wary.doubt is None else wary.doubt.usual_qps
    of, factor = (median, BACK) if last is DoubtReason.FALL else (min, LEFT)
    if is_below(qps, usual, factor, step_s) and is_below(
        qps, wary.least_ratio * wary.reported_qps(of), BACK, step_s
    ):
        return DoubtReason.FALL
    of, factor = (median, BACK) if last is DoubtReason.JUMP else (max, LEFT)
    most = wary.ratio * wary.reported_qps(of)
    # Who sees only a part of the traffic cannot deny a rise.
    denied = wary.ratio <= BACK and _is_above(qps, most, BACK, step_s)
    if denied and _is_above(qps, usual, factor, step_s):
        return DoubtReason.JUMP
    if _is_stuck(reading, wary, step_s):
        return DoubtReason.STUCK
    agreed = qps <= LEFT * most
    return DoubtReason.SPIKE if qps > wary.spike_qps and not agreed else None


def is_below(qps: float, level: float, factor: float, step_s: float) -> bool:
    """Whether demand is that much below a level, and chance does not explain it."""
    return qps < min(level / factor, level - POISSON_SIGMAS * math.sqrt(level / step_s))


def _is_above(qps: float, level: float, factor: float, step_s: float) -> bool:
    return qps > max(level * factor, level + POISSON_SIGMAS * math.sqrt(level / step_s))


def _is_stuck(reading: DemandReading, wary: Wariness, step_s: float) -> bool:
    """Whether the latest samples repeat one value for longer than a service's demand does.

    As for spikes, small counts are left: a probe each ten seconds is 0.1 QPS for hours.
    """
    qps = wary.repeated_qps
    if qps != reading.measured_qps or qps < RULES.spike_floor_qps:
        return False
    if wary.doubt is not None and wary.doubt.reason is DoubtReason.STUCK:
        return True
    if wary.repeats < RULES.flat_samples or not reading.samples:
        return False
    values = np.append(wary.values, [one for _, one in reading.samples])
    return bool(stuck(values, timedelta(seconds=step_s), RULES)[0][-1])


def _doubted(qps: float, doubt: Doubt, wary: Wariness, now: float) -> DoubtedDemand:
    reported = wary.reported_qps(median)
    measured, usual = f"{_told(qps)} requests per second are measured", _told(doubt.usual_qps)
    said = f"gateways report {_told(reported)}"
    if doubt.reason is DoubtReason.FALL:
        least = max(qps, min(doubt.usual_qps, wary.least_ratio * reported))
        message = f"{measured}, {usual} are usual, {said}; the plan does not follow the fall"
        return DoubtedDemand(doubt.reason, least, message)
    if doubt.reason is DoubtReason.STUCK:
        message = f"{measured}, the same all the time, as by an exporter that hangs; it may raise a"
        return DoubtedDemand(doubt.reason, qps, f"{message} plan, not lower it")
    least, what = qps, "it may raise a plan, but is no history"
    if now - doubt.since <= SPIKE_S and qps > wary.spike_qps:
        least, what = wary.spike_qps, f"{_told(wary.spike_qps)} are taken for {SPIKE_S:.0f} s"
    says = f", {said}" if doubt.reason is DoubtReason.JUMP else ""
    return DoubtedDemand(doubt.reason, least, f"{measured}, {usual} are usual{says}; {what}")


def _told(qps: float) -> str:
    """Return a rate for a person. Of two digits, for a condition is written where it changes.

    >>> _told(1_234_567.0), _told(0.123)
    ('1,200,000', '0.12')
    """
    return f"{float(f'{qps:.2g}'):,.9g}"
