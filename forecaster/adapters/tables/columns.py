"""What the columns of a table hold, by their names and first cells: stamps, items or traffic.

Used by `layouts` and `documents`. Where a name says nothing, the option that does is named.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecaster.adapters.tables.cells import is_empty, is_number
from forecaster.adapters.tables.sources import TableSource, listed, quoted
from forecaster.adapters.tables.stamps import looks_like_dates

ITEM_NAMES = ("item_id", "unique_id", "item", "service", "series_id", "series")
STAMP_NAMES = (
    *("timestamp", "ds", "time", "datetime", "date", "stamp", "ts"),
    *("_time", "@timestamp", "date_time", "epoch", "unix"),
)
VALUE_NAMES = ("qps", "y", "value", "target", "rps", "_value")
ZONE_NAMES = ("timezone", "time_zone")
INDEX_NAMES = ("", "#", "index", "__index_level_0__", "level_0")
UTC_BEHIND = re.compile(r"[ _]*[(\[]?(?:utc|gmt)[)\]]?$")
ZONE_BEHIND = re.compile(r"[ _]*[(\[][^)\]]*[)\]]$")

WHAT = r"(?:requests?|reqs?|quer(?:y|ies)|hits?|calls?|invocations?|transactions?|ops|r|count)"
TAIL = r"(?:_(?:total|sum|mean|avg|average|value))?$"
PER = {"rps": r"s|secs?|seconds?", "rpm": r"m|mins?|minutes?", "rph": r"h|hrs?|hours?"}
SHORT = {"rps": "qps|rps|reqps|tps|hps", "rpm": "qpm|rpm|reqpm|tpm", "rph": "qph|rph"}
RATES = {
    unit: re.compile(
        rf"(?:.*_)?(?:{WHAT}_?(?:per_|/_?)(?:{PER[unit]})|{SHORT[unit]}){TAIL}|[^/]+/_?(?:{PER[unit]}){TAIL}"
    )
    for unit in PER
}
SUM = re.compile(rf"sum|(?:.*_)?{WHAT}(?:_count)?_sum|sum_(?:.*_)?{WHAT}(?:_count)?")
COUNT = re.compile(
    rf"(?:(?:http|total|num|nr|number_of|sum|sample)_)*{WHAT}(?:_count|_total)*|requestcount"
)
NO_TRAFFIC = re.compile(
    r"(?:.*_)?(?:"
    r"(?:latency|duration)(?:_.*)?|replicas|pods|errors?|failures?|(?:error|failure|success|hit)_rate"
    r"|[45]xx|cpu|memory|mem|usage|utili[sz]ation|connections|in_?flight|depth|time|status|bucket"
    r"|ratio|percent(?:ile)?|pct|%|p\d{2,4}(?:_.*)?"
    r"|ms|us|millis|milliseconds|secs?|seconds|bytes|[kmg]i?b"
    r"|(?:errors?|failures?|bytes)_?(?:per_|/).*)"
)
NO_REQUESTS = re.compile(
    r"(?:^|_)(?:errors?|failures?|failed|latency|p\d\d|bytes|bits?|[kmgt]?i?b)(?:_|/)"
)
HALF = 0.5  # of the rows
ITEM_PATH = re.compile(r"[^/\s]+/(?!(?:s|sec|second|m|min|minute|h|hr|hour)\b)[^/]+")


@dataclass(frozen=True)
class TableColumns:
    """Which column of a table holds what.

    Attributes:
        stamp: the times.
        item: the names of the items; None where each value column is an item.
        values: the traffic.
        named: whether the value columns are named after their items.
    """

    stamp: Hashable
    item: Hashable | None
    values: tuple[Hashable, ...]
    named: bool


def columns_of(df: pd.DataFrame, source: TableSource) -> TableColumns:
    """Return what the columns hold.

    Raises:
        HistoryError: it is not clear which hold the stamps, the items or the traffic.
    """
    stamp = stamp_column(df, source)
    if stamp is None:
        raise source.refusal(
            f"has the columns {listed(df.columns)}, but none for the time; "
            f"name it {STAMP_NAMES[0]!r}"
        )
    others: list[Hashable] = [column for column in df.columns if column != stamp]
    item = _item_column(df, others, source)
    others = [column for column in others if column != item]
    if not others:
        raise source.refusal(f"has only the column {quoted(stamp)}; add one per item")
    values = traffic_columns(others, source)
    if item is not None and not values and len(others) == 1:
        values = others
    if item is not None and len(values) != 1:
        raise source.refusal(
            f"has the columns {listed(df.columns)}, but "
            f"{'more than one' if values else 'none'} for the traffic; "
            f"name it by --value-column, or {VALUE_NAMES[0]!r} in the file"
        )
    left_out = [column for column in others if column not in values] if values else []
    if left_out and item is None:
        source.note(f"the traffic is in {listed(values)}; left out: {listed(left_out)}")
    if item is not None:
        _check_left_out(df, [stamp, item], left_out, source)
        texts = [column for column in left_out if _is_text(df[column])]
        if texts:
            source.note(f"{quoted(item)} names the items; left out: {listed(texts)}")
    named = not values or len(values) > 1
    return TableColumns(stamp, item, tuple(values or others), named)


def zone_column(df: pd.DataFrame) -> Hashable | None:
    """Return the column of text that names the items' time zones, if there is one."""
    for column in df.columns:
        is_text = not (pd.api.types.is_numeric_dtype(df[column]) or looks_like_dates(df[column]))
        if str(column).strip().lower() in ZONE_NAMES and is_text:
            return column
    return None


