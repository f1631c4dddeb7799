"""Values in whatever unit as requests per second, with one line that says so.

Used by `layouts` alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from forecaster.adapters.tables.columns import unit_of_name
from forecaster.adapters.tables.sources import SECONDS, TableSource, quoted
from forecaster.data.quality.grid import common_step
from forecaster.data.quality.values import StampArray
from forecaster.data.series import FloatArray

# Samples of a counter further apart than so many steps say nothing of any one step between them.
LONGEST_STEP = 1.5

StampedValues = tuple[StampArray, FloatArray]


def per_second(
    column: Hashable, cells: str | None, items: Sequence[StampedValues], source: TableSource
) -> list[FloatArray]:
    """Return the values of each item as requests per second.

    Args:
        column: the name of the column, which may state the unit.
        cells: the unit that stands in its cells.
        items: stamps and values of each item.
        source: whose user may say the unit.

    Raises:
        HistoryError: they are counts, and of what time is not known.
    """
    name = quoted(column)
    unit = source.hints.unit or cells or unit_of_name(column) or "rps"
    if unit == "count" and source.hints.unit is None:
        raise source.refusal(
            f"holds counts in column {name} by its name, but of what time? Say --unit count for "
            "that between two stamps, counter for one that only grows, or rps, rpm or rph"
        )
    if unit == "counter":
        source.note(f"column {name} is a counter; its increase per second is taken")
        return [_increase(stamps, values) for stamps, values in items]
    if unit in ("count", "sum"):
        step = common_step([stamps for stamps, _ in items]) or 1
        told = "" if source.hints.unit else " (--unit says otherwise)"
        source.note(f"column {name} holds counts per {step} s, its spacing; divided by it{told}")
        return [values / step for _, values in items]
    if SECONDS[unit] > 1:
        what = {"rpm": "minute", "rph": "hour"}[unit]
        source.note(f"column {name} holds requests per {what}; divided by {SECONDS[unit]}")
    return [values / SECONDS[unit] for _, values in items]


def _increase(stamps: StampArray, values: FloatArray) -> FloatArray:
    """Return the increase per second up to each stamp; NaN for the first, and after a gap.

    A decrease is a counter that began anew at 0, as for PromQL's ``increase``.

    >>> _increase(np.array([0, 60, 120, 180]), np.array([100.0, 160.0, 60.0, 120.0]))
    array([nan,  1.,  1.,  1.])
    """
    order = np.argsort(stamps, kind="stable")
    rates = np.full(len(values), np.nan)
    distances, growth = np.diff(stamps[order]), np.diff(values[order])
    growth = np.where(growth < 0, values[order][1:], growth)
    step = common_step([stamps]) or 1
    usable = (distances > 0) & (distances <= LONGEST_STEP * step)
    rates[order[1:][usable]] = growth[usable] / distances[usable]
    return rates
