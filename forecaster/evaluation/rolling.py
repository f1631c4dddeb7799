"""Forecasts from many origins of one item: what would have been said at each moment of the past.

Rows are origins; each row has seen nothing after its own origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forecaster.data.series import Block, Forecast, Series
from forecaster.errors import HistoryError
from forecaster.features.anchors import Indices, Timing, Track, follow
from forecaster.features.windows import cut
from forecaster.models.config import QUANTILE_LEVELS
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.forecaster import Forecaster
from forecaster.models.naive import Naive, Spread, naive_forecasts

ORIGINS_AT_ONCE = 4096  # few enough that their windows fit into memory beside a year of history


def rolling_forecast(forecaster: Forecaster, series: Series, origins: Indices) -> Forecast:
    """Return the forecast from each of ``origins``, by whoever serves the item.

    Args:
        forecaster: the model, which must not have been fitted on what it is to foretell.
        series: the item's history, all of it: what lies after an origin is not seen from it.
        origins: index of the last sample that each row has seen, ``(rows,)``.

    Raises:
        HistoryError: the step is not the model's, or an origin is not in the history.
    """
    model = forecaster.model
    if series.step != model.step:
        raise HistoryError(
            f"{series.item_id}: the history has a step of {series.step}, the model of {model.step}"
        )
    _require_within(series, origins)
    service = forecaster.service(series.item_id)
    track = follow(series.values[None], model.timing)
    shifts = service.shifts[service.source]

    def say(at: Indices) -> Block:
        rows = np.zeros_like(at)
        windows = cut(track, rows, at, model.context_length)
        needed = {service.source} & set(forecaster.candidates.naive)
        naive = naive_forecasts(track, rows, at, needed)
        return calibrated(forecaster.candidates.spread(service.source, windows, naive), shifts)

    return _forecast(series, origins, model.quantile_levels, say, service.source)


def rolling_baseline(
    name: str,
    series: Series,
    origins: Indices,
    prediction_length: int,
    *,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> Forecast:
    """Return what a naive forecaster says from each of ``origins``; it needs no model.

    It is calibrated on the history before the first origin.

    Args:
        name: of `baselines.NAIVE`, such as ``"holt_winters"``.
        series: the item's history, all of it.
        origins: index of the last sample that each row has seen, ascending, ``(rows,)``.
        prediction_length: steps ahead.
        levels: of the quantiles.

    Raises:
        HistoryError: an origin is not in the history, or too little lies before the first.
    """
    _require_within(series, origins)
    timing = Timing(series.step, prediction_length)
    track = follow(series.values[None], timing)
    first = int(origins[0])
    before = np.arange(timing.day, first - prediction_length)
    if len(before) < timing.hour:
        raise HistoryError(
            f"{series.item_id}: {first + 1} samples lie before the first forecast, but a day and "
            f"an hour ({timing.day + timing.hour + prediction_length + 1}) are needed; give it "
            "earlier history, or start later"
        )
    # Their targets end before the first origin, and a track looks backwards alone.
    shifts = conformal_shifts(_spread(name, track, before, levels), _ahead(track, before), levels)

    def say(at: Indices) -> Block:
        return calibrated(_spread(name, track, at, levels), shifts)

    return _forecast(series, origins, tuple(levels), say, name)


def _spread(name: str, track: Track, at: Indices, levels: Sequence[float]) -> Spread:
    naive: Naive = naive_forecasts(track, np.zeros_like(at), at, {name})[name]
    return Spread(np.repeat(naive.path[:, :, None], len(levels), axis=2), naive.scale)


def _ahead(track: Track, at: Indices) -> Block:
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
    say: Callable[[Indices], Block],
    source: str,
) -> Forecast:
    parts = [
        say(origins[first : first + ORIGINS_AT_ONCE])
        for first in range(0, len(origins), ORIGINS_AT_ONCE)
    ]
    return Forecast(
        item_ids=(series.item_id,) * len(origins),
        origins=tuple(series.start + int(at) * series.step for at in origins),
        step=series.step,
        quantile_levels=levels,
        values=np.concatenate(parts).astype(np.float64),
        sources=(source,) * len(origins),
    )
