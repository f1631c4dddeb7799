"""History in and out of CSV and Parquet files and of data frames.

The only home of pandas and pyarrow, together with `columns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.quality import Finding, QualityReport, QualityRules, RawSeries, Window
from forecaster.series import Forecast, History

if TYPE_CHECKING:
    import pandas as pd


def read_history(
    path: Path | str,
    *,
    step: timedelta | None = None,
    rules: QualityRules | None = None,
    mask: tuple[Window, ...] = (),
    timezone: str | None = None,
) -> QualityReport:
    """Return the inspected history in a CSV or Parquet file.

    A file that `write_history` wrote with findings has been inspected: it is taken as it is, with
    its findings, unless `rules` are given.
    """
    raise NotImplementedError


def read_raw(path: Path | str, *, timezone: str | None = None) -> tuple[RawSeries, ...]:
    """Return the samples in a CSV or Parquet file as they are, one per item."""
    raise NotImplementedError


def write_history(
    path: Path | str, history: History, findings: Sequence[Finding] | None = None
) -> None:
    """Write a long Parquet file; a failure on the way leaves the old file as it was.

    Args:
        findings: what the inspection found, () if nothing; None if there was no inspection yet.
    """
    raise NotImplementedError


def history_from_frame(
    df: pd.DataFrame, *, step: timedelta | None = None, timezone: str | None = None
) -> History:
    """Return the inspected history of a long or wide frame."""
    raise NotImplementedError


def history_to_frame(history: History) -> pd.DataFrame:
    """Return a long frame: item_id, timestamp (UTC), qps (NaN where missing)."""
    raise NotImplementedError


def forecast_to_frame(forecast: Forecast) -> pd.DataFrame:
    """Return a long frame: item_id, timestamp (UTC), one column per level (`q0.5`), source."""
    raise NotImplementedError
