"""Data frames as histories: the inspected series of a frame, whatever its layout.

The layouts are those of `history_files`; a frame's times and items may be in its index, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import timedelta

import pandas as pd

from forecaster.adapters.tables.columns import ITEM_NAMES, STAMP_NAMES, ZONE_NAMES
from forecaster.adapters.tables.layouts import raw_series
from forecaster.adapters.tables.sources import FileHints, TableSource
from forecaster.data.quality import Action, Finding, Rule, inspect
from forecaster.data.series import History
from forecaster.errors import HistoryError

LOGGER = logging.getLogger(__name__)
# What a message calls by the option of a command is, of a frame, an argument.
ARGUMENTS = {
    "--value-column": "hints.value_columns",
    "--item-column": "hints.item_column",
    "--unit": "hints.unit",
    "--decimal": "hints.decimal",
    "--dates": "hints.dates",
    "--timezone": "timezone",
    "--step": "step",
}
# What a message gives such an option, quoted in a call.
GIVEN = r"(UTC|[A-Z]\w+/\w+|rps|rpm|rph|count|counter|day-first|month-first)(?![\w-])"
TOLD = 3  # so many findings about a frame are logged one by one


def history_from_frame(
    df: pd.DataFrame,
    *,
    step: timedelta | None = None,
    timezone: str | None = None,
    item_id: str = "series",
    hints: FileHints | None = None,
) -> History:
    """Return the inspected history of a long or wide frame; times may be in its index.

    Args:
        step: spacing of the grid; None takes the most common one.
        timezone: zone of stamps that have none; without it they are refused. Other than UTC, it
            also is the zone whose clocks the traffic follows, of items that name none.
        item_id: name of the item in a frame of two columns.
        hints: what the frame does not say itself, such as which column holds the traffic.

    Raises:
        HistoryError: the frame or an item in it cannot be used.
    """
    if not isinstance(df, pd.DataFrame):
        raise HistoryError(
            f"a history is made of a pandas DataFrame, not of a {type(df).__name__}; "
            f"{_how_to_frame(df)}, or read a file with read_history"
        )
    if step is not None and not isinstance(step, timedelta):
        raise HistoryError(f"step is {step!r}; give a timedelta, e.g. pd.Timedelta('1min')")
    if df.empty:
        raise HistoryError("the frame has no rows; give one per item and time, or per time")
    hints = hints or FileHints()
    df = _with_index_as_columns(df, hints)
    source = TableSource("the frame", item_id, timezone=timezone, hints=hints)
    try:
        series = tuple(raw_series(df, source))
        for note in source.notes:
            LOGGER.warning("the frame: %s", note)
        report = inspect(series, step=step)
    except HistoryError as error:
        raise HistoryError(_as_arguments(str(error))) from error
    _warn(report.findings)
    return report.history


def _how_to_frame(value: object) -> str:
    """Return how to make a frame of what was given in place of one."""
    for method in ("to_pandas", "to_frame"):  # of polars and pyarrow, of a pandas Series
        if hasattr(value, method):
            return f"call its {method}()"
    return "wrap it, e.g. pd.DataFrame(rows)"


def _with_index_as_columns(df: pd.DataFrame, hints: FileHints) -> pd.DataFrame:
    """Return the frame with the times and items in its index as columns; other levels are left out.

    A level holds them by its name, or by its type: a DatetimeIndex or a PeriodIndex.
    """
    told = (name.strip().lower() for name in hints.item_columns)
    named = {*ITEM_NAMES, *STAMP_NAMES, *ZONE_NAMES, *told}
    if isinstance(df.index, pd.DatetimeIndex | pd.PeriodIndex):
        return df.rename_axis(index=str(df.index.name or STAMP_NAMES[0])).reset_index()
    others = [
        place for place, name in enumerate(df.index.names) if str(name).strip().lower() not in named
    ]
    if len(others) == df.index.nlevels:
        return df.reset_index(drop=True)
    return df.reset_index(level=others, drop=True).reset_index() if others else df.reset_index()


def _warn(findings: Sequence[Finding]) -> None:
    """Log what is no longer as it was given; `describe` counts what is missing."""
    changed = [
        one
        for one in findings
        if one.action in {Action.REPAIRED, Action.LEFT_OUT} and one.rule is not Rule.UNORDERED
    ]
    for finding in changed[:TOLD]:
        LOGGER.warning("the frame: %s", _as_arguments(str(finding)))
    if len(changed) > TOLD:
        LOGGER.warning("the frame: and %d more findings like these", len(changed) - TOLD)


def _as_arguments(message: str) -> str:
    """Return a message with the arguments of `history_from_frame` in place of options.

    >>> _as_arguments("name it by --value-column, or 'qps' in the file")
    "name it by hints.value_columns, or 'qps' in the file"
    >>> _as_arguments("name the zone (--timezone UTC), or give --step 60s")
    "name the zone (timezone='UTC'), or give step=timedelta(seconds=60)"
    """
    message = re.sub(r"--step (\d+)s", r"step=timedelta(seconds=\1)", message)
    for option, argument in ARGUMENTS.items():
        message = re.sub(f"{option} {GIVEN}", rf"{argument}='\1'", message)
        message = message.replace(option, argument)
    return message
