"""The recorded samples of a replay, as each tick comes to know them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from forecaster.data.series import FloatArray, Series
from scaler.decision.plausible import is_heeded, marked_for
from scaler.decision.seasonal_low import HalfHours, seasonal_lows
from scaler.decision.wariness import MOST_SAMPLES
from scaler.simulation.world import Scene


class RecordedSamples:
    """What the demand query answers on the forecast's grid; a sample is the mean up to its stamp.

    Attributes:
        asked: what the policy's ``mask_query`` answers there, above 0 where it marks; None: it is
            not asked.

    Args:
        series: all of the history.
        first_row: sample at which the first row of the forecasts has its origin.
        scene: what is replayed.
        marks: as ``asked``.
    """

    def __init__(
        self, series: Series, first_row: int, scene: Scene, marks: FloatArray | None = None
    ) -> None:
        self.step_s = series.step.total_seconds()
        self._scene, self.asked = scene, marks
        self.series, self._first_row = series, first_row
        self._stamps: list[float] = series.stamps.tolist()
        self._values: list[float] = series.values.tolist()
        delay_s, start = scene.timing.query_delay_s, self._stamps[0]
        # Of each tick, the newest sample that queries can see.
        self._newest: list[int] = [
            min(math.floor((scene.now(tick) - delay_s - start) / self.step_s), len(series) - 1)
            for tick in range(scene.ticks)
        ]

    def seen_from(self, scene: Scene) -> RecordedSamples:
        """Return the same samples as the ticks of another scene of the same time see them."""
        return RecordedSamples(self.series, self._first_row, scene, self.asked)

    @property
    def unmarked(self) -> FloatArray:
        """All values; NaN where marks are heeded."""
        if self.asked is None:
            return self.series.values
        heeded = is_heeded(marked_for(self.asked, self.step_s))
        return np.where(heeded, np.nan, self.series.values)

    @property
    def history(self) -> FloatArray:
        """All values; those that are known before the first tick without what is marked."""
        count = self._newest[0] + 1
        return np.concatenate([self.unmarked[:count], self.series.values[count:]])

    @property
    def past(self) -> FloatArray:
        """The last values that are known before the first tick, by which new ones are judged."""
        past = self.unmarked[: self._newest[0] + 1]
        return past[np.isfinite(past)][-MOST_SAMPLES:]

    @property
    def marked_since(self) -> float:
        """Since when all is marked that is known before the first tick; NaN: it is not."""
        if self.asked is None:
            return math.nan
        newest = self._newest[0]
        return self._stamps[newest] - float(marked_for(self.asked[: newest + 1], self.step_s)[-1])

    def newest_row(self, tick: int) -> int:
        """Return the row whose origin is the newest sample that is known at a tick."""
        return self._newest[tick] - self._first_row

    def newest(self, tick: int) -> int:
        """Return the place of the newest sample that is known at a tick."""
        return self._newest[tick]

    def since_last_tick(self, tick: int) -> tuple[tuple[float, float], ...]:
        """Return the samples that have become known since the tick before, ``(stamp, QPS)``."""
        last = self._newest[tick]
        first = self._newest[tick - 1] + 1 if tick else last + 1  # before that it is history
        if first > last:
            return ()
        return tuple((self._stamps[k], self._values[k]) for k in range(first, last + 1))

    def marks(self, tick: int) -> tuple[float, ...]:
        """Return the moments since the last sample of the tick before at which all is marked."""
        if self.asked is None:
            return ()
        scene, last = self._scene, self._stamps[self._newest[max(tick - 1, 0)]]
        first = math.floor((last - scene.start) / scene.timing.tick_s) + 1
        moments = [scene.now(at) for at in range(first, tick + 1)]
        return tuple(now for now in moments if self.asked[self._place(now)] > 0)

    def _place(self, moment: float) -> int:
        """Return the sample within which a moment lies, up to its stamp."""
        return math.ceil(round((moment - self._stamps[0]) / self.step_s, 6))


class ActedOnHistory:
    """The past that a contender acts on: what is recorded, but for what it has left out.

    Args:
        samples: recorded, as they become known.
        zone: of the policy.
    """

    def __init__(self, samples: RecordedSamples, zone: str | None) -> None:
        series = samples.series
        self._samples = samples
        self._start, self._step_s = float(series.stamps[0]), samples.step_s
        # In the digits that the loop keeps of a history.
        self._values = samples.history.astype(np.float32)
        known = np.flatnonzero(np.isfinite(self._values[: samples.newest(0) + 1]))
        self.known_until = float(series.stamps[known[-1]]) if len(known) else -math.inf
        self._half_hours, self._zone = HalfHours.of(series.step), zone
        self._lows: dict[int, float] = {}

    def add(self, samples: Sequence[tuple[float, float]]) -> None:
        """Take in what became known; it is NaN where it is left out."""
        for stamp, value in samples:
            if math.isnan(value):
                self._values[round((stamp - self._start) / self._step_s)] = np.nan
            else:
                self.known_until = stamp

    def seasonal_low(self, tick: int) -> float:
        """Return the seasonal low at the newest sample that is known at a tick."""
        newest = self._samples.newest(tick)
        if newest not in self._lows:
            # The half hours of so many samples are known already, for they are of the day before,
            # which clocks have made longer or shorter by two hours at most.
            hours, stamps = self._half_hours, self._samples.series.stamps
            ahead = max(hours.day - hours.day // 12 - hours.around, 1)
            places = newest + np.arange(min(ahead, len(stamps) - newest))
            later = hours.later(self._zone, stamps[places])
            lows = seasonal_lows(hours.before(self._values, places, later))
            self._lows = dict(zip(places.tolist(), lows.tolist(), strict=True))
        return self._lows[newest]