def with_joined_items(df: pd.DataFrame, source: TableSource) -> tuple[pd.DataFrame, TableSource]:
    """Return the frame with one column in place of several that name the items together.

    Raises:
        HistoryError: there is no such column.
    """
    wanted = source.hints.item_columns
    if len(wanted) < 2:
        return df, source
    columns = [_called(name, list(df.columns), source, "--item-column") for name in wanted]
    joined = df[columns].astype(str).apply("/".join, axis=1)
    name = "/".join(map(str, columns))
    source = replace(source, hints=replace(source.hints, item_column=name))
    return df.drop(columns=columns).assign(**{name: joined}), source


def _check_left_out(
    df: pd.DataFrame, keys: list[Hashable], left_out: Sequence[Hashable], source: TableSource
) -> None:
    """Refuse rows that only a column that is left out tells apart; equal rows are no matter."""
    if not left_out or df.duplicated(keys, keep=False).mean() <= HALF:
        return
    if df.drop_duplicates().duplicated(keys, keep=False).mean() > HALF:
        raise source.refusal(
            f"has several rows of one time and item, which {listed(left_out)} may tell apart; name "
            f"the items by them too, --item-column {quoted(keys[1])} --item-column NAME, or add up "
            "the rows"
        )


def traffic_columns(names: Sequence[Hashable], source: TableSource) -> list[Hashable]:
    """Return the columns that clearly are the traffic; none where each may be an item's.

    Raises:
        HistoryError: some clearly are no traffic, and no other clearly is.
    """
    wanted = source.hints.value_columns
    if wanted:
        return [_called(name, names, source, "--value-column") for name in wanted]
    exact = _first(names, VALUE_NAMES)
    if exact is not None:
        return [exact]
    traffic = [name for name in names if not _is_no_traffic(name)]
    for found in (
        [name for name in traffic if unit_of_name(name) in RATES],
        [name for name in traffic if unit_of_name(name) == "sum"],
        [name for name in traffic if unit_of_name(name) == "count"],
    ):
        if found:
            return found
    if len(traffic) < len(names):
        other = [name for name in names if name not in traffic]
        raise source.refusal(
            f"has columns that are no requests per second by their names ({listed(other)}), and "
            "none that clearly is; name the traffic by --value-column, once for each"
        )
    return []


def unit_of_name(name: Hashable) -> str | None:
    """Return the unit that a column's name states: of a rate, "sum", or "count" without a time.

    >>> unit_of_name("http_requests_per_minute"), unit_of_name("Requests (Sum)")
    ('rpm', 'sum')
    >>> unit_of_name("RequestCount"), unit_of_name("shop/rps"), unit_of_name("shop/hours")
    ('count', None, None)
    """
    plain = _plain(name)
    if ITEM_PATH.fullmatch(str(name).strip()):
        return None
    for unit, rate in RATES.items():
        if rate.fullmatch(plain):
            return unit
    if SUM.fullmatch(plain):
        return "sum"
    return "count" if COUNT.fullmatch(plain) and plain != "r" else None


