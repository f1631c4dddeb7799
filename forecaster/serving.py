"""The fitted forecaster: all candidates, their calibration, and the one that serves each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from forecaster.anchors import follow
from forecaster.baselines import NAIVE, Naive, Spread, naive_forecasts
from forecaster.calibration import calibrated
from forecaster.config import ModelConfig
from forecaster.ensemble import LSTM, Ensemble
from forecaster.errors import HistoryError
from forecaster.series import Block, Forecast, History, Series
from forecaster.tabular import BOOSTING, RIDGE, BoostingBaseline, RidgeBaseline
from forecaster.windows import Windows, cut

CANDIDATES = (*NAIVE, RIDGE, BOOSTING, LSTM)
# Items that are computed at once: few enough for the processor's cache, enough for its width.
ITEMS_AT_ONCE = 128
THREADS = 2


@dataclass(frozen=True, eq=False)
class Candidates:
    """Everything that can forecast: three that were fitted, and the naive ones."""

    model: ModelConfig
    ensemble: Ensemble
    ridge: RidgeBaseline
    boosting: BoostingBaseline

    def spread(self, name: str, windows: Windows, naive: Mapping[str, Naive]) -> Spread:
        """Return what candidate ``name`` says, before calibration."""
        if name == LSTM:
            return self.ensemble.predict(windows)
        if name == RIDGE:
            return self.ridge.predict(windows, self.model.quantile_levels)
        if name == BOOSTING:
            return self.boosting.predict(windows)
        path = naive[name].path[:, :, None]
        return Spread(np.repeat(path, len(self.model.quantile_levels), axis=2), naive[name].scale)


@dataclass(frozen=True, eq=False)
class Service:
    """What is known of one item: who serves it, and every candidate's calibration for it.

    Attributes:
        source: the candidate that serves.
        reason: why, in words.
        shifts: per candidate, ``(prediction_length, levels)`` in units of its recent error.
        trained_until: first moment that neither fitting nor calibration has seen; None for the
            entry that serves items which the model has never seen.
    """

    source: str
    reason: str
    shifts: Mapping[str, Block] = field(repr=False)
    trained_until: datetime | None = None


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A champion: predicts any item of its step; knows those it was calibrated on by name."""

    candidates: Candidates
    services: Mapping[str, Service]
    others: Service

    @property
    def model(self) -> ModelConfig:
        return self.candidates.model

    def service(self, item_id: str) -> Service:
        """Return what is known of an item; of an unknown one, what holds for all others."""
        return self.services.get(item_id, self.others)

    def predict(self, history: History) -> Forecast:
        """Return the forecast after the last known sample of every item.

        The more history the better: a week for all of the day's and week's shape, two days for a
        day's. With less, recent level and noise are what is left.

        Raises:
            HistoryError: the step is not the model's, or an item has no recent sample.
        """
        if history.step != self.model.step:
            raise HistoryError(
                f"the history has a step of {history.step}, but the model was trained on "
                f"{self.model.step}; fetch with --step {int(self.model.step.total_seconds())}s"
            )
        series = [self._until_last(s) for s in history]
        values = np.empty((len(series), self.model.prediction_length, self._levels), np.float64)
        blocks = list(_blocks(series))
        with ThreadPoolExecutor(THREADS) as pool:
            for places, block in zip(
                blocks, pool.map(self._predict_block, _picked(series, blocks)), strict=True
            ):
                values[places] = block
        return Forecast(
            item_ids=history.item_ids,
            origins=tuple(s.end - s.step for s in series),
            step=history.step,
            quantile_levels=self.model.quantile_levels,
            values=values,
            sources=tuple(self.service(s.item_id).source for s in series),
        )

    @property
    def _levels(self) -> int:
        return len(self.model.quantile_levels)

    def _until_last(self, series: Series) -> Series:
        """Return the series up to its last known sample."""
        known = np.flatnonzero(np.isfinite(series.values))
        if not len(known):
            raise HistoryError(
                f"{series.item_id}: no known sample from {series.start} to {series.end}; "
                "fetch a span in which the item had traffic, or leave it out"
            )
        return series.between(series.start, series.start + (int(known[-1]) + 1) * series.step)

    def _predict_block(self, block: Sequence[Series]) -> Block:
        """Return the quantiles of items of equal length, ``(items, horizon, levels)`` QPS."""
        values = np.stack([series.values for series in block]).astype(np.float32)
        track = follow(values, self.model.timing, tail=self.model.timing.tail)
        rows = np.arange(len(block))
        origins = np.full(len(block), track.values.shape[1] - 1)
        windows = cut(track, rows, origins, self.model.context_length)
        services = [self.service(series.item_id) for series in block]
        sources = np.array([service.source for service in services])
        naive = naive_forecasts(track, rows, origins, set(NAIVE) & set(sources.tolist()))
        result = np.empty((*windows.blend.shape, self._levels), dtype=np.float32)
        for source in dict.fromkeys(sources.tolist()):
            mine = np.flatnonzero(sources == source)
            spread = self.candidates.spread(
                source, windows.take(mine), {n: naive[n].take(mine) for n in naive}
            )
            shifts = np.stack([services[i].shifts[source] for i in mine])
            result[mine] = calibrated(spread, shifts)
        return result


def _blocks(series: Sequence[Series]) -> Iterable[list[int]]:
    """Yield the places of items of equal length, a cache-friendly number at once."""
    by_length: dict[int, list[int]] = {}
    for place, one in enumerate(series):
        by_length.setdefault(len(one), []).append(place)
    for places in by_length.values():
        for first in range(0, len(places), ITEMS_AT_ONCE):
            yield places[first : first + ITEMS_AT_ONCE]


def _picked(series: Sequence[Series], blocks: Iterable[list[int]]) -> Iterable[list[Series]]:
    return ([series[place] for place in places] for places in blocks)
