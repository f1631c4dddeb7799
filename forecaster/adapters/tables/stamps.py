"""Columns of stamps as seconds since 1970: dates as people write them, epochs, Excel's days.

Used by `layouts` alone. What could be two moments is refused with the option that says which.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecaster.adapters.tables.cells import refuse_cell
from forecaster.adapters.tables.sources import TableSource, quoted
from forecaster.data.quality.grid import unit_of
from forecaster.data.quality.values import StampArray
from forecaster.data.series import FloatArray
from forecaster.errors import HistoryError

# An offset stands behind a time of day: the -04 of 2026-03-04 is none.
# (Patterns for whole columns have no \d and no look-around: Arrow matches them many times faster.)
AWARE_TEXT = (
    r"(?:[Zz]|UTC|GMT"
    r"|(?:[:T][0-9]{2}|[0-9]{6}|[.][0-9]+|[Mm]|GMT) *[+-][0-9]{2}(?::?[0-9]{2})?)$"
)
EPOCH_TEXT = r"[+-]?[0-9]+(?:[.][0-9]*)?(?:[eE][+-]?[0-9]+)?"
EXCEL_TEXT = r"[0-9]{5},[0-9]+"  # days, with the decimal comma
# What stands behind an offset: the zone's name in Go, JavaScript and Java.
NAME = r"(?: [A-Z]{3,4}| ?[(].*[)]|\[.*\])$"
ZONE_NAMED = r"(?:[+-][0-9]{2}:?[0-9]{2}|[0-9]Z)" + NAME
# The same stamp as pandas spells it: a Z for UTC, and a dot before fractions of a second.
SPELT = {r"([0-9]) ?(?:UTC|GMT)$": r"\1Z", r"(:[0-9]{2}),([0-9]+)": r"\1.\2"}
UTC_NAMED = r"(?:UTC|GMT)$"
# Zones that stand for several offsets in the world.
ABBREVIATED = r"[0-9] ?(?:[AaPp][Mm])? ([A-Z]{3,5})$"
CLOCK = r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*([AaPp][Mm])?\s*(\S*))?"
DAY_MONTH = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})" + CLOCK)
YEAR_FIRST = re.compile(r"(\d{4})([./-])(\d{1,2})\2(\d{1,2})" + CLOCK)
MONTH_NAME = r"(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b"
DATE_LIKE = (re.compile(r"\d{4}-\d\d-\d\d.*"), DAY_MONTH, YEAR_FIRST)
EXCEL_DAYS = (36_526, 73_051)  # 2000 to 2099
EXCEL_ORIGIN = "1899-12-30"
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
COMPACT_YEARS = (1990, 2100)  # no epoch in seconds begins with them before 2033


def times_of(column: pd.Series[Any], source: TableSource) -> pd.Series[Any]:
    """Return a column of stamps as whole seconds since 1970, or as times.

    Raises:
        HistoryError: a cell is no stamp, or could be two.
    """
    if pd.api.types.is_bool_dtype(column):
        raise refuse_cell(column, 0, source, "is not a time; write e.g. 2026-03-29T01:00:00Z")
    if pd.api.types.is_datetime64_any_dtype(column):
        return _of_numpy(column)
    if pd.api.types.is_numeric_dtype(column):
        return _of_numbers(column, column.to_numpy(dtype=np.float64, na_value=np.nan), source)
    texts = _without_zone_names(column, source)
    if len(texts) and texts.str.fullmatch(EXCEL_TEXT).all():
        texts = texts.str.replace(",", ".")
    if texts.str.fullmatch(EPOCH_TEXT).all():
        if len(texts) > 1 and "E" in texts.iloc[0].upper() and texts.nunique() == 1:
            rule = "is in every row, rounded by a spreadsheet; export the stamps with all digits"
            raise refuse_cell(column, 0, source, rule)
        return _of_numbers(column, texts.to_numpy(dtype=np.float64), source)
    aware = texts.str.contains(AWARE_TEXT, regex=True)
    if aware.any() and not aware.all():
        at = int(np.argmin(aware.to_numpy()))
        rule = "has no time zone, but others have; add it, e.g. Z"
        raise refuse_cell(column, at, source, rule)
    return _parsed(column, texts, aware=bool(aware.all()), source=source)


def _without_zone_names(column: pd.Series[Any], source: TableSource) -> pd.Series[str]:
    """Return the texts without names of zones that stand behind an offset, or for --timezone."""
    texts = column.astype(str).str.strip()
    if _all_contain(texts, ZONE_NAMED):
        texts = texts.str.replace(NAME, "", regex=True)
    if _all_contain(texts, ABBREVIATED) and not _all_contain(texts, UTC_NAMED):
        if source.timezone is None:
            rule = "names its zone by letters that mean several; name it: --timezone Europe/Berlin"
            raise refuse_cell(column, 0, source, rule)
        texts = texts.str.replace(r" [A-Z]{3,5}$", "", regex=True)
    return texts


def _all_contain(texts: pd.Series[str], pattern: str) -> bool:
    """Return whether a pattern is in all texts; most have it nowhere, which the first shows."""
    if not len(texts) or not re.search(pattern, texts.iloc[0]):
        return False
    return bool(texts.str.extract(f"({pattern})")[0].notna().all())


def epoch_seconds(
    column: pd.Series[Any], times: pd.Series[Any], source: TableSource
) -> tuple[StampArray, bool]:
    """Return seconds since the epoch, and whether the given time zone was assumed for them.

    Args:
        column: the stamps of one item as they are written, for messages.
        times: what `times_of` has read them as; fractions of seconds are rounded.

    Raises:
        HistoryError: a stamp is empty, or needs a zone that is not named.
    """
    if not pd.api.types.is_datetime64_any_dtype(times):
        return times.to_numpy(dtype=np.int64), False
    if times.isna().any():
        raise refuse_cell(column, int(np.argmax(times.isna())), source, "is empty; remove the row")
    aware = times.dt.tz is not None
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None) if aware else None
    utc = _in_zone(column, times, source) if utc is None else utc
    micros = utc.to_numpy(dtype="datetime64[us]").astype(np.int64)
    seconds: npt.NDArray[np.int64] = (micros + 500_000) // 1_000_000
    return seconds, not aware


def looks_like_dates(column: pd.Series[Any]) -> bool:
    """Return whether the first cell of text is a date."""
    if column.dtype.kind in "iufbM":
        return column.dtype.kind == "M"
    texts = (str(cell).strip() for cell in column)
    first = next((text for text in texts if text), "")
    return any(like.fullmatch(first) for like in DATE_LIKE)


def _of_numpy(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times in numpy's type, which alone knows a zone's skipped and repeated hours."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    return pd.Series(pd.DatetimeIndex(column), index=column.index)


def _of_numbers(column: pd.Series[Any], numbers: FloatArray, source: TableSource) -> pd.Series[Any]:
    """Return what numbers stand for: seconds of an epoch, Excel's days, or digits of a date."""
    if not np.isfinite(numbers).all():
        at = int(np.argmin(np.isfinite(numbers)))
        rule = "is not a time; write seconds since 1970, or a date"
        raise refuse_cell(column, at, source, rule)
    if (np.abs(numbers) > 9e18).any():
        at = int(np.argmax(np.abs(numbers)))
        raise refuse_cell(column, at, source, "is too large; stamps are seconds since 1970")
    name = quoted(column.name)
    if len(numbers) and numbers.min() >= EXCEL_DAYS[0] and numbers.max() < EXCEL_DAYS[1]:
        source.note(f"column {name} is read as Excel's days since 1899-12-30")
        seconds = pd.Series(np.rint(numbers * 86_400).astype(np.int64), index=column.index)
        return pd.Timestamp(EXCEL_ORIGIN) + pd.to_timedelta(seconds, unit="s")
    whole = pd.Series(np.rint(numbers), index=column.index, dtype=np.int64)
    digits = len(str(whole.iloc[0])) if len(whole) else 0
    if digits in COMPACT and _are_years(whole // 10 ** (digits - 4)):
        times = pd.to_datetime(whole.astype(str), format=COMPACT[digits], errors="coerce")
        if digits >= 12 and times.isna().any():
            rule = f"is no date like {whole.iloc[0]}; correct it"
            raise refuse_cell(column, int(np.argmax(times.isna())), source, rule)
        if not times.isna().any():
            source.note(f"column {name} is read as dates such as {times.iloc[0]}")
            return times
    unit, factor = unit_of(np.rint(numbers).astype(np.int64))
    if factor > 1:
        source.note(f"column {name} is read as {unit} since 1970")
    return pd.Series(np.rint(numbers / factor).astype(np.int64), index=column.index)


def _are_years(years: pd.Series[int]) -> bool:
    return bool(years.between(COMPACT_YEARS[0], COMPACT_YEARS[1] - 1).all())


def _parsed(
    column: pd.Series[Any], texts: pd.Series[str], *, aware: bool, source: TableSource
) -> pd.Series[Any]:
    times = pd.to_datetime(texts, format="ISO8601", utc=aware, errors="coerce")
    if times.isna().any():
        for spelling, plain in SPELT.items():
            texts = texts.str.replace(spelling, plain, regex=True)
        times = pd.to_datetime(texts, format="ISO8601", utc=aware, errors="coerce")
    if times.isna().any():
        if texts.str.contains(MONTH_NAME, regex=True).all():
            spoken = texts.str.replace(r"GMT(?=[+-])", "", regex=True)
            times = pd.to_datetime(spoken, format="mixed", utc=aware, errors="coerce")
        else:
            written = _iso_of_written(column, texts, source)
            if written is not None:
                times = pd.to_datetime(written, format="ISO8601", utc=aware, errors="coerce")
    if times.isna().any():
        at = int(np.argmax(times.isna()))
        rule = "is not a time; write ISO 8601, e.g. 2026-03-29T01:00:00Z, or seconds since 1970"
        raise refuse_cell(column, at, source, rule)
    return times


def _iso_of_written(
    column: pd.Series[Any], texts: pd.Series[str], source: TableSource
) -> pd.Series[str] | None:
    """Return dates such as 03.04.2026 00:05 in ISO 8601; None if they are none."""
    year_first = texts.str.extract(f"^{YEAR_FIRST.pattern}$")
    if year_first[0].notna().all():
        parts = year_first.rename(columns={0: "year", 2: "month", 3: "day"})
        return _iso(parts)
    parts = texts.str.extract(f"^{DAY_MONTH.pattern}$")
    if parts[0].isna().any():
        return None
    day_first = _day_first(column, parts, source)
    names = {0: "day", 2: "month"} if day_first else {0: "month", 2: "day"}
    parts = parts.rename(columns={**names, 3: "year"})
    parts["year"] = parts["year"].where(parts["year"].str.len() == 4, "20" + parts["year"])
    order = "day" if day_first else "month"
    source.note(f"column {quoted(column.name)} is read as dates with the {order} first")
    return _iso(parts)


def _day_first(column: pd.Series[Any], parts: pd.DataFrame, source: TableSource) -> bool:
    if source.hints.dates:
        return source.hints.dates == "day-first"
    if (parts[1] == "-").all() and (parts[3].str.len() == 2).all():
        rule = "may begin with the day, the month or the year; write the year with four digits"
        raise refuse_cell(column, 0, source, f"{rule}, or say --dates day-first or month-first")
    first, second = parts[0].astype(int) > 12, parts[2].astype(int) > 12
    if first.any() and second.any():
        rule = "has the day first and the month second, but others have them the other way round"
        raise refuse_cell(column, int(np.argmax(first)), source, f"{rule}; write ISO 8601")
    if first.any() or second.any():
        return bool(first.any())
    if (parts[1] == ".").all():
        return True  # nobody writes the month first before a dot
    rule = (
        "may have the day or the month first; say which: --dates day-first or --dates month-first"
    )
    raise refuse_cell(column, 0, source, rule)


def _iso(parts: pd.DataFrame) -> pd.Series[str]:
    """Return the parts of dates, and of `CLOCK` behind them, in ISO 8601."""
    hour = parts[4].fillna("0").astype(int)
    half = parts[7].str.lower()
    hour = hour.where(half.isna(), hour % 12 + 12 * (half == "pm"))
    text: pd.Series[str] = parts["year"] + "-" + parts["month"].str.zfill(2)
    text = text + "-" + parts["day"].str.zfill(2) + "T" + hour.astype(str).str.zfill(2)
    return text + ":" + parts[5].fillna("00") + ":" + parts[6].fillna("00") + parts[8].fillna("")


def _in_zone(column: pd.Series[Any], times: pd.Series[Any], source: TableSource) -> pd.Series[Any]:
    """Return naive UTC for naive local times."""
    if source.timezone is None:
        rule = (
            "has no time zone; write e.g. a Z behind UTC stamps, or name the zone "
            "(--timezone UTC, --timezone Europe/Berlin)"
        )
        raise refuse_cell(column, 0, source, rule)
    falling = len(times) and times.iloc[0] > times.iloc[-1]
    ordered = times[::-1] if falling else times  # as pandas wants them to see which hour is which
    try:
        there = ordered.dt.tz_localize(source.timezone, ambiguous="infer", nonexistent="raise")
    except (
        KeyError,
        ValueError,
    ) as error:  # an unknown zone, or a local time that is skipped or repeated there
        raise HistoryError(
            f"{source.name}, column {quoted(column.name)}: stamps do not fit the time zone "
            f"{source.timezone!r} ({str(error)[:200]}); name the zone they were written in, or "
            "export them in UTC"
        ) from error
    _check_letters(column, there, source)
    utc: pd.Series[Any] = there.dt.tz_convert("UTC").dt.tz_localize(None)
    return utc[::-1] if falling else utc


def _check_letters(column: pd.Series[Any], there: pd.Series[Any], source: TableSource) -> None:
    """Refuse stamps whose letters, such as CET, are not those of the zone at that time."""
    texts = column.astype(str).str.strip()
    if not _all_contain(texts, ABBREVIATED):
        return
    zones, names = texts.str.extract(ABBREVIATED)[0], there.dt.strftime("%Z").reindex(texts.index)
    wrong = ((zones != names) & names.str.isalpha()).to_numpy()
    if wrong.any():
        at = int(np.argmax(wrong))
        rule = f"is {quoted(names.iloc[at])} in the zone {source.timezone}; name that of the stamps"
        raise refuse_cell(column, at, source, f"{rule} by --timezone")
    source.note(f"{', '.join(zones.unique())} behind the stamps is read as {source.timezone}")
