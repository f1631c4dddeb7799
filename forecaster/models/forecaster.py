"""The fitted forecaster: its candidates, their calibration, and the one that serves each item."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import numpy as np

import forecaster as api
from forecaster.data.clock_changes import learned_zone
from forecaster.data.local_clock import LocalClock, clock_of
from forecaster.data.series import Block, Forecast, History, Series
from forecaster.errors import HistoryError
from forecaster.features.anchors import build_track
from forecaster.features.windows import Windows, cut_windows
from forecaster.models.candidates import Candidates
from forecaster.models.config import ModelConfig
from forecaster.models.conformal import calibrated, tail_of
from forecaster.models.margins import with_margins
from forecaster.models.naive import Naive, Spread, naive_forecasts
from forecaster.models.tail import TailLaw

# Items that are computed at once: few enough for the processor's cache, enough for its width.
ITEMS_AT_ONCE = 32
THREADS = 2
# Windows that are predicted at once, which bounds memory.
WINDOWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class ItemModel:
    """The candidate that serves one item, and the calibration of all candidates for it.

    Attributes:
        source: name of the candidate that serves the item.
        reason: why it was chosen.
        shifts: by candidate, ``(prediction_length, levels)`` in units of its recent error.
        tails: by candidate, the law of what lies beyond the level 0.95; empty in models of before,
            which serve only the levels that their candidates predict.
        trained_until: start of the time that was used neither for fitting nor for calibration; None
            for the default, which serves unknown items.
        timezone: zone whose clocks the item's traffic follows; None: not named.
    """

    source: str
    reason: str
    shifts: Mapping[str, Block] = field(repr=False)
    trained_until: datetime | None = None
    timezone: str | None = None
    tails: Mapping[str, TailLaw] = field(default_factory=dict, repr=False)

    def calibrated(self, name: str, spread: Spread, levels: Sequence[float]) -> Block:
        """Return the quantiles of candidate ``name``, which predicts ``levels``."""
        tail = tail_of([self.tails[name]], levels) if name in self.tails else None
        return calibrated(spread, self.shifts[name], tail)


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A trained model that forecasts any item with its step.

    Attributes:
        candidates: the fitted candidates.
        item_models: choice and calibration by item that was in the training history.
        default_model: choice and calibration for all other items.
        young_models: calibration for those of them with less history than a span, the shortest
            span first; the same candidate serves.
        holidays: local dates on which the traffic of all items is like that of a Sunday.
    """

    candidates: Candidates
    item_models: Mapping[str, ItemModel]
    default_model: ItemModel
    holidays: tuple[date, ...] = ()
    young_models: tuple[tuple[timedelta, ItemModel], ...] = ()

    @classmethod
    def load(
        cls, models: str | os.PathLike[str], name: str, version: str | None = None
    ) -> Forecaster:
        """Return a stored version of ``name``, by default the champion; see `load_forecaster`."""
        return api.load_forecaster(models, name, version)

    def save(self, models: str | os.PathLike[str], name: str, *, promote: bool = True) -> str:
        """Store a new version of ``name`` and return it; see `save_forecaster`."""
        return api.save_forecaster(self, models, name, promote=promote)

    @property
    def model(self) -> ModelConfig:
        return self.candidates.model

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """The levels that are served."""
        model, knows_tails = self.model, bool(self.default_model.tails)
        return model.served_levels if knows_tails else model.quantile_levels

    def item_model(self, item_id: str, age: int | None = None) -> ItemModel:
        """Return the choice and calibration for an item; for an unknown one, those of its age.

        Args:
            item_id: of the item.
            age: samples of its history, as in `Windows`; None: it is long.
        """
        if item_id in self.item_models or age is None:
            return self.item_models.get(item_id, self.default_model)
        history = age * self.model.step
        return next(
            (found for span, found in self.young_models if history < span), self.default_model
        )

    def zoned(self, series: Series) -> Series:
        """Return a series with the time zone of the item and the holidays, where it names none."""
        zone = series.timezone or self.item_model(series.item_id).timezone
        holidays = series.holidays or self.holidays
        if (zone, holidays) == (series.timezone, series.holidays):
            return series
        return replace(series, timezone=zone, holidays=holidays)

    def placed(self, series: Series) -> Series:
        """Return a series as `zoned`, or else with the zone that its own traffic has shown."""
        known = self.zoned(series)
        if known.timezone is not None:
            return known
        zone = learned_zone(known)
        return known if zone is None else replace(known, timezone=zone)

    def served_by(self, source: str, reason: str) -> Forecaster:
        """Return the forecaster in which one candidate serves all items."""
        models = {
            name: replace(found, source=source, reason=reason)
            for name, found in self.item_models.items()
        }
        default, *young = (
            replace(found, source=source, reason=reason)
            for found in (self.default_model, *(found for _, found in self.young_models))
        )
        spans = (span for span, _ in self.young_models)
        return replace(
            self,
            item_models=models,
            default_model=default,
            young_models=tuple(zip(spans, young, strict=True)),
        )

    def predict(self, history: History) -> Forecast:
        """Return the forecast after the last known sample of every item.

        A week of history gives the daily and the weekly profile, two days the daily one. With less,
        only recent level and noise are used.

        Raises:
            HistoryError: the step is not the model's, or an item has no recent sample.
        """
        if history.step != self.model.step:
            raise HistoryError(
                f"the history has a step of {history.step}, but the model was trained on "
                f"{self.model.step}; fetch with --step {int(self.model.step.total_seconds())}s"
            )
        series = [_until_last(self.placed(s)) for s in history]
        needed = {self.item_model(s.item_id).source for s in series} & set(self.candidates.naive)
        blocks = list(_blocks(series, self.model.timing.ahead))
        with ThreadPoolExecutor(THREADS) as pool:
            cut = pool.map(lambda block: self._newest([series[i] for i in block], needed), blocks)
            parts, naive_parts = zip(*cut, strict=True)
        order = np.argsort(np.concatenate(blocks))
        naive = {name: Naive.join([part[name] for part in naive_parts]) for name in needed}
        return self.predict_windows(
            history.item_ids,
            tuple(s.end - s.step for s in series),
            Windows.join(parts).take(order),
            {name: forecast.take(order) for name, forecast in naive.items()},
        )

    def predict_windows(
        self,
        item_ids: Sequence[str],
        origins: Sequence[datetime],
        windows: Windows,
        naive: Mapping[str, Naive],
    ) -> Forecast:
        """Return the forecast from one window of each item.

        ``naive`` has the naive forecasts of the same windows that serve any of the items.
        """
        ages = windows.age.tolist()
        models = [self.item_model(*item) for item in zip(item_ids, ages, strict=True)]
        sources = np.array([model.source for model in models])
        values = np.empty((*windows.blend.shape, len(self.quantile_levels)), np.float64)
        for source in dict.fromkeys(sources.tolist()):
            rows = np.flatnonzero(sources == source)
            for first in range(0, len(rows), WINDOWS_AT_ONCE):
                mine = rows[first : first + WINDOWS_AT_ONCE]
                own = {name: forecast.take(mine) for name, forecast in naive.items()}
                spread = self.candidates.spread(source, windows.take(mine), own)
                quantiles = self.calibrated(source, spread, [models[row] for row in mine])
                values[mine] = with_margins(quantiles, windows.take(mine), self.model)
        return Forecast(
            item_ids=tuple(item_ids),
            origins=tuple(origins),
            step=self.model.step,
            quantile_levels=self.quantile_levels,
            values=values,
            sources=tuple(sources.tolist()),
        )

    def calibrated(self, source: str, spread: Spread, models: Sequence[ItemModel]) -> Block:
        """Return the quantiles of a candidate, ``(windows, horizon, levels)`` QPS.

        Args:
            source: name of the candidate.
            spread: what it forecasts.
            models: what calibrates each window.
        """
        laws = [model.tails[source] for model in models if model.tails]
        tail = tail_of(laws, self.model.quantile_levels) if laws else None
        return calibrated(spread, np.stack([model.shifts[source] for model in models]), tail)

    def _newest(
        self, block: Sequence[Series], needed: Set[str]
    ) -> tuple[Windows, dict[str, Naive]]:
        """Return windows and naive forecasts at the end of items of equal length and clock."""
        values = np.stack([series.values for series in block]).astype(np.float32)
        timing = self.model.timing
        track = build_track(values, timing, clock_of(block[0], timing.ahead))
        rows = np.arange(len(block))
        origins = np.full(len(block), track.values.shape[1] - 1)
        windows = cut_windows(track, rows, origins, self.model.context_length)
        return windows, naive_forecasts(track, rows, origins, needed)


def _until_last(series: Series) -> Series:
    """Return the series up to its last known sample."""
    known = np.isfinite(series.values)
    if not known.any():
        raise HistoryError(
            f"{series.item_id}: no known sample from {series.start} to {series.end}; "
            "fetch a span in which the item had traffic, or leave it out"
        )
    count = len(series) - int(known[::-1].argmax())
    return series.between(series.start, series.start + count * series.step)


def _blocks(series: Sequence[Series], ahead: int) -> Iterable[list[int]]:
    """Yield the indices of items of equal length and clock, in blocks of `ITEMS_AT_ONCE`."""
    alike: dict[tuple[int, LocalClock | None], list[int]] = {}
    for place, one in enumerate(series):
        alike.setdefault((len(one), clock_of(one, ahead)), []).append(place)
    for places in alike.values():
        for first in range(0, len(places), ITEMS_AT_ONCE):
            yield places[first : first + ITEMS_AT_ONCE]
