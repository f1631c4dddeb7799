"""Layouts of a table: which columns hold items, stamps and values, and the series in them.

Used by `history_files` alone.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecaster.adapters.prometheus.label_sets import item_of_labels
from forecaster.adapters.tables.cells import numbers
from forecaster.adapters.tables.columns import (
    TableColumns,
    columns_of,
    is_index,
    is_stamp_name,
    says_utc,
    with_joined_items,
    zone_column,
)
from forecaster.adapters.tables.sources import TableSource, quoted
from forecaster.adapters.tables.stamps import epoch_seconds, times_of
from forecaster.adapters.tables.units import per_second
from forecaster.data.local_clock import people_zone, zone_named
from forecaster.data.quality import RawSeries
from forecaster.data.quality.values import StampArray
from forecaster.data.series import FloatArray

DAY = r"\d{1,4}([./-])\d{1,2}\1\d{1,4}|\d{8}"
CLOCK_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[AaPp][Mm])?"
HOUR = r"[01]?\d|2[0-3]"


def raw_series(df: pd.DataFrame, source: TableSource) -> Iterator[RawSeries]:
    """Yield the items of a long or wide frame in the order in which they appear."""
    df = _with_one_stamp(_without_index(_with_own_names(df, source), source))
    df, source = with_joined_items(df, source)
    zones = zone_column(df)
    columns = columns_of(df if zones is None else df.drop(columns=zones), source)
    people = _zones_of(df, zones, columns.item, source)
    if says_utc(columns.stamp):
        source = replace(source, timezone="UTC")
    stamps = df[columns.stamp]
    times = times_of(stamps, source)
    if columns.item is not None:
        yield from _long(df, columns, times, source, people)
        return
    seconds, assumed = epoch_seconds(stamps, times, source)
    for column in columns.values:
        name = item_of_labels(str(column)) if columns.named else source.default_item
        found, unit = numbers(df[column], source)
        rates = per_second(column, unit, [(seconds, found)], source)
        yield RawSeries(name, seconds, rates[0], assumed, people[0])


def _long(
    df: pd.DataFrame,
    columns: TableColumns,
    times: pd.Series[Any],
    source: TableSource,
    people: Sequence[str | None],
) -> Iterator[RawSeries]:
    (value,) = columns.values
    codes, names = pd.factorize(df[columns.item])
    if (codes < 0).any() or "" in names:
        empty = (codes < 0) | (df[columns.item] == "").to_numpy()
        row = int(df.index[int(np.argmax(empty))]) + source.first_row
        column = quoted(columns.item)
        raise source.refusal(f"has no item in column {column}, row {row}; name the item")
    found, unit = numbers(df[value], source)
    items: list[tuple[StampArray, FloatArray]] = []
    assumed = False
    for rows in _rows_of(codes, len(names)):
        seconds, assumed = epoch_seconds(df[columns.stamp].iloc[rows], times.iloc[rows], source)
        items.append((seconds, found[rows]))
    rates = per_second(value, unit, items, source)
    for name, (seconds, _), values, zone in zip(names, items, rates, people, strict=True):
        yield RawSeries(item_of_labels(str(name)), seconds, values, assumed, zone)


def _zones_of(
    df: pd.DataFrame, column: Hashable | None, item: Hashable | None, source: TableSource
) -> list[str | None]:
    """Return the time zone that each item follows, in their order; of one where none is named."""
    codes = np.zeros(len(df), dtype=np.int64) if item is None else pd.factorize(df[item])[0]
    named = people_zone(source.timezone)
    if column is None:
        return [named] * (int(codes.max(initial=0)) + 1)
    found = df[column].groupby(codes, sort=True).agg(["nunique", "first"])
    if (found["nunique"] > 1).any():
        raise source.refusal(f"names more than one zone of an item in {quoted(column)}; name one")
    return [named if pd.isna(zone) or not zone else zone_named(zone) for zone in found["first"]]


def _rows_of(codes: npt.NDArray[np.int64], count: int) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each item, in their order."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])


def _with_own_names(df: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    """Return the frame with each name once; columns of one name and the same cells are one."""
    if df.columns.is_unique:
        return df
    kept: dict[Hashable, int] = {}
    for place, name in enumerate(df.columns):
        if name not in kept:
            kept[name] = place
        elif df.iloc[:, place].equals(df.iloc[:, kept[name]]):
            source.note(f"two columns are called {quoted(name)} and hold the same; one is kept")
        else:
            raise source.refusal(
                f"has two columns that are called {quoted(name)} (columns {kept[name] + 1} and "
                f"{place + 1}); give each a name of its own"
            )
    return df.iloc[:, list(kept.values())]


def _without_index(df: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    """Return the frame without columns that number the rows."""
    for column in df.columns:
        if is_index(df, column):
            source.note(f"the column {quoted(column)} numbers the rows; left out")
            df = df.drop(columns=column)
    return df


def _with_one_stamp(df: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a column of days and one of times of day joined under its name."""
    days = [column for column in df.columns if _all_match(df[column], DAY)]
    clocks = [column for column in df.columns if _all_match(df[column], CLOCK_TIME)]
    hours = [column for column in df.columns if str(column).strip().lower() == "hour"]
    if not clocks and len(hours) == 1 and _all_match(df[hours[0]], HOUR):
        df = df.assign(**{str(hours[0]): df[hours[0]].astype(str).str.strip() + ":00"})
        clocks = hours
    if len(days) != 1 or len(clocks) != 1:
        return df
    (day,), (clock,) = days, clocks
    joined = df[day].astype(str).str.strip() + " " + df[clock].astype(str).str.strip()
    name = clock if is_stamp_name(clock) else day
    return df.drop(columns=[day, clock]).assign(**{str(name): joined})


def _all_match(column: pd.Series[Any], pattern: str) -> bool:
    """Return whether all cells are texts (or whole numbers) of a pattern."""
    if column.dtype.kind in "fbM" or not len(column):
        return False
    if not re.fullmatch(pattern, str(column.iloc[0]).strip()):
        return False
    return bool(column.astype(str).str.strip().str.fullmatch(pattern).all())
