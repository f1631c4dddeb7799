"""Values as data frames, in tidegate's columns and in those of Nixtla's libraries.

Nixtla's frames are long: unique_id, ds and y. Their times are UTC without a zone, for that is what
those libraries compute with; read one with ``timezone="UTC"``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecaster.adapters.tables.history_files import forecast_to_frame, history_to_frame
from forecaster.data.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from forecaster.data.series import Forecast, History
    from forecaster.evaluation.backtest import Backtest
    from forecaster.evaluation.scores import Score

MODEL = "tidegate"
MEDIAN = "q0.5"


def describe_history(history: History) -> pd.DataFrame:
    """Return a row per item: span, samples, share missing, and the demand's quantiles in QPS."""
    return frame_of([asdict(summary_of(series)) for series in history], ["item_id"])


def backtest_to_frame(backtest: Backtest) -> pd.DataFrame:
    """Return a row per item and candidate, ``served`` among them.

    Columns: pinball and crps in QPS; relative, relative_peaks and wape as ratios; the share of the
    moments at or below each level (``covered_0.9``), and of each day's five highest
    (``tops_covered_0.9``); the share at or below 0.95 by minute of the hour (``covered_at_17``),
    the least covered minute (``worst_minute``), and in how many hours it was seen.
    """
    rows = [
        {
            "item_id": item.item_id,
            "candidate": name,
            "pinball": score.pinball,
            "relative": score.relative,
            "relative_peaks": score.relative_peaks,
            "crps": score.crps,
            "wape": score.wape,
            **_shares("covered", backtest.quantile_levels, score.coverage),
            **_shares("tops_covered", backtest.quantile_levels, score.top_coverage),
            **_minutes(score),
        }
        for item in backtest.items
        for name, score in item.scores.items()
    ]
    return frame_of(rows, ["item_id", "candidate"])


def _shares(what: str, levels: Sequence[float], shares: Sequence[float]) -> dict[str, float]:
    return {f"{what}_{level:g}": share for level, share in zip(levels, shares, strict=True)}


def _minutes(score: Score) -> dict[str, float]:
    worst = score.worst_minute
    return {
        "worst_minute": np.nan if worst is None else worst.minute,
        "worst_minute_hours": np.nan if worst is None else worst.hours,
        **{f"covered_at_{minute:02d}": share for minute, share in enumerate(score.minute_coverage)},
    }


def history_to_nixtla(history: History) -> pd.DataFrame:
    """Return a long frame: unique_id, ds (UTC, without zone), y (QPS, NaN where missing)."""
    frame = history_to_frame(history).set_axis(["unique_id", "ds", "y"], axis=1)
    return frame.assign(ds=frame["ds"].dt.tz_localize(None))


def forecast_to_nixtla(forecast: Forecast) -> pd.DataFrame:
    """Return a long frame: unique_id, ds, cutoff, tidegate (the median) and tidegate-q-90 etc.

    ``cutoff`` is the stamp of the last sample that the forecast is based on; times are UTC without
    a zone.
    """
    frame = forecast_to_frame(forecast)
    places = np.repeat(np.arange(len(forecast.origins)), forecast.prediction_length)
    cutoff = pd.DatetimeIndex(forecast.origins)[places]
    quantiles = {
        f"{MODEL}-q-{round(100 * level, 6):g}": frame[f"q{level:g}"]
        for level in forecast.quantile_levels
    }
    return pd.DataFrame(
        {
            "unique_id": frame["item_id"],
            "ds": frame["timestamp"].dt.tz_localize(None),
            "cutoff": cutoff.tz_localize(None).as_unit("us"),
            **({MODEL: frame[MEDIAN]} if MEDIAN in frame else {}),
            **quantiles,
        }
    )


def frame_of(rows: Sequence[dict[str, Any]], index: list[str]) -> pd.DataFrame:
    """Return rows as a frame with an index of these columns."""
    return pd.DataFrame(rows).set_index(index)
