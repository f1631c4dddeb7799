"""Public request-rate traces, read from a folder that the project does not ship."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from forecaster.adapters.tables.history_files import read_raw
from forecaster.data.quality import RawSeries
from forecaster.data.series import History, Series

ONE_MINUTE = (
    "wc98", "nasa", "twitter_stream", "ms_mongo02", "ms_mongo03", "ms_mongo04",
    "ms_machine01", "ms_ingress01", "ms_ingress04", "ms_ingress05",
)  # fmt: skip
FIVE_MINUTES = (
    "nab_elb", "nab_tw_aapl", "nab_tw_amzn", "nab_tw_crm", "nab_tw_cvs",
    "nab_tw_fb", "nab_tw_ibm", "nab_tw_ko", "nab_tw_pfe", "nab_tw_ups",
)  # fmt: skip


def load(folder: Path, names: tuple[str, ...]) -> History:
    """Return the named traces as they were published: gaps are NaN, nothing is repaired."""
    missing = [name for name in names if not (folder / f"{name}.csv.gz").exists()]
    if missing:
        raise SystemExit(
            f"{folder} holds no {missing[0]}.csv.gz; name the folder of the traces by --traces"
        )
    raw = [series for name in names for series in read_raw(folder / f"{name}.csv.gz")]
    return History(tuple(_on_grid(series) for series in raw))


def _on_grid(raw: RawSeries) -> Series:
    step = int(np.diff(raw.stamps).min())
    place = (raw.stamps - raw.stamps[0]) // step
    values = np.full(place[-1] + 1, np.nan)
    values[place] = raw.values
    start = datetime.fromtimestamp(int(raw.stamps[0]), UTC)
    return Series(raw.item_id, start, timedelta(seconds=step), values)
