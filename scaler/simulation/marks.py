"""What a policy's query of masks marks of a recorded history, on the history's own grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecaster.data.series import FloatArray, Series


def marks_within(spans: Sequence[tuple[float, float]], series: Series) -> FloatArray:
    """Return 1 where a sample's stamp lies in one of the spans, as in training; else NaN.

    Args:
        spans: begin and end, which is not in it, in seconds since the epoch.
        series: the history.
    """
    marks = np.full(len(series), np.nan)
    for begin, end in spans:
        marks[(series.stamps >= begin) & (series.stamps < end)] = 1.0
    return marks


def marks_on_grid(answered: Series, series: Series) -> FloatArray:
    """Return what was answered at the moments up to each stamp of a history; NaN: nothing."""
    step_s, marks = series.step.total_seconds(), np.full(len(series), np.nan)
    places = -((float(series.stamps[0]) - answered.stamps) // step_s).astype(np.int64)
    is_in = (places >= 0) & (places < len(series))
    marks[places[is_in]] = answered.values[is_in]
    return marks
