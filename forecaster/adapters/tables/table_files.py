"""Files of any kind that is known, as the series in them.

Used by `history_files` alone.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, replace
from datetime import timedelta
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
from forecaster.adapters.tables.endings import is_text
from forecaster.adapters.tables.expansion import check_gzip, check_parquet, table_of
from forecaster.adapters.tables.layouts import raw_series
from forecaster.adapters.tables.sources import TableSource
from forecaster.data.quality import Finding, RawSeries
from forecaster.errors import HistoryError

METADATA = b"tidegate.history"
VERSION = 1


@dataclass(frozen=True)
class StoredTable:
    """A file's items; ``step`` and ``findings`` only if `write_history` wrote it."""

    raw: tuple[RawSeries, ...]
    notes: tuple[str, ...]
    step: timedelta | None = None
    findings: tuple[Finding, ...] | None = None


def read_table(path: Path, source: TableSource) -> StoredTable:
    """Return the series in a file.

    Args:
        path: its ending says only whether it is Parquet, text or packed text.
        source: how to read it; its name and item become those of the file.

    Raises:
        HistoryError: it cannot be read as stamps and numbers.
    """
    source = replace(
        source, name=str(path), default_item=path.name[: path.name.find(".", 1)], notes=[]
    )
    stored: dict[str, Any] = {}
    if is_text(path):
        frame, source = _read_text(path, source)
    else:
        frame, stored = _read_parquet(path)
    raw = tuple(raw_series(frame, source))
    if not stored:
        return StoredTable(raw, tuple(source.notes))
    findings = stored["findings"]
    return StoredTable(
        raw,
        tuple(source.notes),
        timedelta(seconds=stored["step_seconds"]),
        None if findings is None else tuple(Finding.from_record(record) for record in findings),
    )


def _read_text(path: Path, source: TableSource) -> tuple[pd.DataFrame, TableSource]:
    try:
        if path.name.lower().endswith(".gz"):
            check_gzip(path)
            data = gzip.decompress(path.read_bytes())
        else:
            data = path.read_bytes()
        text = decoded(data, source)
        del data
        if is_json(text):
            return frame_of_json(text, source)
        if is_exposition(text):
            return frame_of_exposition(text, source)
        return frame_of_text(text, source)
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserWarning) as error:
        raise _unreadable(path, error) from error


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
    reason = str(error).strip()[:200] or type(error).__name__
    return HistoryError(f"{path} cannot be read ({reason}); is it complete? Write it again")
