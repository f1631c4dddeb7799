"""What demand is judged by: what was usual, what gateways have reported, what is doubted.

See `scaler.decision.plausible` for how. Times are seconds since the epoch; demand is in requests
per second (QPS); unknown is NaN.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from forecaster.data.quality import QualityRules
from forecaster.data.quality.masks import spike_level
from forecaster.data.series import FloatArray

RULES = QualityRules()
# Known samples that say what is usual now, and that are kept.
USUAL_SAMPLES, MOST_SAMPLES = 30, 240
# Reports of the last so many seconds count: a measured rate lags them by as much.
REPORTED_S = 300.0
# Before the ratio to reports is known, and the time within which it follows.
RATIO_KNOWN_S, RATIO_MEMORY_S = 600.0, 3600.0


class DoubtReason(enum.Enum):
    """Why measured demand is doubted."""

    SPIKE = "spike"  # far above all that is usual: a counter reset, or the start of a flash crowd
    JUMP = "jump"  # a rise that gateways deny: targets counted twice, another unit
    FALL = "fall"  # a fall that gateways deny: targets that are gone, another unit
    STUCK = "stuck"  # one value for long: an exporter that hangs
    MARKED = "marked"  # by the policy: an incident, a load test


@dataclass(frozen=True, slots=True)
class Doubt:
    """A doubt that lasts; ``usual_qps`` is what was usual when it began."""

    reason: DoubtReason
    since: float
    usual_qps: float


@dataclass(frozen=True, slots=True)
class KeptReports:
    """What who hears gateways leaves to who does not: a new process, or a replica that follows.

    Attributes:
        ratio: of measured demand to reported; ``learned_s``: from so many seconds.
        reported_qps: of late; ``reported_at``: when it was last.
        doubt: that lasts.

    Raises:
        ValueError: a number is out of its range.
    """

    ratio: float
    learned_s: float
    reported_qps: float
    reported_at: float
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        usual_qps = 1.0 if self.doubt is None else self.doubt.usual_qps
        since = 0.0 if self.doubt is None else self.doubt.since
        if not 0 < self.ratio < math.inf or not 0 <= self.learned_s <= RATIO_MEMORY_S:
            raise ValueError(f"ratio is {self.ratio}, learned in {self.learned_s} s")
        if not 0 <= self.reported_qps < math.inf or not 0 <= usual_qps < math.inf:
            raise ValueError(f"{self.reported_qps} are reported, {usual_qps} are usual")
        if not math.isfinite(self.reported_at) or not math.isfinite(since):
            raise ValueError(f"reported at {self.reported_at}, doubted since {since}")


@dataclass(frozen=True, slots=True)
class DemandReading:
    """What is known at one tick.

    Attributes:
        measured_qps: by the demand's query.
        samples: new ones, ``(stamp, QPS)``.
        reported_qps: what fresh reports of gateways add up to.
        marks: moments since the last sample that the policy marks.
    """

    measured_qps: float
    samples: Sequence[tuple[float, float]] = ()
    reported_qps: float = math.nan
    marks: Sequence[float] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Wariness:
    """What is remembered to judge by.

    Attributes:
        values: samples that were believed, the latest last.
        usual_qps: the median of the latest of them; NaN: they are too few.
        spike_qps: demand above it is a spike.
        repeated_qps: the latest sample, which has come ``repeats`` times in a row.
        log_ratio: of measured demand to reported; ``learned_s``: from so many seconds.
        reports: of late, ``(when, QPS)``.
        doubt: that lasts.
        marked_since: since when each tick is marked; NaN: the last one was not.
    """

    values: FloatArray = field(default_factory=lambda: np.empty(0))
    usual_qps: float = math.nan
    spike_qps: float = math.inf
    repeated_qps: float = math.nan
    repeats: int = 0
    log_ratio: float = 0.0
    learned_s: float = 0.0
    reports: tuple[tuple[float, float], ...] = ()
    doubt: Doubt | None = None
    marked_since: float = math.nan

    def rebased(self, set_by_s: float) -> Wariness:
        """Return it as old as it was, by a wall clock that has been set by so much."""
        reports = tuple((at + set_by_s, qps) for at, qps in self.reports)
        doubt = self.doubt
        if doubt is not None:
            doubt = replace(doubt, since=doubt.since + set_by_s)
        marked_since = self.marked_since + set_by_s
        return replace(self, reports=reports, doubt=doubt, marked_since=marked_since)

    def with_samples(self, new: Sequence[float]) -> Wariness:
        """Return what is usual after samples that are believed; NaN is none."""
        known = [qps for qps in new if not math.isnan(qps)]
        if not known:
            return self
        values = np.append(self.values, known)[-MOST_SAMPLES:]
        if len(values) < RULES.min_samples:
            return replace(self, values=values)
        usual_qps = median(values[-USUAL_SAMPLES:].tolist())
        return replace(
            self, values=values, usual_qps=usual_qps, spike_qps=spike_level(values, RULES)
        )

    def with_news(self, reading: DemandReading, now: float) -> Wariness:
        """Return it with the reports and marks of a tick, and how often its latest sample came."""
        reports = tuple(one for one in self.reports if 0 <= now - one[0] < REPORTED_S)
        if not math.isnan(reading.reported_qps):
            reports = (*reports, (now, reading.reported_qps))
        repeated_qps, repeats = self.repeated_qps, self.repeats
        for _, qps in reading.samples:
            repeats = repeats + 1 if qps == repeated_qps else 1
            repeated_qps = qps
        is_marked = bool(reading.marks) or not math.isnan(self.marked_since)
        if not (reading.samples or reports or self.reports or is_marked):
            return self  # of most ticks without gateways: nothing is new
        since = now if math.isnan(self.marked_since) else self.marked_since
        return replace(
            self,
            reports=reports,
            repeated_qps=repeated_qps,
            repeats=repeats,
            marked_since=since if reading.marks else math.nan,
        )

    def with_ratio(self, reading: DemandReading, tick_s: float) -> Wariness:
        """Return it after a tick that is calm; small counts are too noisy to learn from."""
        measured, reported = reading.measured_qps, reading.reported_qps
        if not (measured >= RULES.spike_floor_qps and reported >= RULES.spike_floor_qps):
            return self
        learned_s = min(self.learned_s + tick_s, RATIO_MEMORY_S)
        moved = math.log(measured / reported) - self.log_ratio
        log_ratio = self.log_ratio + moved * tick_s / learned_s
        return replace(self, log_ratio=log_ratio, learned_s=learned_s)

    def afresh(self, reason: DoubtReason) -> Wariness:
        """Return what is known where a doubt has lasted, so that what was usual is over."""
        fresh = Wariness(reports=self.reports, marked_since=self.marked_since)
        if reason is DoubtReason.SPIKE:  # a crowd says nothing against the reports
            return replace(fresh, log_ratio=self.log_ratio, learned_s=self.learned_s)
        return fresh

    @property
    def kept_reports(self) -> KeptReports | None:
        """What is left to who hears no gateways; None: nothing is reported."""
        if not self.reports:
            return None
        doubt = self.doubt
        if doubt is not None and not math.isfinite(doubt.usual_qps):
            doubt = None
        at, latest_qps = self.reports[-1]
        qps = latest_qps if doubt is None else self.reported_qps(median)
        if not math.isfinite(qps):
            return None
        return KeptReports(math.exp(self.log_ratio), self.learned_s, qps, at, doubt)

    def with_kept_reports(self, heard: KeptReports, at: float, tick_s: float) -> Wariness:
        """Return it as if gateways had been heard up to ``at``, at each tick.

        So the first reports that come, of some gateways only, end no doubt.
        """
        ticks, doubt = range(math.ceil(REPORTED_S / tick_s) - 1, -1, -1), self.doubt
        if heard.doubt is not None:
            doubt = replace(heard.doubt, since=min(heard.doubt.since, at))
        return replace(
            self,
            log_ratio=math.log(heard.ratio),
            learned_s=heard.learned_s,
            reports=tuple((at - tick * tick_s, heard.reported_qps) for tick in ticks),
            doubt=doubt,
        )

    @property
    def ratio(self) -> float:
        """Measured demand to reported; NaN while it is not known, or nothing is reported."""
        known = bool(self.reports) and self.learned_s >= RATIO_KNOWN_S
        return math.exp(self.log_ratio) if known else math.nan

    @property
    def least_ratio(self) -> float:
        """At least so many times what is reported is offered: others than gateways may offer none.

        Below 1, where the query counts only a part of what gateways are offered.
        """
        ratio = self.ratio  # first in min(), so that NaN stays
        return min(ratio, 1.0)

    def reported_qps(self, of: Callable[[Iterable[float]], float]) -> float:
        return of(qps for _, qps in self.reports) if self.reports else math.nan
