"""Histories and forecasts as files (CSV and what else there is) and as data frames.

A table is long (item_id, timestamp, qps; other common names are understood), wide (timestamp and
one column per item), or has two columns (timestamp, qps): one item, named after the file. How a
file was understood where it could have been meant otherwise is told by findings of the rule READ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from forecaster.adapters.atomic_write import write_atomically
from forecaster.adapters.tables.sources import FileHints, TableSource
from forecaster.adapters.tables.table_files import (
    METADATA,
    PARQUET_ENDINGS,
    VERSION,
    StoredTable,
    read_table,
)
from forecaster.data.quality import (
    Action,
    Finding,
    QualityReport,
    QualityRules,
    RawSeries,
    Rule,
    Window,
    examine,
    masked,
    verdict,
)
from forecaster.data.quality.values import StampArray
from forecaster.data.series import Forecast, History, Series
from forecaster.errors import HistoryError

EPOCH = datetime.fromtimestamp(0, tz=UTC)


def read_history(  # noqa: PLR0913 - what a user may set, each by its name
    path: Path | str,
    *,
    step: timedelta | None = None,
    rules: QualityRules | None = None,
    mask: tuple[Window, ...] = (),
    timezone: str | None = None,
    hints: FileHints | None = None,
    now: datetime | None = None,
) -> QualityReport:
    """Return the inspected history in a file.

    A file that `write_history` wrote with findings has been inspected already: it is returned as it
    is, with those findings, unless ``rules`` or another ``step`` are given.

    Args:
        step: spacing of the grid; None takes the most common one in the file.
        rules: None takes the default thresholds.
        mask: spans to set missing.
        timezone: zone of stamps that have none; without it they are refused. Other than UTC, it
            also is the zone whose clocks the traffic follows, of items that name none.
        hints: what the file does not say itself, such as its unit or its decimal mark.
        now: samples after it are refused; None does not check.

    Raises:
        HistoryError: the file or an item in it cannot be used.
    """
    found = examine_history(
        path, step=step, rules=rules, mask=mask, timezone=timezone, hints=hints, now=now
    )
    return verdict(*found, rules or QualityRules())


def examine_history(  # noqa: PLR0913 - as `read_history`
    path: Path | str,
    *,
    step: timedelta | None = None,
    rules: QualityRules | None = None,
    mask: tuple[Window, ...] = (),
    timezone: str | None = None,
    hints: FileHints | None = None,
    now: datetime | None = None,
) -> tuple[tuple[Series, ...], tuple[Finding, ...]]:
    """Return the usable items in a file and all findings, refusals included; see `read_history`.

    Raises:
        HistoryError: the file cannot be read as a table of stamps and numbers.
    """
    table = _read(Path(path), timezone, hints)
    if table.findings is not None and rules is None and step in (None, table.step):
        history = _as_written(table)
        if history is not None:
            report = masked(history, mask)
            return _with_holidays(report.history.series, table), table.findings + report.findings
    rules = rules or QualityRules()
    series, findings = examine(table.raw, step=step or table.step, rules=rules, mask=mask, now=now)
    notes = (
        Finding(Path(path).name, Rule.READ, Action.NOTED, EPOCH, EPOCH, 0, note)
        for note in table.notes
    )
    return _with_holidays(series, table), (*notes, *findings)


def _with_holidays(series: tuple[Series, ...], table: StoredTable) -> tuple[Series, ...]:
    return tuple(replace(one, holidays=table.holidays.get(one.item_id, ())) for one in series)


def read_raw(
    path: Path | str, *, timezone: str | None = None, hints: FileHints | None = None
) -> tuple[RawSeries, ...]:
    """Return the samples in a file as they are, one per item."""
    return _read(Path(path), timezone, hints).raw


def write_history(
    path: Path | str, history: History, findings: Sequence[Finding] | None = None
) -> None:
    """Write a long Parquet file atomically: if that fails, the old file is unchanged.

    It keeps the items' time zones and holidays.

    Args:
        findings: of the inspection; None if the history has not been inspected.

    Raises:
        HistoryError: the file cannot be written.
    """
    target = Path(path)
    if not target.name.endswith(PARQUET_ENDINGS):
        raise HistoryError(f"{target}: histories are written as Parquet; name it *.parquet")
    stored = {
        "version": VERSION,
        "step_seconds": int(history.step.total_seconds()),
        "findings": None if findings is None else [finding.to_record() for finding in findings],
        "holidays": {one.item_id: list(map(str, one.holidays)) for one in history if one.holidays},
    }
    table = pa.Table.from_pandas(history_to_frame(history), preserve_index=False)
    table = table.replace_schema_metadata({METADATA: json.dumps(stored)})
    try:
        write_atomically(target, lambda file: pa.parquet.write_table(table, file))
    except (OSError, pa.ArrowException) as error:
        raise HistoryError(
            f"{target} cannot be written ({error}); free the disk or choose another place; "
            "a file that was there before is unchanged"
        ) from error


def history_to_frame(history: History) -> pd.DataFrame:
    """Return a long frame: item_id, timestamp (UTC), qps (NaN where missing).

    Where a time zone is named, there is a column timezone.
    """
    lengths = [len(series) for series in history]
    zones = [series.timezone or "" for series in history]
    named = {"timezone": pd.Series(np.repeat(zones, lengths), dtype="str")} if any(zones) else {}
    return pd.DataFrame(
        {
            "item_id": pd.Series(np.repeat(history.item_ids, lengths), dtype="str"),
            "timestamp": _times(np.concatenate([series.stamps for series in history])),
            "qps": np.concatenate([series.values for series in history]),
            **named,
        }
    )


def forecast_to_frame(forecast: Forecast) -> pd.DataFrame:
    """Return a long frame: item_id, timestamp (UTC), one column per level (`q0.5`), source."""
    length = forecast.prediction_length
    origins = np.array([origin.timestamp() for origin in forecast.origins]).astype(np.int64)
    ahead = int(forecast.step.total_seconds()) * np.arange(1, length + 1)
    columns = {
        f"q{level:g}": forecast.values[:, :, i].ravel()
        for i, level in enumerate(forecast.quantile_levels)
    }
    return pd.DataFrame(
        {
            "item_id": pd.Series(np.repeat(forecast.item_ids, length), dtype="str"),
            "timestamp": _times((origins[:, None] + ahead).ravel()),
            **columns,
            "source": pd.Series(np.repeat(forecast.sources, length), dtype="str"),
        }
    )


def _times(stamps: StampArray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.astype("datetime64[s]").astype("datetime64[us]")).tz_localize(
        "UTC"
    )


def _read(path: Path, timezone: str | None, hints: FileHints | None) -> StoredTable:
    return read_table(
        path, TableSource(str(path), "series", timezone=timezone, hints=hints or FileHints())
    )


def _as_written(table: StoredTable) -> History | None:
    """Return the items as stored; None if an edit of the file has moved them off their grid."""
    series = []
    for raw in table.raw:
        step = int(table.step.total_seconds()) if table.step else 0
        if not np.array_equal(raw.stamps, raw.stamps[0] + step * np.arange(len(raw.stamps))):
            return None
        if np.isinf(raw.values).any() or (raw.values < 0).any():
            return None
        start = datetime.fromtimestamp(int(raw.stamps[0]), tz=UTC)
        series.append(Series(raw.item_id, start, timedelta(seconds=step), raw.values, raw.timezone))
    return History(tuple(series)) if series else None
