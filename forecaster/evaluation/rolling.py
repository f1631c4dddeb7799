"""Forecasts from many past origins of one item, as they would have been made at the time.

Rows are origins; a row uses no sample after its own origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forecaster.data.series import Block, Forecast, Series
from forecaster.errors import HistoryError
from forecaster.evaluation.splits import item_track
from forecaster.features.timing import Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import cut_windows
from forecaster.models.config import QUANTILE_LEVELS
from forecaster.models.conformal import calibrated, conformal_shifts, widened
from forecaster.models.forecaster import Forecaster
from forecaster.models.naive import Spread, naive_forecasts

ORIGINS_AT_ONCE = 4096  # few enough for their windows to fit into memory with a year of history


def rolling_forecast(forecaster: Forecaster, series: Series, origins: Indices) -> Forecast:
    """Return the forecast from each of ``origins`` by the candidate that serves the item.

    Args:
        forecaster: the model; it must not have been trained on the time that it forecasts.
        series: the item's whole history; samples after an origin are not used for its forecast.
        origins: index of the last sample that each row may use, ``(rows,)``.

    Raises:
        HistoryError: the step is not the model's, an origin is not in the history, or nothing is
            known before it.
    """
    model = forecaster.model
    if series.step != model.step:
        raise HistoryError(
            f"{series.item_id}: the history has a step of {series.step}, the model of {model.step}"
        )
    _require_within(series, origins)
    source = forecaster.item_model(series.item_id).source
    track = item_track(forecaster.zoned(series), model.timing)

    def predict(at: Indices) -> Block:
        rows = np.zeros_like(at)
        windows = cut_windows(track, rows, at, model.context_length)
        needed = {source} & set(forecaster.candidates.naive)
        naive = naive_forecasts(track, rows, at, needed)
        stamps = [series.start] * len(at)  # those of the forecast of all origins count
        names = [series.item_id] * len(at)
        return forecaster.predict_windows(names, stamps, windows, naive).values.astype(np.float32)

    return _forecast(series, origins, forecaster.quantile_levels, predict, source)


def rolling_baseline(
    name: str,
    series: Series,
    origins: Indices,
    prediction_length: int,
    *,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> Forecast:
    """Return the forecast of a naive forecaster from each of ``origins``; it needs no model.

    It is calibrated on the history before the first origin.

    Args:
        name: one of `naive.NAIVE`, such as ``"holt_winters"``.
        series: the item's whole history.
        origins: index of the last sample that each row may use, ascending, ``(rows,)``.
        prediction_length: number of steps ahead.
        levels: the quantile levels.

    Raises:
        HistoryError: an origin is not in the history, or the history before the first is too short.
    """
    _require_within(series, origins)
    timing = Timing(series.step, prediction_length)
    track = item_track(series, timing)
    first = int(origins[0])
    before = np.arange(timing.day, first - prediction_length)
    if len(before) < timing.hour:
        raise HistoryError(
            f"{series.item_id}: {first + 1} samples lie before the first forecast, but a day and "
            f"an hour ({timing.day + timing.hour + prediction_length + 1}) are needed; give it "
            "earlier history, or start later"
        )
    # No sample after the first origin is used: the targets end before it, and a track is causal.
    shifts = conformal_shifts(_spread(name, track, before, levels), _targets(track, before), levels)

    def predict(at: Indices) -> Block:
        return widened(calibrated(_spread(name, track, at, levels), shifts), levels, series.step)

    return _forecast(series, origins, tuple(levels), predict, name)


def _spread(name: str, track: Track, at: Indices, levels: Sequence[float]) -> Spread:
    return naive_forecasts(track, np.zeros_like(at), at, {name})[name].spread(len(levels))


def _targets(track: Track, at: Indices) -> Block:
    steps = at[:, None] + 1 + np.arange(track.timing.prediction_length)
    return np.asarray(track.values[0][steps])


def _require_within(series: Series, origins: Indices) -> None:
    if len(origins) == 0 or origins.min() < 0 or origins.max() >= len(series):
        raise HistoryError(
            f"{series.item_id}: the origins must lie within its {len(series)} samples"
        )


def _forecast(
    series: Series,
    origins: Indices,
    levels: tuple[float, ...],
    predict: Callable[[Indices], Block],
    source: str,
) -> Forecast:
    parts = [
        predict(origins[first : first + ORIGINS_AT_ONCE])
        for first in range(0, len(origins), ORIGINS_AT_ONCE)
    ]
    values = np.concatenate(parts).astype(np.float64)
    unknown = ~np.isfinite(values).all(axis=(1, 2))
    if unknown.any():
        at = series.start + int(origins[unknown.argmax()]) * series.step
        raise HistoryError(
            f"{series.item_id}: too little is known before {at} to forecast from; start later"
        )
    return Forecast(
        item_ids=(series.item_id,) * len(origins),
        origins=tuple(series.start + int(at) * series.step for at in origins),
        step=series.step,
        quantile_levels=levels,
        values=values,
        sources=(source,) * len(origins),
    )
