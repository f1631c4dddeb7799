"""How often the largest demand of the next minutes stayed within what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.tables import markdown
from forecaster.data.series import FloatArray, Forecast
from scaler.decision.lead_demand import step_range
from scaler.decision.quantiles import (
    PeakDistribution,
    extremal_index,
    peaks_of,
    quantile_at,
    surprisal,
)

if TYPE_CHECKING:
    from benchmarks.replay import Stage

LEAD_S = 135.0  # that the table of maxima looks ahead


def print_maxima(stages: Sequence[Stage]) -> None:
    """Print it for the last part of each trace."""
    print("\n## The quantile of a maximum is not the maximum of quantiles\n")
    print("Share of lead times whose largest demand stayed within the 0.95 level.\n")
    rows = []
    for stage in stages:
        said = _coverages(stage.forecast, stage.series.values[stage.origins])
        rows.append((stage.series.item_id, *said))
    means = [float(np.mean(column)) for column in list(zip(*rows, strict=True))[1:]]
    rows.append(("mean", *means))
    print(
        markdown(
            ("trace", "maximum of quantiles", "quantile of the maximum", "Bonferroni", "index"),
            rows,
        )
    )


def _coverages(forecast: Forecast, happened: FloatArray) -> tuple[float, ...]:
    within = step_range(15.0, LEAD_S, 60.0, forecast.prediction_length)
    steps = forecast.values[:, within.first : within.last + 1]
    after = np.stack(
        [np.roll(happened, -1 - h) for h in range(within.first, within.last + 1)], axis=1
    )[: -within.last - 1]
    steps, rows = steps[: len(after)], len(after)
    levels, largest = forecast.quantile_levels, after.max(axis=1)
    # The index is learned on the first half and judged on the second.
    half = rows // 2
    surprise = [surprisal(steps[row], levels, largest[row]) for row in range(half)]
    theta = extremal_index(float(np.nanmean(surprise)), within.count)
    peaks = (column.tolist() for column in peaks_of(steps[half:], levels))
    quantiles = np.array(
        [PeakDistribution(*peak).quantile(0.95, theta) for peak in zip(*peaks, strict=True)]
    )
    known = np.isfinite(largest[half:])
    bound = 1 - 0.05 / within.count
    said = (
        quantile_at(steps[half:], levels, 0.95).max(axis=1),
        quantiles,
        quantile_at(steps[half:], levels, bound).max(axis=1),
    )
    return (*(float((largest[half:][known] <= s[known]).mean()) for s in said), theta)
