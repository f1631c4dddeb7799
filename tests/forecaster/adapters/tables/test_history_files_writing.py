"""A written history comes back bit for bit, with its findings, or the old file stays."""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.adapters.tables.history_files import (
    history_to_frame,
    read_history,
    read_raw,
    write_history,
)
from forecaster.data.quality import QualityRules, RawSeries, Rule, Window, inspect
from forecaster.data.series import History, Series, utc
from forecaster.data.synthetic import generate_history
from forecaster.errors import HistoryError
from tests.forecaster.adapters.histories import MINUTE, START, assert_same, history, text_of, write
from tests.paths import ROOT


def test_findings_come_back_and_an_inspected_file_is_not_inspected_again(tmp_path):
    values = history().series[0].values.copy()
    values[20] = 1e6
    raw = RawSeries("a", START.timestamp() + 60 * np.arange(40), values)
    kept = inspect([raw], rules=QualityRules(spike_ratio=1e9))
    path = tmp_path / "new" / "h.parquet"
    write_history(path, kept.history, kept.findings)
    report = read_history(path)
    assert report.findings == kept.findings
    assert_same(report.history, kept.history)
    again = read_history(path, rules=QualityRules())
    assert Rule.SPIKE in {finding.rule for finding in again.findings}


def test_a_file_that_was_never_inspected_is_inspected(tmp_path):
    generated = generate_history(8, 14, seed=7).history
    write_history(tmp_path / "h.parquet", generated)
    rules = {finding.rule for finding in read_history(tmp_path / "h.parquet").findings}
    assert rules == {Rule.GAP, Rule.AFTER_OUTAGE}


def test_a_window_is_masked_in_an_inspected_file_too(tmp_path):
    write_history(tmp_path / "h.parquet", history(), ())
    mask = (Window(START, START + 3 * MINUTE, "shop/api"),)
    report = read_history(tmp_path / "h.parquet", mask=mask)
    assert np.isnan(report.history["shop/api"].values[:3]).all()
    assert [finding.rule for finding in report.findings] == [Rule.MASKED]


def test_an_inspected_file_that_lost_rows_since_is_inspected_again(tmp_path):
    path = tmp_path / "h.parquet"
    write_history(path, history(), ())
    table = pq.read_table(path)
    pq.write_table(table.take([i for i in range(80) if i != 7]), path)
    report = read_history(path)
    assert np.isnan(report.history["shop/api"].values[7])


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    write_history(tmp_path / "h.parquet", history(), ())
    table = pq.read_table(tmp_path / "h.parquet")
    newer = table.replace_schema_metadata({"tidegate.history": '{"version": 2}'})
    pq.write_table(newer, tmp_path / "h.parquet")
    with pytest.raises(HistoryError, match="version 2, but at most 1"):
        read_history(tmp_path / "h.parquet")


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path):
    path = tmp_path / "h.parquet"
    write_history(path, history())
    before = path.read_bytes()
    with path.open("rb") as reader:
        write_history(path, history(90))
        assert reader.read() == before


def test_a_history_is_written_as_parquet_only(tmp_path):
    with pytest.raises(HistoryError, match=r"name it \*.parquet"):
        write_history(tmp_path / "h.csv", history())


FULL_DISK = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from forecaster.adapters.tables.history_files import write_history
from forecaster.errors import HistoryError
from tests.forecaster.adapters.histories import history
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_history(sys.argv[1], history(40_000))
except HistoryError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "h.parquet"
    write_history(path, history())
    root = str(ROOT)
    command = [sys.executable, "-c", FULL_DISK, str(path), root]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "cannot be written" in run.stderr
    assert "unchanged" in run.stderr
    assert_same(read_history(path).history, history())
    assert [file.name for file in tmp_path.iterdir()] == ["h.parquet"]


qps = st.one_of(st.floats(0, 1e12, allow_subnormal=True), st.just(np.nan))
items = st.dictionaries(
    st.text("abc/ ,\"'é-", min_size=1, max_size=5).filter(str.strip),
    st.lists(qps, min_size=1, max_size=9),
    min_size=1,
    max_size=3,
)


@given(items, st.integers(0, 4 * 10**9), st.sampled_from([1, 60, 900]))
def test_the_round_trip_through_a_file_is_exact(tmp_path_factory, items, start, step):
    first, spacing = utc("1970-01-01T00:00:00Z") + timedelta(seconds=start), timedelta(seconds=step)
    one = History(tuple(Series(name, first, spacing, values) for name, values in items.items()))
    path = tmp_path_factory.mktemp("round") / "h.parquet"
    write_history(path, one, ())
    assert_same(read_history(path).history, one)
    text = write(path.with_suffix(".csv"), text_of(history_to_frame(one)))
    for series, raw in zip(one, read_raw(text), strict=True):
        assert (raw.item_id, raw.stamps.tolist()) == (series.item_id, series.stamps.tolist())
        np.testing.assert_array_equal(raw.values, series.values)
