"""Cells of text as numbers: decimal marks, thousands separators, and units behind the number.

Used by `layouts` alone. What is a plain number is read as it is, bit for bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecaster.adapters.tables.sources import TableSource, quoted
from forecaster.data.series import FloatArray
from forecaster.errors import HistoryError

EMPTY_CELLS = frozenset(
    ("", "nan", "null", "none", "na", "n/a", "#n/a", "nat", "<na>", "-", "undefined", "nil", r"\n")
)
# A number as people write it, and what stands behind it.
WRITTEN = re.compile(r"([+-]?[\d.,'’\s]*\d[.,]?(?:[eE][+-]?\d+)?)\s*([^\d\s][^\d]*)?")
GAPS = re.compile(r"(?<=\d)[\s'’](?=\d{3}(?!\d))")
PLAIN = {
    mark: re.compile(rf"[+-]?(?:\d{{1,3}}(?:{other}\d{{3}})+|\d*)(?:{mark}\d*)?(?:[eE][+-]?\d+)?")
    for mark, other in ((r"\.", ","), (",", r"\."))
}
# Grafana's short numbers, and its units of requests: `1.2 K`, `12 req/s`, `1.2K req/m`.
MULTIPLES = {"": 1.0, "k": 1e3, "m": 1e6, "mil": 1e6, "b": 1e9, "bil": 1e9, "g": 1e9, "t": 1e12}
BEHIND = re.compile(
    r"(?:(K|k|M|Mil|B|Bil|G|T)(?![a-z]))?\s*"
    r"(?:(?:(?:requests?|reqs?|r|hits?|ops|queries|c)?/(s|sec|second|m|min|minute|h|hour))"
    r"|(rps|reqps|qps|cps|ops|rpm|reqpm|rph))?",
)
# Units of what is no traffic, as Grafana writes them.
OTHER_UNIT = re.compile(r"%|[nuµm]?s|mins?|hours?|days?|[KMGT]i?B|[kMGT]?B|bytes|[Mm]?[Cc]ores?|°C")
THOUSANDS_ALONE = re.compile(r"[1-9]\d{0,2}\.\d{3}")
WHOLE = re.compile(r"\d{1,3}")
NOT_A_NUMBER = "is not a number; correct it, or leave the cell empty if the value is unknown"
NO_TRAFFIC = "is no rate of requests; name the column of the traffic by --value-column"
FEW = 3  # so many cells of three decimals, beside whole ones, are no chance


def refuse_cell(column: pd.Series[Any], at: int, source: TableSource, rule: str) -> HistoryError:
    """Return the error about one cell."""
    row = int(column.index[at]) + source.first_row
    cell, name = quoted(column.iloc[at]), quoted(column.name)
    return HistoryError(f"{source.name}, column {name}, row {row}: {cell} {rule}")


def number(cell: object) -> float:
    """Return a plain number; NaN for any other text."""
    try:
        return math.nan if "_" in str(cell) else float(str(cell))
    except ValueError:
        return math.nan


def is_empty(cell: object) -> bool:
    return str(cell).strip().lower() in EMPTY_CELLS


def is_number(cell: object) -> bool:
    """Return whether a cell is a number in whatever manner it is written, also one of a unit."""
    written = WRITTEN.fullmatch(str(cell).strip())
    if written is None:
        return not math.isnan(number(cell))
    behind = written[2] or ""
    return bool(BEHIND.fullmatch(behind) or OTHER_UNIT.fullmatch(behind))


def numbers(column: pd.Series[Any], source: TableSource) -> tuple[FloatArray, str | None]:
    """Return the cells as floats, empty ones as NaN, and the unit that stands in them.

    Raises:
        HistoryError: a cell is no number, or could be two.
    """
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        raise refuse_cell(column, 0, source, "is not a number; give requests per second")
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), None
    cells = column.to_numpy(dtype=object, na_value="")
    plain = np.array([number(cell) for cell in cells], dtype=np.float64)
    known = [at for at in range(len(cells)) if not (math.isnan(plain[at]) and is_empty(cells[at]))]
    texts = [str(cells[at]).strip() for at in known]
    if source.hints.decimal != "," and not np.isnan(plain[known]).any():
        if source.hints.decimal is None:
            _check_dots(column, known, texts, source)
        return plain, None
    plain[known], unit = _written(column, known, texts, source)
    return plain, unit


def _check_dots(
    column: pd.Series[Any], known: list[int], texts: Sequence[str], source: TableSource
) -> None:
    """Tell that dots are read as decimal marks where all could stand between thousands.

    Raises:
        HistoryError: they do so beside whole numbers, or where `;` shows that the comma is the
            decimal mark.
    """
    if not all(THOUSANDS_ALONE.fullmatch(text) or WHOLE.fullmatch(text) for text in texts):
        return
    dotted = [place for place, text in enumerate(texts) if "." in text]
    if len(dotted) >= FEW and (len(dotted) < len(texts) or source.delimiter == ";"):
        raise _two_ways(column, known[dotted[0]], source)
    if dotted:
        name, shown = quoted(column.name), quoted(texts[dotted[0]])
        source.note(f"column {name}: {shown} is read as a fraction (--decimal , says otherwise)")


def _written(
    column: pd.Series[Any], known: list[int], texts: list[str], source: TableSource
) -> tuple[FloatArray, str | None]:
    """Return numbers that are not plain, and the unit behind them."""
    heads, multiples, units = [], [], set()
    for at, text in zip(known, texts, strict=True):
        written = WRITTEN.fullmatch(text)
        behind = written and BEHIND.fullmatch(written[2] or "")
        if written is None or behind is None:
            if not math.isinf(number(text)):
                measured = written is not None and OTHER_UNIT.fullmatch(written[2] or "")
                raise refuse_cell(column, at, source, NO_TRAFFIC if measured else NOT_A_NUMBER)
            heads.append(text)
            multiples.append(1.0)
            continue
        heads.append(GAPS.sub("", written[1]))
        multiples.append(MULTIPLES[(behind[1] or "").lower()])
        if behind[2] or behind[3]:
            units.add(_unit(behind))
    if len(units) > 1:
        rule = f"and others have the units {' and '.join(sorted(units))}; give them one"
        raise refuse_cell(column, known[0], source, rule)
    mark = _decimal_mark(column, known, heads, source)
    _note(column, mark, texts, multiples, source)
    found = np.empty(len(heads))
    for place, head in enumerate(heads):
        found[place] = _parsed(head, mark) * multiples[place]
        if math.isnan(found[place]):
            rule = f"is not a number with the decimal mark {mark!r}; correct it, or say --decimal"
            raise refuse_cell(column, known[place], source, rule)
    return found, units.pop() if units else None


def _unit(behind: re.Match[str]) -> str:
    if behind[3]:
        return {"m": "rpm", "h": "rph"}.get(behind[3][-1], "rps")
    return {"s": "rps", "m": "rpm", "h": "rph"}[behind[2][0]]


def _parsed(head: str, mark: str) -> float:
    if math.isinf(number(head)):
        return number(head)
    if not PLAIN["," if mark == "," else r"\."].fullmatch(head):
        return math.nan
    other = "." if mark == "," else ","
    return number(head.replace(other, "").replace(mark, "."))


def _decimal_mark(
    column: pd.Series[Any], known: list[int], heads: list[str], source: TableSource
) -> str:
    """Return the decimal mark that the cells show; refuse those that show none."""
    if source.hints.decimal:
        return source.hints.decimal
    commas = [head for head in heads if "," in head]
    for head in commas or heads:
        if "." in head and "," in head:
            return "." if head.rindex(".") > head.rindex(",") else ","
        if head.count(",") > 1:
            return "."
        if head.count(".") > 1:
            return ","
        if "," in head and not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", head):
            return ","
    plain = [head for head in heads if "," not in head]
    if not commas or any("." in head for head in plain):
        return "."
    raise _two_ways(column, known[heads.index(commas[0])], source)


def _two_ways(column: pd.Series[Any], at: int, source: TableSource) -> HistoryError:
    rule = (
        "may be thousands or a fraction; say which mark separates the fraction: "
        "--decimal . or --decimal ,"
    )
    return refuse_cell(column, at, source, rule)


def _note(
    column: pd.Series[Any], mark: str, texts: list[str], multiples: list[float], source: TableSource
) -> None:
    name = quoted(column.name)
    if max(multiples, default=1.0) > 1.0:
        source.note(f"column {name} holds rounded numbers such as {quoted(max(texts, key=len))}")
    elif any(mark in text for text in texts) and mark == ",":
        source.note(f"column {name} is read with the decimal mark ','")
    elif any("," in text for text in texts):
        source.note(f"column {name} is read with ',' between thousands")
    else:
        source.note(f"column {name} holds numbers such as {quoted(max(texts, key=len))}")
