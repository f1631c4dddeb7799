"""The names of files that may hold a history; loads nothing, for it is asked before all else."""

from __future__ import annotations

from pathlib import Path

from forecaster.errors import HistoryError

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".om", ".openmetrics", ".prom")
PARQUET_ENDINGS = (".parquet", ".pq")


def is_text(path: Path) -> bool:
    """Return whether a file holds text, rather than Parquet.

    Raises:
        HistoryError: its name ends with nothing that is known.
    """
    name = path.name.lower()
    if name.removesuffix(".gz").endswith(TEXT_ENDINGS):
        return True
    if name.endswith(PARQUET_ENDINGS):
        return False
    endings = ", ".join(TEXT_ENDINGS + PARQUET_ENDINGS)
    raise HistoryError(f"{path}: unknown ending; a history is one of {endings}, text also with .gz")