def stamp_column(df: pd.DataFrame, source: TableSource) -> Hashable | None:
    """Return the column of the stamps, by its name, or else by its cells."""
    found = _first(df.columns, STAMP_NAMES)
    if found is not None:
        return found
    for column in df.columns:
        if is_stamp_name(column):
            return column
    dates = [column for column in df.columns if looks_like_dates(df[column])]
    if len(dates) == 1:
        source.note(f"the times are in the column {quoted(dates[0])}")
        return dates[0]
    return None


def is_stamp_name(name: Hashable) -> bool:
    """Return whether a column is named like one of stamps, its zone or unit behind it or not."""
    plain = str(name).strip().lower()
    return any(behind.sub("", plain) in STAMP_NAMES for behind in (UTC_BEHIND, ZONE_BEHIND))


def says_utc(name: Hashable) -> bool:
    """Return whether the name of a column says that its stamps are UTC."""
    return bool(UTC_BEHIND.search(str(name).strip().lower()))


def is_index(df: pd.DataFrame, column: Hashable) -> bool:
    """Return whether a column numbers the rows, as pandas writes it beside the data."""
    name = str(column).strip().lower()
    if name not in INDEX_NAMES and not name.startswith("unnamed: "):
        return False
    if df[column].dtype.kind == "M":
        return False
    found = pd.to_numeric(df[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    restarts = np.isin(found, (0.0, 1.0))  # files that were put one behind the other
    rising = (np.diff(found, prepend=-1.0) > 0) & (found % 1 == 0)
    return bool(len(found)) and bool((rising | restarts).all())


def _item_column(
    df: pd.DataFrame, others: Sequence[Hashable], source: TableSource
) -> Hashable | None:
    if source.hints.item_columns:
        return _called(source.hints.item_columns[0], others, source, "--item-column")
    found = _first(others, ITEM_NAMES)
    if found is not None or len(others) < 2:
        return found
    texts = [column for column in others if _is_text(df[column])]
    if not texts or len(texts) == len(others):
        return None
    if len(texts) > 1:
        raise source.refusal(
            f"has several columns of text ({listed(texts)}); name the one that names the items "
            "by --item-column; repeated, it joins several by '/'"
        )
    source.note(f"the column {quoted(texts[0])} names the items")
    return texts[0]


def _is_text(column: pd.Series[str]) -> bool:
    """Return whether the first cell that is not empty is no number."""
    if column.dtype.kind in "iufbM":
        return False
    cells = (cell for cell in column if not is_empty(cell))
    first = next(cells, None)
    return first is not None and not is_number(first)


def _is_no_traffic(name: Hashable) -> bool:
    if ITEM_PATH.fullmatch(str(name).strip()):
        return False
    plain = _plain(name)
    if any(rate.fullmatch(plain) for rate in RATES.values()):
        return bool(NO_REQUESTS.search(plain))
    return bool(NO_TRAFFIC.fullmatch(plain))


def _plain(name: Hashable) -> str:
    """Return a name in lower case, its words separated by underscores.

    >>> _plain("RequestCount"), _plain("Requests (Sum)"), _plain("req/s")
    ('request_count', 'requests_sum', 'req/s')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name))
    return re.sub(r"[^a-z0-9%/]+", "_", words.lower()).strip("_")


def _called(name: str, names: Sequence[Hashable], source: TableSource, option: str) -> Hashable:
    found = _first(names, (name.strip().lower(),))
    if found is None:
        raise source.refusal(f"has no column {quoted(name)} ({option}); it has {listed(names)}")
    return found


def _first(columns: Sequence[Hashable] | pd.Index[str], names: Sequence[str]) -> Hashable | None:
    """Return the first column with one of the names, whatever its case and outer blanks."""
    found = {str(column).strip().lower(): column for column in reversed(list(columns))}
    return next((found[name] for name in names if name in found), None)
