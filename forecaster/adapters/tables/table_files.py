"""Files of any kind that is known, as the series in them.

Used by `history_files` alone.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from forecaster.adapters.tables.dialects import decoded, frame_of_text
from forecaster.adapters.tables.documents import (
    frame_of_exposition,
    frame_of_json,
    is_exposition,
    is_json,
)
from forecaster.adapters.tables.expansion import check_gzip, check_parquet, table_of
from forecaster.adapters.tables.layouts import raw_series
from forecaster.adapters.tables.sources import TableSource
from forecaster.data.quality import Finding, RawSeries
from forecaster.errors import HistoryError

PARQUET_ENDINGS = (".parquet", ".pq")
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
# What other files begin with, and what makes a history of them.
REFUSED = {
    b"PK\x03\x04": "is a workbook of Excel or an archive; save the sheet as CSV, or unpack it: "
    "unzip -p FILE > history.csv",
    b"\xd0\xcf\x11\xe0": "is a workbook of Excel; save it as CSV",
    b"BZh": "is packed; unpack it: bunzip2 FILE",
    b"\xfd7zXZ": "is packed; unpack it: unxz FILE",
    b"\x28\xb5\x2f\xfd": "is packed; unpack it: unzstd FILE",
    b"%PDF": "is a PDF; export the numbers behind it as CSV",
}
METADATA = b"tidegate.history"
VERSION = 1


@dataclass(frozen=True)
class StoredTable:
    """A file's items.

    ``step``, ``findings``, and ``holidays`` of items that have any, only if `write_history` wrote
    it.
    """

    raw: tuple[RawSeries, ...]
    notes: tuple[str, ...]
    step: timedelta | None = None
    findings: tuple[Finding, ...] | None = None
    holidays: Mapping[str, tuple[date, ...]] = field(default_factory=dict)


def read_table(path: Path, source: TableSource) -> StoredTable:
    """Return the series in a file.

    Args:
        path: its ending says nothing; its first bytes do.
        source: how to read it; its name and item become those of the file.

    Raises:
        HistoryError: it cannot be read as stamps and numbers.
    """
    name = path.name
    source = replace(source, name=str(path), default_item=name.partition(".")[0] or name, notes=[])
    stored: dict[str, Any] = {}
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head.startswith(PARQUET):
                frame, stored = _read_parquet(path)
            elif head.startswith(GZIP):
                check_gzip(path)
                frame, source = _read_text(gzip.decompress(head + file.read()), source)
            else:
                frame, source = _read_text(head + file.read(), source)
    except (
        *(OSError, EOFError, zlib.error, ValueError),
        *(pd.errors.ParserWarning, pa.ArrowException),
    ) as error:
        raise _unreadable(path, error) from error
    raw = tuple(raw_series(frame, source))
    if not stored:
        return StoredTable(raw, tuple(source.notes))
    findings = stored["findings"]
    return StoredTable(
        raw,
        tuple(source.notes),
        timedelta(seconds=stored["step_seconds"]),
        None if findings is None else tuple(Finding.from_record(record) for record in findings),
        {
            item: tuple(map(date.fromisoformat, days))
            for item, days in stored.get("holidays", {}).items()
        },
    )


def _read_text(data: bytes, source: TableSource) -> tuple[pd.DataFrame, TableSource]:
    for head, words in REFUSED.items():
        if data.startswith(head):
            raise source.refusal(words.replace("FILE", source.name))
    text = decoded(data, source)
    if text.lstrip()[:1] == "<":
        raise source.refusal("is a web page (HTML or XML), e.g. of a login; export it again as CSV")
    if is_exposition(text):
        return frame_of_exposition(text, source)
    if is_json(text):
        return frame_of_json(text, source)
    return frame_of_text(text, source)


def _read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    check_parquet(path)
    table = table_of(path)
    stored = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
    if stored.get("version", VERSION) > VERSION:
        raise HistoryError(
            f"{path} has format version {stored['version']}, but at most {VERSION} is known; "
            "update forecaster"
        )
    return table.to_pandas(ignore_metadata=True), stored


def _unreadable(path: Path, error: Exception) -> HistoryError:
    if isinstance(error, FileNotFoundError):
        return HistoryError(f"{path} does not exist; check the path")
    if isinstance(error, IsADirectoryError):
        return HistoryError(f"{path} is a directory; name one file in it")
    reason = str(error).strip()[:200] or type(error).__name__
    return HistoryError(f"{path} cannot be read ({reason}); is it complete? Write it again")
