"""Histories, and how to compare them to the last bit."""

import gzip
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from forecaster.adapters.tables.history_files import history_to_frame
from forecaster.data.series import History, Series, utc

MINUTE = timedelta(minutes=1)
START = utc("2026-03-02T00:00:00Z")


def history(n=40, items=("shop/api", "pay/api")) -> History:
    rng = np.random.default_rng(3)
    series = []
    for item_id in items:
        values = rng.poisson(6000, n) / 60
        values[[5, 17]] = np.nan
        series.append(Series(item_id, START, MINUTE, values))
    return History(tuple(series))


def assert_same(one: History, other: History) -> None:
    assert (one.item_ids, one.step) == (other.item_ids, other.step)
    for mine, yours in zip(one, other, strict=True):
        assert mine.start == yours.start
        assert mine.values.tobytes() == yours.values.tobytes()


def wide(n=40) -> pd.DataFrame:
    items = {series.item_id: series.values for series in history(n)}
    return pd.DataFrame({"timestamp": history_to_frame(history(n))["timestamp"][:n], **items})


def text_of(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
