"""What the forecast would have said, and how far it would have been trusted, at each tick.

The demand of a recorded service does not depend on the replicas it had, so what is foreseen can be
worked out for the whole replay before any contender runs. Each row of the forecast has seen nothing
after its origin; a tick reads the newest row whose sample had been collected by then, and trust
rests on outcomes that were complete by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from forecaster.data.series import FloatArray, Forecast
from scaler.decision.demand import LeadDemand
from scaler.decision.lead_demand import StepRange, peak_over, step_range, steps_in
from scaler.decision.quantiles import PeakDistribution, quantile_at, surprisals
from scaler.decision.trust import (
    ForecastOutcome,
    Standing,
    Trust,
    TrustRules,
    initial_trust,
    updated_trust,
)

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class LoopTiming:
    """The clock of a replay, in seconds.

    Attributes:
        start: first tick; since the epoch.
        tick_s: between ticks.
        ticks: how many.
        delay_s: until a sample has been collected.
    """

    start: float
    ticks: int
    tick_s: float = 15.0
    delay_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Reach:
    """How far ahead is looked.

    Attributes:
        lead_s: until a replica that is asked for now is warm.
        payback_s: beyond that, until it would have paid for its start.
    """

    lead_s: float
    payback_s: float


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What there was to act on at each tick, and the trust after each row of the forecast.

    ``columns`` are the fields of `LeadDemand`, each ``(ticks,)``.
    """

    columns: tuple[FloatArray, ...] = field(repr=False)
    trust: tuple[Trust, ...] = field(repr=False)

    def ahead(self) -> list[LeadDemand]:
        """Return what there was to act on, tick by tick."""
        *figures, trusted = (column.tolist() for column in self.columns)
        return list(map(LeadDemand, *figures, map(bool, trusted)))

    @property
    def benched_share(self) -> float:
        """Share of the time in which the model was benched."""
        return float(np.mean([trust.standing is Standing.BENCHED for trust in self.trust]))

    @property
    def coverage(self) -> float:
        """Share of lead times whose largest demand stayed within what was foreseen."""
        return float(np.mean([trust.coverage for trust in self.trust]))


def rehearse(
    forecast: Forecast, happened: FloatArray, timing: LoopTiming, reach: Reach, rules: TrustRules
) -> Rehearsal:
    """Return what the forecast would have said at each tick.

    Args:
        forecast: rows are consecutive origins, one step apart.
        happened: QPS of the sample at each origin, ``(rows,)``; NaN where unknown.
        timing: the ticks; the first has a row that was collected by then.
        reach: how far ahead is looked.
        rules: when the forecast is believed.
    """
    step_s = forecast.step.total_seconds()
    first = forecast.origins[0].timestamp()
    nows = timing.start + timing.tick_s * np.arange(timing.ticks)
    rows = ((nows - timing.delay_s - first) // step_s).astype(np.int64)
    if rows[0] < 0:
        raise ValueError(
            f"the first tick is at {nows[0]:.0f}, but no forecast was collected by then"
        )
    rows = np.minimum(rows, len(forecast.origins) - 1)
    ages = nows - (first + step_s * rows)
    trust = _trusted(forecast, happened, timing, reach, rules)
    levels = np.array([t.level for t in trust])
    thetas = np.array([t.theta for t in trust])
    lead, hold, usual = (np.full(timing.ticks, np.nan) for _ in range(3))
    said: dict[StepRange, FloatArray] = {}  # ticks of a minute share their spans
    for age in np.unique(ages):
        at = np.flatnonzero(ages == age)
        row = rows[at]
        for out, length in ((lead, reach.lead_s), (hold, reach.lead_s + reach.payback_s)):
            span = step_range(float(age), length, step_s, forecast.prediction_length)
            if span not in said:
                said[span] = peak_over(forecast, span).quantile(levels, thetas)
            out[at] = said[span][row]
        span = step_range(float(age), reach.lead_s, step_s, forecast.prediction_length)
        middle = quantile_at(steps_in(forecast, span), forecast.quantile_levels, MEDIAN)
        usual[at] = middle.max(axis=1)[row]
    benched = np.array([t.standing is Standing.BENCHED for t in trust])[rows]
    margin = np.array([t.margin for t in trust])[rows]
    return Rehearsal((lead, hold, usual, margin, (~benched).astype(np.float64)), tuple(trust))


def _trusted(
    forecast: Forecast, happened: FloatArray, timing: LoopTiming, reach: Reach, rules: TrustRules
) -> list[Trust]:
    """Return the trust with which each row is read, from outcomes complete when it was made."""
    step_s = forecast.step.total_seconds()
    span = step_range(timing.delay_s, reach.lead_s, step_s, forecast.prediction_length)
    values = steps_in(forecast, span)
    maximum = peak_over(forecast, span)
    # Row r foretells the samples r + 1 + first ... r + 1 + last.
    padded = np.concatenate([happened, np.full(span.last + 1, np.nan)])
    after = np.stack(
        [padded[1 + h : 1 + h + len(happened)] for h in range(span.first, span.last + 1)], axis=1
    )
    surprise = surprisals(values, forecast.quantile_levels, after).tolist()
    largest, last = after.max(axis=1).tolist(), happened.tolist()
    trust = initial_trust(rules, span.steps)
    result: list[Trust] = []
    foreseen: list[float] = []
    judgement: list[float] = []
    for row in range(len(happened)):
        due = row - span.last - 1
        if due >= 0:
            outcome = ForecastOutcome(
                span.steps, surprise[due], foreseen[due], judgement[due], last[due], largest[due]
            )
            trust = updated_trust(trust, outcome, rules, step_s)
        result.append(trust)
        both = PeakDistribution(maximum.qps[[row, row]], maximum.scores[[row, row]])
        levels = np.array([trust.level, rules.judged_level])
        read, compared = both.quantile(levels, trust.theta).tolist()
        foreseen.append(read)
        judgement.append(compared)
    return result
