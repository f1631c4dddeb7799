"""Files of a few bytes that stand for gigabytes are refused before memory is filled."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecaster.adapters.tables.history_files import history_to_frame, read_raw, write_history
from forecaster.data.series import History, Series
from forecaster.errors import HistoryError


def long_texts(kind):
    """A name of a megabyte, six hundred times, that is kept once."""

    def write(path):
        names = pa.DictionaryArray.from_arrays(np.zeros(600, np.int32), ["x" * (1 << 20)])
        rows = np.arange(600.0)
        table = pa.table({"item_id": names, "timestamp": rows, "qps": rows})
        schema = table.schema.set(0, pa.field("item_id", kind)) if kind else table.schema
        with pq.ParquetWriter(path, schema) as file:
            for at in range(0, 600, 200):  # not all of it at once: this is a test
                file.write_table(table.slice(at, 200).cast(schema))

    return write


def packed_csv(path):
    line = b"2026-03-01T00:00:00Z,100\n" * (1 << 14)
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(b"timestamp,qps\n")
        for _ in range(250):  # 100 MB
            file.write(line)


def many_rows(path):
    """Forty million rows, of which all are the same."""
    table = pa.table({"timestamp": np.zeros(10_000_000), "qps": np.zeros(10_000_000)})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as file:
        for _ in range(4):
            file.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("bomb.csv.gz", packed_csv, id="gzip"),
        pytest.param("bomb.parquet", many_rows, id="rows"),
        pytest.param("bomb.parquet", long_texts(None), id="texts that are numbered"),
        pytest.param("bomb.parquet", long_texts(pa.large_string()), id="texts"),
    ],
)
def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    with pytest.raises(HistoryError, match=r"bomb.* unpacks to more than \d+ MiB"):
        read_raw(path)


@pytest.mark.parametrize("name", ["flat.parquet", "flat.csv.gz"])
def test_a_week_of_one_value_is_no_bomb(tmp_path, name):
    """Items of which nothing is told apart but the time."""
    values = np.full(7 * 1440, 100.0)
    start, step = datetime(2026, 3, 1, tzinfo=UTC), timedelta(minutes=1)
    items = [Series(f"prod/{n}", start, step, values) for n in range(10)]
    path = tmp_path / name
    if name.endswith(".parquet"):
        write_history(path, History(tuple(items)))
    else:
        history_to_frame(History(tuple(items))).to_csv(path, index=False)
    assert sum(len(raw.values) for raw in read_raw(path)) == 10 * 7 * 1440
