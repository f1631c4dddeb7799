"""Layouts of a table: which columns hold items, stamps and values, and their cells as numbers.

Used by `history_files` alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecaster.data.quality import RawSeries
from forecaster.data.quality.values import StampArray
from forecaster.data.series import FloatArray
from forecaster.errors import HistoryError

ITEM_NAMES = ("item_id", "unique_id", "item", "service", "series_id")
STAMP_NAMES = ("timestamp", "ds", "time", "datetime", "date", "stamp", "ts")
VALUE_NAMES = ("qps", "y", "value", "target", "rps")
EMPTY_CELLS = frozenset({"", "nan", "null", "none", "na", "n/a", "nat", "<na>"})
AWARE_TEXT = r"(?:[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)$"
EPOCH_TEXT = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class TableSource:
    """Where a table comes from, for messages, and how to read it.

    Attributes:
        name: the file, or "the frame".
        default_item: the item of a table that names none.
        first_row: number of the first row of data, as an editor shows it.
        timezone: zone of stamps without one; None refuses them.
    """

    name: str
    default_item: str
    first_row: int = 0
    timezone: str | None = None


def raw_series(df: pd.DataFrame, source: TableSource) -> Iterator[RawSeries]:
    """Yield the items of a long or wide frame in the order in which they appear."""
    stamp = _only(df, STAMP_NAMES)
    if stamp is None:
        raise HistoryError(
            f"{source.name} has the columns {_listed(df.columns)}, but none for the time; "
            f"name it {STAMP_NAMES[0]!r}"
        )
    item, value = _only(df, ITEM_NAMES), _only(df, VALUE_NAMES)
    others = [column for column in df.columns if column not in (stamp, item)]
    if item is not None:
        value = others[0] if value is None and len(others) == 1 else value
        if value is None:
            raise HistoryError(
                f"{source.name} has the columns {_listed(df.columns)}, but none for the traffic; "
                f"name it {VALUE_NAMES[0]!r}"
            )
        yield from _long(df, item, stamp, value, source)
        return
    if not others:
        raise HistoryError(f"{source.name} has only the column {stamp!r}; add one per item")
    single = len(others) == 1 and others[0] == value
    stamps, assumed = _epoch_seconds(df[stamp], source)
    for column in others:
        name = source.default_item if single else str(column)
        yield RawSeries(name, stamps, _numbers(df[column], source), zone_assumed=assumed)


def _long(
    df: pd.DataFrame, item: Hashable, stamp: Hashable, value: Hashable, source: TableSource
) -> Iterator[RawSeries]:
    codes, names = pd.factorize(df[item])
    if (codes < 0).any() or "" in names:
        row = int(np.argmax((codes < 0) | (df[item] == "").to_numpy())) + source.first_row
        raise HistoryError(f"{source.name}, column {item!r}, row {row}: empty; name the item")
    numbers = _numbers(df[value], source)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    for name, rows in zip(names, parts, strict=True):
        stamps, assumed = _epoch_seconds(df[stamp].iloc[rows], source)
        yield RawSeries(str(name), stamps, numbers[rows], zone_assumed=assumed)


def _only(df: pd.DataFrame, names: tuple[str, ...]) -> Hashable | None:
    """Return the first column with one of the names, whatever its case and outer blanks."""
    found = {str(column).strip().lower(): column for column in reversed(df.columns)}
    return next((found[name] for name in names if name in found), None)


def _listed(columns: pd.Index[Any]) -> str:
    shown = [repr(str(column)) for column in columns[:8]]
    return ", ".join(shown) + (f" and {len(columns) - 8} more" if len(columns) > 8 else "")


def _refuse(column: pd.Series[Any], at: int, source: TableSource, rule: str) -> HistoryError:
    row = int(column.index[at]) + source.first_row
    cell = column.iloc[at]
    return HistoryError(f"{source.name}, column {column.name!r}, row {row}: {cell!r} {rule}")


def _numbers(column: pd.Series[Any], source: TableSource) -> FloatArray:
    """Return the cells as floats, bit for bit; empty ones as NaN."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise _refuse(column, 0, source, "is not a number; give requests per second")
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    cells = column.to_numpy(dtype=object, na_value="")
    numbers = np.empty(len(cells))
    for at, cell in enumerate(cells):
        numbers[at] = number = _number(cell)
        if math.isnan(number) and str(cell).strip().lower() not in EMPTY_CELLS:
            rule = "is not a number; correct it, or leave the cell empty if the value is unknown"
            raise _refuse(column, at, source, rule)
    return numbers


