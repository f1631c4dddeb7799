"""Histories and forecasts as CSV and Parquet files and as data frames.

A table is long (item_id, timestamp, qps; other common names are understood), wide (timestamp and
one column per item), or has two columns (timestamp, qps): one item, named after the file.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from forecaster.adapters.atomic_write import write_atomically
from forecaster.adapters.tables.expansion import check_gzip, check_parquet, table_of
from forecaster.adapters.tables.layouts import TableSource, raw_series
from forecaster.data.quality import (
    Finding,
    QualityReport,
    QualityRules,
    RawSeries,
    Window,
    examine,
    inspect,
    masked,
    verdict,
)
from forecaster.data.quality.values import StampArray
from forecaster.data.series import Forecast, History, Series
from forecaster.errors import HistoryError

CSV_ENDINGS = (".csv", ".csv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
METADATA = b"tidegate.history"
VERSION = 1


def read_history(
    path: Path | str,
    *,
    step: timedelta | None = None,
    rules: QualityRules | None = None,
    mask: tuple[Window, ...] = (),
    timezone: str | None = None,
    now: datetime | None = None,
) -> QualityReport:
    """Return the inspected history in a CSV or Parquet file.

    A file that `write_history` wrote with findings has been inspected already: it is returned as it
    is, with those findings, unless ``rules`` or another ``step`` are given.

    Args:
        step: spacing of the grid; None takes the most common one in the file.
        rules: None takes the default thresholds.
        mask: spans to set missing.
        timezone: zone of stamps that have none; without it they are refused.
        now: samples after it are refused; None does not check.

    Raises:
        HistoryError: the file or an item in it cannot be used.
    """
    found = examine_history(path, step=step, rules=rules, mask=mask, timezone=timezone, now=now)
    return verdict(*found, rules or QualityRules())


def examine_history(
    path: Path | str,
    *,
    step: timedelta | None = None,
    rules: QualityRules | None = None,
    mask: tuple[Window, ...] = (),
    timezone: str | None = None,
    now: datetime | None = None,
) -> tuple[tuple[Series, ...], tuple[Finding, ...]]:
    """Return the usable items in a file and all findings, refusals included; see `read_history`.

    Raises:
        HistoryError: the file cannot be read as a table of stamps and numbers.
    """
    table = _read(Path(path), timezone)
    if table.findings is not None and rules is None and step in (None, table.step):
        history = _as_written(table)
        if history is not None:
            report = masked(history, mask)
            return report.history.series, table.findings + report.findings
    rules = rules or QualityRules()
    return examine(table.raw, step=step or table.step, rules=rules, mask=mask, now=now)


def read_raw(path: Path | str, *, timezone: str | None = None) -> tuple[RawSeries, ...]:
    """Return the samples in a CSV or Parquet file as they are, one per item."""
    return _read(Path(path), timezone).raw


def write_history(
    path: Path | str, history: History, findings: Sequence[Finding] | None = None
) -> None:
    """Write a long Parquet file atomically: if that fails, the old file is unchanged.

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


def history_from_frame(
    df: pd.DataFrame,
    *,
    step: timedelta | None = None,
    timezone: str | None = None,
    item_id: str = "series",
) -> History:
    """Return the inspected history of a long or wide frame; times may be in its index.

    Args:
        timezone: zone of stamps that have none; without it they are refused.
        item_id: name of the item in a frame of two columns.
    """
    if isinstance(df.index, pd.DatetimeIndex):
        df = df.rename_axis(index=str(df.index.name or "timestamp")).reset_index()
    else:
        df = df.reset_index(drop=True)
    source = TableSource("the frame", item_id, timezone=timezone)
    return inspect(raw_series(df, source), step=step).history


def history_to_frame(history: History) -> pd.DataFrame:
    """Return a long frame: item_id, timestamp (UTC), qps (NaN where missing)."""
    lengths = [len(series) for series in history]
    return pd.DataFrame(
        {
            "item_id": pd.Series(np.repeat(history.item_ids, lengths), dtype="str"),
            "timestamp": _times(np.concatenate([series.stamps for series in history])),
            "qps": np.concatenate([series.values for series in history]),
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


@dataclass(frozen=True)
class _Table:
    """A file's items; ``step`` and ``findings`` only if `write_history` wrote it."""

    raw: tuple[RawSeries, ...]
    step: timedelta | None = None
    findings: tuple[Finding, ...] | None = None


def _read(path: Path, timezone: str | None) -> _Table:
    name = path.name.lower()
    if name.endswith(CSV_ENDINGS):
        frame, first_row, stored = _read_csv(path), 2, None
    elif name.endswith(PARQUET_ENDINGS):
        frame, stored = _read_parquet(path)
        first_row = 0
    else:
        raise HistoryError(
            f"{path}: unknown ending; a history is {', '.join(CSV_ENDINGS + PARQUET_ENDINGS)}"
        )
    stem = path.name[: name.index(".", 1)]
    source = TableSource(str(path), stem, first_row, timezone)
    raw = tuple(raw_series(frame, source))
    if not stored:
        return _Table(raw)
    findings = stored["findings"]
    return _Table(
        raw,
        timedelta(seconds=stored["step_seconds"]),
        None if findings is None else tuple(Finding.from_record(record) for record in findings),
    )


def _read_csv(path: Path) -> pd.DataFrame:
    """Return the cells as text; the index counts the lines after the header."""
    try:
        if path.name.lower().endswith(".gz"):
            check_gzip(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                index_col=False,
                encoding="utf-8-sig",
            )
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserWarning) as error:
        raise _unreadable(path, error) from error
    frame = frame.fillna("")
    return frame[(frame != "").any(axis=1)]


def _read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    try:
        check_parquet(path)
        table = table_of(path)
        stored = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if stored.get("version", VERSION) > VERSION:
        raise HistoryError(
            f"{path} has format version {stored['version']}, but at most {VERSION} is known; "
            "update forecaster"
        )
    return table.to_pandas(ignore_metadata=True), stored


def _unreadable(path: Path, error: Exception) -> HistoryError:
    if isinstance(error, FileNotFoundError):
        return HistoryError(f"{path} does not exist; check the path")
    reason = str(error).strip() or type(error).__name__
    return HistoryError(f"{path} cannot be read ({reason}); is it complete? Write it again")


def _as_written(table: _Table) -> History | None:
    """Return the items as stored; None if an edit of the file has moved them off their grid."""
    series = []
    for raw in table.raw:
        step = int(table.step.total_seconds()) if table.step else 0
        if not np.array_equal(raw.stamps, raw.stamps[0] + step * np.arange(len(raw.stamps))):
            return None
        if np.isinf(raw.values).any() or (raw.values < 0).any():
            return None
        start = datetime.fromtimestamp(int(raw.stamps[0]), tz=UTC)
        series.append(Series(raw.item_id, start, timedelta(seconds=step), raw.values))
    return History(tuple(series)) if series else None
