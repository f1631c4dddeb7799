"""What is known of one item at a glance, for `History.describe` and tables in notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forecaster.data.series import Series


@dataclass(frozen=True)
class ItemSummary:
    """The figures of one item; those of the demand are QPS, NaN where nothing is known.

    Attributes:
        item_id: of the item.
        start: stamp of the first sample.
        end: stamp one step after the last sample.
        samples: their number, missing ones included.
        missing: share of the samples that are not known.
        mean, median, p95, p99, maximum: of the known samples.
    """

    item_id: str
    start: datetime
    end: datetime
    samples: int
    missing: float
    mean: float
    median: float
    p95: float
    p99: float
    maximum: float


def summary_of(series: Series) -> ItemSummary:
    """Return the figures of one item."""
    known = series.values[np.isfinite(series.values)]
    quantiles = np.quantile(known, [0.5, 0.95, 0.99, 1.0]) if len(known) else np.full(4, np.nan)
    median, p95, p99, maximum = quantiles.tolist()
    return ItemSummary(
        series.item_id,
        series.start,
        series.end,
        len(series),
        1 - len(known) / len(series) if len(series) else 0.0,
        float(known.mean()) if len(known) else float("nan"),
        median, p95, p99, maximum,
    )  # fmt: skip