def _number(cell: object) -> float:
    try:
        return math.nan if "_" in str(cell) else float(str(cell))
    except ValueError:
        return math.nan


def _epoch_seconds(column: pd.Series[Any], source: TableSource) -> tuple[StampArray, bool]:
    """Return seconds since the epoch, and whether the given time zone was assumed for them."""
    if pd.api.types.is_bool_dtype(column):
        raise _refuse(column, 0, source, "is not a time; write e.g. 2026-03-29T01:00:00Z")
    if pd.api.types.is_datetime64_any_dtype(column):
        times = column
    elif pd.api.types.is_numeric_dtype(column):
        return _whole(column, column.to_numpy(dtype=np.float64, na_value=np.nan), source), False
    else:
        texts = column.astype(str).str.strip()
        if texts.str.fullmatch(EPOCH_TEXT).all():
            return _whole(column, texts.to_numpy(dtype=np.float64), source), False
        aware = texts.str.contains(AWARE_TEXT, regex=True)
        if aware.any() and not aware.all():
            at = int(np.argmin(aware.to_numpy()))
            raise _refuse(column, at, source, "has no time zone, but others have; add it, e.g. Z")
        times = _parsed(column, texts, aware=bool(aware.all()), source=source)
    if times.isna().any():
        raise _refuse(column, int(np.argmax(times.isna())), source, "is empty; remove the row")
    if times.dt.tz is not None:
        return _seconds_of(times.dt.tz_convert("UTC").dt.tz_localize(None)), False
    return _seconds_of(_in_zone(column, times, source)), True


def _whole(column: pd.Series[Any], numbers: FloatArray, source: TableSource) -> StampArray:
    if not np.isfinite(numbers).all():
        at = int(np.argmin(np.isfinite(numbers)))
        raise _refuse(column, at, source, "is not a time; write seconds since 1970, or a date")
    if (np.abs(numbers) > 9e18).any():
        at = int(np.argmax(np.abs(numbers)))
        raise _refuse(column, at, source, "is too large; stamps are seconds since 1970")
    return np.rint(numbers).astype(np.int64)


def _seconds_of(times: pd.Series[Any]) -> StampArray:
    """Return whole seconds of naive UTC times; fractions are rounded."""
    micros = times.to_numpy(dtype="datetime64[us]").astype(np.int64)
    seconds: npt.NDArray[np.int64] = (micros + 500_000) // 1_000_000
    return seconds


def _parsed(
    column: pd.Series[Any], texts: pd.Series[str], *, aware: bool, source: TableSource
) -> pd.Series[Any]:
    times = pd.to_datetime(texts, format="ISO8601", utc=aware, errors="coerce")
    if times.isna().any():
        at = int(np.argmax(times.isna()))
        rule = "is not a time; write ISO 8601, e.g. 2026-03-29T01:00:00Z, or seconds since 1970"
        raise _refuse(column, at, source, rule)
    return times


def _in_zone(column: pd.Series[Any], times: pd.Series[Any], source: TableSource) -> pd.Series[Any]:
    """Return naive UTC for naive local times."""
    if source.timezone is None:
        rule = (
            "has no time zone; write e.g. a Z behind UTC stamps, or name the zone "
            "(--timezone UTC, --timezone Europe/Berlin)"
        )
        raise _refuse(column, 0, source, rule)
    try:
        there = times.dt.tz_localize(source.timezone, ambiguous="infer", nonexistent="raise")
    except (
        KeyError,
        ValueError,
    ) as error:  # an unknown zone, or a local time that is skipped or repeated there
        raise HistoryError(
            f"{source.name}, column {column.name!r}: stamps do not fit the time zone "
            f"{source.timezone!r} ({error}); name the zone they were written in"
        ) from error
    utc: pd.Series[Any] = there.dt.tz_convert("UTC").dt.tz_localize(None)
    return utc
